"""Real engines beside ours: a stage on an embedded stack of its own, filled once and then only read.

They need Java and downloads of a gigabyte, so they run only when asked for: `make counterparts`.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from analytics.tables import TABLES
from infra import embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.stack_events import StackEvent
from producers.faults import Faults
from producers.fleet import FleetSpec
from tests.counterparts import trino_server
from tests.counterparts.table import Counterpart, Result, lines
from windrow.aws.clients import client
from windrow.lake import layout
from windrow.period import DAY_MS
from windrow.rows.partial_parquet import decode_partial
from windrow.rows.united_parquet import encode_range
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event

COUNTERPART = "counterpart"
ASKED_FOR = "WINDROW_COUNTERPARTS"
STAGE = "counterparts"
UNIONS = "unions"
ANY_FREE_PORT = 0
SENSORS = 40
SENSORS_FALLING_SILENT = 4
WINDOWS = 24
_TABLE_INPUT = ("Name", "StorageDescriptor", "TableType", "Parameters", "ViewOriginalText", "ViewExpandedText")
FAULTS = Faults(malformed=0.003, duplicates=0.02, late=0.02, shuffled=0.1)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything in this folder unless it is asked for."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("counterparts"))  # one stage for all of them
            if os.environ.get(ASKED_FOR) != "1":
                item.add_marker(pytest.mark.skip(reason=f"needs Java and downloads: make counterparts ({ASKED_FOR}=1)"))


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Keep what the module asks with each of its tests, for the table."""
    counterpart = getattr(getattr(item, "module", None), "COUNTERPART", None)
    if counterpart is not None and call.when == "setup":
        # As text, because xdist carries it from one process to another.
        item.user_properties.append((COUNTERPART, astuple(counterpart)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the table of who judged what."""
    if os.environ.get(ASKED_FOR) != "1":
        return
    results: dict[Counterpart, Result] = {}
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            properties = getattr(report, "user_properties", [])
            named = dict(properties).get(COUNTERPART)
            if named is None or outcome not in {"passed", "failed", "error", "skipped"}:
                continue
            result = results.setdefault(Counterpart(*named), Result())
            result.found += [text for name, text in properties if name == "found"]
            if outcome == "skipped":
                result.skipped.append(report.longrepr[2].removeprefix("Skipped: "))
            elif outcome == "passed":
                result.passed += 1
            else:
                result.failed += 1
    terminalreporter.write_line("")
    for line in lines(results.items()):
        terminalreporter.write_line(line)


# Every sensor is beyond it from the first window that rules judge.
RULES = b'[[rule]]\nname = "above-absolute-zero"\nabove = -273\n'


@dataclass(frozen=True, slots=True)
class FilledStage:
    """A stage whose tables and views all have rows; `time_range` has the windows that are rolled."""

    stage: Stage
    time_range: TimeRange
    home: Path


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a running embedded stack."""
    folder = tmp_path_factory.mktemp("windrow-home")
    embedded.up(folder, port=ANY_FREE_PORT)
    yield folder
    embedded.down(folder)


@pytest.fixture(scope="session")
def filled(home: Path) -> FilledStage:
    """The end of yesterday, and two hours of a fleet, some of it silent in the second; and a window still open."""
    options = DeploymentOptions(shard_count=2, mode="direct", is_scheduled=False, rules=RULES)
    plan = plan_deployment(embedded.place(home), STAGE, options)
    # The application is created and runs nothing, but its table and the view over it are there.
    plan = replace(plan, parameters=plan.parameters | {"Engine": "flink", "FlinkCodeKey": "none/here.jar"})
    stage = stacks.apply(plan, ignore).stage
    end_ms = floor_to_window(now_ms()) - WINDOW_MS
    start_ms, middle_ms = end_ms - WINDOWS * WINDOW_MS, end_ms - WINDOWS // 2 * WINDOW_MS
    midnight_ms = end_ms // DAY_MS * DAY_MS  # a day is rolled when it has ended
    _send(stage, sensors=SENSORS, start_ms=midnight_ms - 2 * WINDOW_MS, end_ms=midnight_ms)
    _send(stage, sensors=SENSORS + SENSORS_FALLING_SILENT, start_ms=start_ms, end_ms=middle_ms)
    _send(stage, sensors=SENSORS, start_ms=middle_ms, end_ms=end_ms)
    for _ in range(2):  # the second finishes what the first had no time for
        invoke_tick(stage, tick_event(now_ms(), is_dry_run=False))
    open_ms = floor_to_window(now_ms())
    _send(stage, sensors=SENSORS, start_ms=open_ms, end_ms=open_ms + WINDOW_MS)
    _set_descriptions_of_views(stage)
    return FilledStage(stage, TimeRange(min(start_ms, midnight_ms - 2 * WINDOW_MS), end_ms), home)


@pytest.fixture(scope="session")
def files(filled: FilledStage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each table, and one for united sets, with the files as they lie in their bucket."""
    folder = tmp_path_factory.mktemp("files")
    roots = {table.name: (table.bucket, table.root) for table in TABLES.values()} | {UNIONS: ("lake", layout.UNIONS)}
    for name, (bucket, root) in roots.items():
        store = filled.stage.lake if bucket == "lake" else filled.stage.results
        for listed in store.list_objects(root):
            stored = store.get(listed.key)
            assert stored is not None
            path = folder / name / listed.key.removeprefix(root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored.body)
    if not (folder / UNIONS).exists():  # the stage's windows are too small to have one
        _write_union(folder)
    return folder


def _write_union(folder: Path) -> None:
    """Write what a united set of one of the partials would be."""
    for partial in sorted((folder / "partials").rglob("*.parquet")):
        body = encode_range(decode_partial(partial.read_bytes())[0])
        path = folder / UNIONS / partial.relative_to(folder / "partials")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return


@pytest.fixture(scope="session")
def trino_url(filled: FilledStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Trino server that reads the stage."""
    with trino_server.running(filled.stage.place, tmp_path_factory.mktemp("trino")) as url:
        yield url


def _send(stage: Stage, *, sensors: int, start_ms: int, end_ms: int) -> None:
    fleet = FleetSpec(
        seed=15,
        sensors=sensors,
        sites=4,
        start_ms=start_ms,
        end_ms=end_ms,
        quantities=("temperature", "humidity"),
        faults=FAULTS,
    )
    report = simulate_fleet(fleet, stage, now_ms=now_ms())
    wait_until_drained(stage, report.last_sequence_numbers)


def _set_descriptions_of_views(stage: Stage) -> None:
    """Give views without a description their comment as one, which Trino then reads as such.

    The emulator answers an empty description where none is set, and Trino takes it for the comment. Glue's API has the
    field as optional, so on AWS it should be absent, and Trino then reads the comment; this was not tried on AWS. A
    description in the template stays, and is as wrong here as there.
    """
    glue = client("glue", stage.place)
    for table in glue.get_tables(DatabaseName=stage.database)["TableList"]:
        if table["TableType"] == "VIRTUAL_VIEW" and table["Description"] == "":
            changed = {name: table[name] for name in _TABLE_INPUT} | {"Description": table["Parameters"]["comment"]}
            glue.update_table(DatabaseName=stage.database, TableInput=changed)


def now_ms() -> int:
    """Epoch milliseconds of now."""
    return time.time_ns() // 1_000_000


def floor_to_window(instant_ms: int) -> int:
    """The start of the window that this instant is in."""
    return instant_ms // WINDOW_MS * WINDOW_MS


def ignore(event: StackEvent) -> None:
    """Show no progress."""
