"""Commands as whole processes, on an embedded stack of the bench's own: what a machine spends until the answer."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Finding
from infra import embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.fleet import FleetSpec, readings
from tests.rows_file import encode_rollup
from windrow import settings
from windrow.lake.layout import rows_key
from windrow.reading import Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

STAGE = "bench"
START_MS = 1_795_132_800_000
WINDOWS = 4
RUNS = 7
# Arguments -> the most CPU seconds.
COMMANDS = {"query_fleet": 0.8, "status": 0.3, "help": 0.3, "version": 0.3}


def commands() -> Iterator[Finding]:
    """The CPU time of each command's process, the median of RUNS, after one that fills the caches."""
    bounds = ["--from", format_rfc3339(START_MS), "--to", format_rfc3339(START_MS + WINDOWS * WINDOW_MS)]
    arguments = {
        "query_fleet": ["query", "fleet", *bounds],
        "status": ["status"],
        "help": ["--help"],
        "version": ["--version"],
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        embedded.up(home, port=0)
        try:
            _store(home)
            environment = os.environ | {settings.HOME: folder, settings.STAGE: STAGE}
            for name, words in arguments.items():
                spent = [_cpu_seconds(words, environment) for _ in range(RUNS + 1)][1:]
                yield Finding(
                    name=f"command.{name}", ours=statistics.median(spent), at_most=COMMANDS[name], unit="cpu-s"
                )
        finally:
            embedded.down(home)


def _store(home: Path) -> None:
    """Deploy a stage and store the rows of 200 sensors in each of WINDOWS."""
    options = DeploymentOptions(shard_count=1, mode="direct", is_scheduled=False)
    stage = stacks.apply(plan_deployment(embedded.place(home), STAGE, options), lambda _: None).stage
    end_ms = START_MS + WINDOWS * WINDOW_MS
    fleet = FleetSpec(seed=1, sensors=200, sites=10, interval_ms=10_000, start_ms=START_MS, end_ms=end_ms)
    for partial in partials_of(Readings.concat(list(readings(fleet)))):
        stage.results.put(rows_key(partial.window), encode_rollup(roll(partial)))


def _cpu_seconds(words: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(Path(sys.executable).with_name("windrow")), *words]
    subprocess.run(command, env=environment, capture_output=True, check=True)  # noqa: S603 - our own words
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


BENCHES = {"command": commands}
