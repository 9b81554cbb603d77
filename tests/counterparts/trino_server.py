"""A Trino server on this machine that reads the embedded stack's Glue catalog and buckets.

Nothing is registered by hand: the template's own tables, with their partition projection, and its own views are asked,
as Athena asks them. There are two catalogs over the same database. ATHENA descends into the folders of a partition, as
Athena does, and has the name that the views carry. FLAT does not: Trino's default, and Hive's.
"""

import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra import child_process
from infra.child_process import ChildProcess
from infra.waiting import poll
from tests.counterparts.java import java_home
from tests.counterparts.trino_client import TrinoClient, TrinoError
from windrow.aws.clients import Place

VERSION = "476"
JAVA_OLDEST, JAVA_NEWEST = 24, 99  # 476 asks for 24
ATHENA = "awsdatacatalog"
FLAT = "flat"
PLUGINS = ("hive", "exchange-filesystem")
START_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 20.0
DOWNLOAD_SECONDS_MAX = 1_800

_ARCHIVE = Path.home() / f".m2/repository/io/trino/trino-server/{VERSION}/trino-server-{VERSION}.tar.gz"
_JVM = (
    "-Xmx3G",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djdk.attach.allowAttachSelf=true",
    "--enable-native-access=ALL-UNNAMED",
)


@contextmanager
def running(place: Place, folder: Path) -> Iterator[str]:
    """Start Trino with its files in `folder`, yield its URL, and stop it; skip the test if it cannot be had."""
    java = java_home(oldest=JAVA_OLDEST, newest=JAVA_NEWEST)
    if java is None:
        pytest.skip(f"Trino {VERSION} needs Java {JAVA_OLDEST} or newer: set JAVA_HOME")
    server = _unpacked()
    port = _free_port()
    _configure(folder / "etc", place, port)
    process = child_process.start(
        [str(server / "bin" / "launcher"), "run", "--etc-dir", str(folder / "etc"), "--data-dir", str(folder / "data")],
        environment={"PATH": f"{java}/bin:{os.environ['PATH']}", "JAVA_HOME": str(java), "LANG": "C.UTF-8"},
        folder=folder,
        log=folder / "log.txt",
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(process, url, folder / "log.txt")
        yield url
    finally:
        child_process.stop(process, patience_seconds=STOP_SECONDS_MAX)


def _unpacked() -> Path:
    """Return the server's folder in the user's cache, unpacked on first use without the plugins we do not need."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windrow"
    server = cache / f"trino-server-{VERSION}"
    if not server.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            with tarfile.open(_archive()) as archive:
                archive.extractall(folder, filter="data")
            # Only now: most jars of the plugins that stay are hard links to those of others.
            for plugin in (Path(folder) / server.name / "plugin").iterdir():
                if plugin.name not in PLUGINS:
                    shutil.rmtree(plugin)
            (Path(folder) / server.name).rename(server)
    return server


def _archive() -> Path:
    """Return the server's archive from the local Maven repository, fetched by Maven if it is not there."""
    if _ARCHIVE.exists():
        return _ARCHIVE
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip(f"no {_ARCHIVE}, and no Maven to fetch it")
    ended = subprocess.run(
        [maven, "-q", "dependency:get", "-Dtransitive=false", f"-Dartifact=io.trino:trino-server:{VERSION}:tar.gz"],
        capture_output=True,
        text=True,
        check=False,
        timeout=DOWNLOAD_SECONDS_MAX,
    )
    if ended.returncode != 0 or not _ARCHIVE.exists():
        pytest.skip(f"Maven cannot fetch Trino {VERSION}: {(ended.stdout + ended.stderr).strip()[-300:]}")
    return _ARCHIVE


def _configure(etc: Path, place: Place, port: int) -> None:
    (etc / "catalog").mkdir(parents=True)
    server = {
        "coordinator": "true",
        "node-scheduler.include-coordinator": "true",
        "http-server.http.port": str(port),
        "discovery.uri": f"http://127.0.0.1:{port}",
        "query.max-memory": "1GB",
        "query.max-memory-per-node": "1GB",
    }
    _write(etc / "config.properties", server)
    _write(etc / "node.properties", {"node.environment": "windrow", "node.id": "counterpart"})
    (etc / "jvm.config").write_text("\n".join(_JVM) + "\n")
    for catalog, descends in ((ATHENA, "true"), (FLAT, "false")):
        _write(etc / "catalog" / f"{catalog}.properties", _hive(place) | {"hive.recursive-directories": descends})


def _hive(place: Place) -> dict[str, str]:
    """Return how a catalog gets to the embedded stack."""
    url, key = str(place.endpoint_url), "test"
    return {
        "connector.name": "hive",
        "hive.metastore": "glue",
        "hive.metastore.glue.region": place.region,
        "hive.metastore.glue.endpoint-url": url,
        "hive.metastore.glue.aws-access-key": key,
        "hive.metastore.glue.aws-secret-key": key,
        "hive.partition-projection-enabled": "true",
        "fs.native-s3.enabled": "true",
        "s3.endpoint": url,
        "s3.region": place.region,
        "s3.path-style-access": "true",
        "s3.aws-access-key": key,
        "s3.aws-secret-key": key,
    }


def _write(file: Path, properties: Mapping[str, str]) -> None:
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def _wait_until_it_answers(process: ChildProcess, url: str, log: Path) -> None:
    client = TrinoClient(url, schema="information_schema", catalog=ATHENA)

    def answers() -> bool:
        assert child_process.is_running(process), f"Trino ended at once: {log.read_text()[-2_000:]}"
        try:
            return client.sql("SELECT 1").rows == [[1]]
        except (OSError, TrinoError):  # it refuses the connection, or says that it is starting
            return False

    assert poll(answers, seconds_max=START_SECONDS_MAX, pause_seconds=0.5), f"no answer: {log.read_text()[-2_000:]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
