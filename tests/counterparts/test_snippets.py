"""The snippets of docs/query.md that read results without windrow, each run by itself in a folder of copied files.

awswrangler and PyAthena ask the S3 and Athena of the embedded stack, whose Athena is DuckDB; Trino is a real one.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet
import pytest

from tests.counterparts.conftest import FilledStage
from tests.counterparts.java import java_home
from tests.counterparts.table import Counterpart
from windrow.aws.clients import Place
from windrow.lake import layout
from windrow.stage import Stage

ROOT = Path(__file__).parents[2]
COUNTERPARTS_PYTHON = ROOT / ".venv-counterparts" / "bin" / "python"
SECONDS_MAX = 300
HEADING = "## Without windrow"
# What each shows, by the first word of its import.
READERS = ("pandas", "polars", "duckdb", "pyspark", "awswrangler", "pyathena", "trino")
OF_ITS_OWN = READERS[3:]
"""Those that are in the environment of the counterparts."""
_VERSIONS = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in READERS[:3])
_LOCK = (ROOT / "requirements" / "counterparts.in").read_text()
_VERSIONS += "".join(f", {name} {version}" for name, version in re.findall(r"^([a-zA-Z]+)==(\S+)", _LOCK, re.MULTILINE))
COUNTERPART = Counterpart("snippets of docs/query.md", _VERSIONS, "sums by sensor, against pyarrow")
# `sums` is a frame of one of four libraries, or a list of rows; all of them give plain rows.
SHOW = """
import json
if isinstance(sums, list):
    found = [dict(zip(("sensor_id", "readings", "sum_milli"), one)) for one in sums]
elif hasattr(sums, "to_dicts"):
    found = sums.to_dicts()
elif hasattr(sums, "collect"):
    found = [row.asDict() for row in sums.collect()]
else:
    found = (sums.reset_index() if sums.index.name else sums).to_dict("records")
print(json.dumps([[one["sensor_id"], int(one["readings"]), int(one["sum_milli"])] for one in found]))
"""


def snippets() -> dict[str, str]:
    """The section's Python, by the library that it imports."""
    section = (ROOT / "docs" / "query.md").read_text().partition(HEADING + "\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    return {re.match(r"(?:import|from) (\w+)", block)[1]: block for block in blocks}


@pytest.fixture(scope="module")
def folder(filled: FilledStage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stage's aggregates, as `aws s3 sync` copies them."""
    folder = tmp_path_factory.mktemp("copied")
    for listed in filled.stage.results.list_objects(layout.AGGREGATES):
        stored = filled.stage.results.get(listed.key)
        assert stored is not None
        path = folder / listed.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.body)
    return folder


def test_every_reader_has_a_snippet() -> None:
    """And no other is there that nobody runs."""
    assert tuple(snippets()) == READERS


@pytest.mark.parametrize("reader", READERS)
def test_a_snippet_gives_the_sums_of_the_rows(
    filled: FilledStage, folder: Path, reader: str, request: pytest.FixtureRequest
) -> None:
    """Of every sensor, as pyarrow adds them file by file."""
    snippet = snippets()[reader]
    for name, value in _names(filled.stage).items():
        snippet = snippet.replace(name, value)
    if reader == "trino":
        server = urlsplit(request.getfixturevalue("trino_url"))
        snippet = snippet.replace('host="localhost", port=8080', f'host="{server.hostname}", port={server.port}')
    program = folder.parent / f"{reader}_snippet.py"
    program.write_text(snippet + SHOW)
    python, environment = sys.executable, {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}
    if reader in OF_ITS_OWN:
        if not COUNTERPARTS_PYTHON.exists():
            pytest.skip(f"no {COUNTERPARTS_PYTHON}: make counterparts creates it, with {reader} in it")
        python, environment = str(COUNTERPARTS_PYTHON), environment | _endpoint(filled.stage.place)
    if reader == "pyspark":
        java = java_home(oldest=8, newest=17)
        if java is None:
            pytest.skip("Spark 3.5 needs Java 8 to 17: set JAVA_HOME")
        environment |= {"JAVA_HOME": str(java), "SPARK_LOCAL_IP": "127.0.0.1"}
    ended = subprocess.run(
        [python, program], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    found = {sensor: (readings, total) for sensor, readings, total in json.loads(ended.stdout.splitlines()[-1])}
    assert found == _truth(folder)


def _names(stage: Stage) -> dict[str, str]:
    """What stands in the snippets for names of the stage."""
    return {"BUCKET": stage.results_bucket, "WORKGROUP": stage.workgroup, "DATABASE": stage.database}


def _endpoint(place: Place) -> dict[str, str]:
    """The environment that leads every AWS client to the embedded stack."""
    return {
        "AWS_ENDPOINT_URL": str(place.endpoint_url),
        "AWS_DEFAULT_REGION": place.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def _truth(folder: Path) -> dict[str, tuple[int, int]]:
    readings: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for path in folder.rglob("*.parquet"):
        for row in pyarrow.parquet.ParquetFile(path).read(["sensor_id", "readings", "sum_milli"]).to_pylist():
            readings[row["sensor_id"]] += row["readings"]
            total[row["sensor_id"]] += row["sum_milli"]
    assert readings
    return {sensor: (readings[sensor], total[sensor]) for sensor in readings}
