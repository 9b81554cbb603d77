"""The Flink application's jar, made by a stand-in for Maven; `make counterparts ONLY=flink` runs a real one."""

import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest

from analytics.tables import AGGREGATES
from infra import flink_code
from windrow.errors import WindrowError

MAVEN = """#!/bin/sh
echo "$@" >> {calls}
for one in "$@"; do case $one in -Dmdep.outputFile=*) echo libraries > "${{one#-Dmdep.outputFile=}}";; esac; done
folder=$(dirname "$4")
mkdir "$folder/target"
cat "$folder/src/main/resources/aggregates.sql" > "$folder/target/windrow-flink.jar"
{end}
"""
POM = "{http://maven.apache.org/POM/4.0.0}"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Sources of an application, with what an earlier build left there."""
    folder = tmp_path / "sources"
    for name, body in {
        "pom.xml": "<project/>",
        "src/main/resources/aggregates.sql": "SQL",
        "target/old": "old",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body)
    return folder


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in's folder: `calls` has a line for each time it ran."""
    folder = tmp_path / "bin"
    folder.mkdir()
    _install(folder, end="exit 0")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def _install(folder: Path, *, end: str) -> None:
    program = folder / "mvn"
    program.write_text(MAVEN.format(calls=folder / "calls", end=end))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def _calls(maven: Path) -> list[str]:
    calls = maven / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


def test_a_jar_is_made_once_for_its_sources(sources: Path, maven: Path, tmp_path: Path) -> None:
    """The same sources need no second build, others do; the checkout stays as it is, and no unfinished build counts."""
    cache = tmp_path / "cache"
    before = sorted(sources.rglob("*"))
    jar = flink_code.build(cache, sources=sources)
    assert jar.read_text() == "SQL"
    assert jar.with_name(flink_code.LIBRARIES).read_text() == "libraries\n"
    (sources / "target/old").write_text("older")
    assert flink_code.build(cache, sources=sources) == jar
    assert len(_calls(maven)) == 1
    (sources / "src/main/resources/aggregates.sql").write_text("other")
    assert flink_code.build(cache, sources=sources).read_text() == "other"
    assert len(_calls(maven)) == 2
    assert sorted(sources.rglob("*")) == before
    assert sorted(path.name for path in cache.iterdir()) == sorted(path.parent.name for path in cache.glob("*/*.jar"))


def test_the_stream_is_read_unless_files_are_wanted(sources: Path, maven: Path, tmp_path: Path) -> None:
    """Only the jar for files leaves out the connector, and neither is taken for the other."""
    jars = {flink_code.build(tmp_path / "cache", sources=sources, reads_stream=one) for one in (True, False)}
    assert len(jars) == 2
    assert ["!stream" in call for call in _calls(maven)] == [False, True]


def test_a_build_that_fails_leaves_nothing_and_says_why(sources: Path, maven: Path, tmp_path: Path) -> None:
    """Maven's first error is told, and the next try builds again."""
    _install(maven, end='echo "[INFO] x"; echo "[ERROR] no such artifact"; echo "[ERROR] [Help 1]"; exit 1')
    cache = tmp_path / "cache"
    with pytest.raises(WindrowError, match="no such artifact"):
        flink_code.build(cache, sources=sources)
    assert not list(cache.iterdir())
    _install(maven, end="exit 0")
    assert flink_code.build(cache, sources=sources).exists()


def test_without_maven_it_says_what_is_missing(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names Maven, and the way without Flink."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WindrowError, match="Maven") as caught:
        flink_code.build(tmp_path / "cache", sources=sources)
    assert "mvn" in caught.value.hint
    assert "Engine" in caught.value.hint


def test_the_sources_are_those_of_one_application() -> None:
    """The profile that tests leave out is the one with the connector; the SQL writes the columns of `aggregates`."""
    project = ElementTree.parse(flink_code.SOURCES / "pom.xml").getroot()  # noqa: S314 - our own file
    profile = project.find(f"{POM}profiles/{POM}profile")
    assert profile is not None
    assert profile.findtext(f"{POM}id") == "stream"
    assert profile.findtext(f"{POM}activation/{POM}activeByDefault") == "true"
    artifacts = [one.text for one in profile.iter(f"{POM}artifactId")]
    assert artifacts == ["flink-sql-connector-aws-kinesis-streams"]
    assert "kinesis-streams" not in "".join(
        str(one.text) for one in project.findall(f"{POM}dependencies/{POM}dependency/{POM}artifactId")
    )
    sql = (flink_code.SOURCES / "src/main/resources/aggregates.sql").read_text()
    table = sql.partition("CREATE TEMPORARY TABLE aggregates_flink (")[2].partition(") PARTITIONED BY")[0]
    columns = [line.split()[0].strip("`") for line in table.strip().splitlines()]
    assert columns == [*(name for name, _ in AGGREGATES.own_columns if name != "conflicts"), "dt", "hour"]
