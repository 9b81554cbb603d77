"""Flink on this machine: the application of infra/flink with a file in place of the stream, in a cluster of its own."""

import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from infra import flink_code
from tests.counterparts.java import java_home
from windrow.errors import WindrowError

VERSION = "2.3.0"
JAVA_OLDEST, JAVA_NEWEST = 17, 21
RUN_SECONDS_MAX = 900
LATE_MINUTES = 5
"""As in the template: how long the application waits for what is late."""
OPTIONS = (
    "-Xmx2g",  # a KPU has 4 GB, of which the service takes a part
    # What the scripts of Flink set as well, for serializers that look into java.util.
    *("--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"),
)


QUICK = ("-XX:TieredStopAtLevel=1",)
"""For short runs, most of which is compilation: half the CPU."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process took: CPU seconds, and the most memory in MB."""

    cpu_seconds: float
    peak_mb: float


def run(
    records: Path,
    results: Path,
    *,
    parallelism: int,
    properties: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    options: Sequence[str] = QUICK,
) -> Spent:
    """Run the application over a file of records, one a line in base64, until all its rows are in `results`.

    `properties` and `settings` replace those of its groups, `options` are more of Java's.
    """
    folder = results.with_suffix(".run")
    folder.mkdir(exist_ok=True)
    configuration = folder / "properties.json"
    groups = {
        "windrow": {
            "source": f"'connector' = 'filesystem', 'path' = '{records}', 'format' = 'kpl', 'kpl.base64' = 'true',"
            " 'kpl.ignore-parse-errors' = 'true'",
            "results": results.as_uri(),
            "late_minutes": str(LATE_MINUTES),
            "duplicates_known_for": "1 h",
            **(properties or {}),
        },
        "windrow.settings": {
            "parallelism.default": str(parallelism),
            "execution.checkpointing.interval": "2 s",
            "execution.checkpointing.storage": "filesystem",  # in memory a checkpoint may have 5 MB
            "execution.checkpointing.dir": (folder / "checkpoints").as_uri(),
            "restart-strategy.type": "none",
            **(settings or {}),
        },
    }
    named = [{"PropertyGroupId": name, "PropertyMap": one} for name, one in groups.items()]
    configuration.write_text(json.dumps(named))
    return spent_by([*_command(options), str(configuration)], folder / "log.txt")


def _command(options: Sequence[str]) -> list[str]:
    java = java_home(oldest=JAVA_OLDEST, newest=JAVA_NEWEST)
    if java is None:
        pytest.skip(f"Flink {VERSION} needs Java {JAVA_OLDEST} to {JAVA_NEWEST}: set JAVA_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windrow" / flink_code.CACHE_FOLDER
    try:
        jar = flink_code.build(cache, reads_stream=False)
    except WindrowError as error:
        pytest.skip(str(error))
    libraries = jar.with_name(flink_code.LIBRARIES).read_text().strip()
    return [str(java / "bin" / "java"), *OPTIONS, *options, "-cp", f"{jar}:{libraries}", "windrow.flink.Application"]


def spent_by(command: Sequence[str], log: Path) -> Spent:
    """Run a command to its end, which must be good, and return what it took."""
    with log.open("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, usage = _wait(process.pid)
        output.seek(0)
        assert status == 0, output.read()[-4_000:]
    return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _wait(process_id: int) -> tuple[int, int, resource.struct_rusage]:
    """Wait for a process, which is killed if it takes too long or if the waiting breaks off."""
    too_long = threading.Timer(RUN_SECONDS_MAX, os.kill, (process_id, signal.SIGKILL))
    too_long.start()
    try:
        return os.wait4(process_id, 0)
    except BaseException:
        os.kill(process_id, signal.SIGKILL)
        raise
    finally:
        too_long.cancel()


def rows(results: Path) -> list[dict[str, Any]]:
    """Return the rows that are in the folder, in no order; `dt` and `hour` are those of their partitions."""
    found = []
    for path in sorted(results.glob("dt=*/hour=*/part-*")):
        dt, hour = (one.partition("=")[2] for one in path.parts[-3:-1])
        of_file = pyarrow.parquet.ParquetFile(path).read().to_pylist()
        found += [row | {"dt": dt, "hour": hour} for row in of_file]
    return found
