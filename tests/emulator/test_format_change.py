"""A release with new formats, deployed while data of the old ones is in flight: readers accept the version before."""

import dataclasses
import re
import shutil
import time
from pathlib import Path

from dispatcher.report import RollOutcome, TickReport
from infra import destroy, package
from infra import stack as stacks
from infra.plan import DeploymentOptions, DeploymentPlan, plan_deployment
from windrow.aws.clients import Place
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.columns.arrow import read_parquet
from windrow.lake import layout
from windrow.reading import Reading, Readings
from windrow.rows.lineage import Lineage
from windrow.stage import Stage
from windrow.window import Window
from windrow.wire.json.encode import encode_readings
from windrow_operations.draining import wait_until_drained
from windrow_operations.ticks import invoke_tick, tick_event

# What the next release would write another version of, in this test.
FORMATS = ("partial_parquet", "lineage")
# What the functions of FUNCTIONS are made of.
PACKAGES = ("windrow", "processors", "dispatcher", "infra")
HOUR_MS = 3_600_000


def next_release(plan: DeploymentPlan, sources: Path) -> DeploymentPlan:
    """The same deployment with code that writes the next version of each format."""
    for name in PACKAGES:
        shutil.copytree(package.SOURCES / name, sources / name)
    for name in FORMATS:
        path = sources / "windrow" / "rows" / f"{name}.py"
        text, changed = re.subn(r"^FORMAT = 1$", "FORMAT = 2", path.read_text(), flags=re.MULTILINE)
        assert changed == 1
        path.write_text(text)
    built = {one.name: package.build(one, sources=sources) for one in package.FUNCTIONS}
    keys = {f"{name.capitalize()}CodeKey": one.key for name, one in built.items()}
    return dataclasses.replace(plan, packages=tuple(built.values()), parameters=plan.parameters | keys)


def put(stage: Stage, sensor_id: str, window: Window) -> None:
    """One reading into the stream, and wait until it is a partial."""
    (body,) = encode_readings(Readings.of([Reading(sensor_id, window.start_ms + 1, 0, 1_000)]))
    stream = stage.stream
    (answer,) = stream.put_records([OutgoingRecord(partition_key="a", body=body)]).entries
    assert isinstance(answer, Stored)
    wait_until_drained(stage, {answer.shard_id: int(answer.sequence_number)})


def tick(stage: Stage) -> TickReport:
    """Close what is due."""
    return invoke_tick(stage, tick_event(time.time_ns() // 1_000_000, is_dry_run=False))


def formats_of_partials(stage: Stage, window: Window) -> list[int]:
    """The versions of the window's partials, ascending."""
    lake = stage.lake
    bodies = [lake.get(listed.key) for listed in lake.list_objects(layout.partials_prefix(window))]
    return sorted(read_parquet(stored.body)[1]["format"] for stored in bodies if stored is not None)


def lineage_of(stage: Stage, window: Window) -> bytes:
    """The stored lineage."""
    stored = stage.results.get(layout.lineage_key(window))
    assert stored is not None
    return stored.body


def deploy(plan: DeploymentPlan) -> Stage:
    """Carry out a plan."""
    return stacks.apply(plan, lambda _: None).stage


def test_new_formats_do_not_break_what_is_in_flight(place: Place, tmp_path: Path) -> None:
    """Old partials and lineages, new ones beside them in the same window, and a release taken back.

    release   1        2        2           1                2
    does      put a    put b    tick: a+b   tick: fails,     tick: a+b+c
              tick: a                       nothing lost
    """
    window = Window((time.time_ns() // 1_000_000 // HOUR_MS - 2) * HOUR_MS)
    old = plan_deployment(place, "formats", DeploymentOptions(shard_count=1, is_scheduled=False))
    new = next_release(old, tmp_path)

    stage = deploy(old)
    put(stage, "a", window)
    tick(stage)
    assert Lineage.from_json(lineage_of(stage, window)).readings == 1

    stage = deploy(new)
    put(stage, "b", window)
    assert formats_of_partials(stage, window) == [1, 2]
    outcomes = {one.window: one.outcome for one in tick(stage).windows}
    assert outcomes[window] is RollOutcome.ROLLED
    assert b'"readings":2' in lineage_of(stage, window)
    assert b'"format":2' in lineage_of(stage, window)

    put(stage, "c", window)
    before = lineage_of(stage, window)
    stage = deploy(old)
    (report,) = [one for one in tick(stage).windows if one.window == window]
    assert report.outcome is RollOutcome.FAILED
    assert "format 2, this release reads 1" in report.detail
    assert lineage_of(stage, window) == before

    stage = deploy(new)
    (report,) = [one for one in tick(stage).windows if one.window == window]
    assert (report.outcome, report.readings) == (RollOutcome.ROLLED, 3)
    destroy.apply(destroy.plan_destruction(place, "formats", deletes_data=True), lambda _: None)


def test_a_release_that_changes_nothing_is_the_same_package(tmp_path: Path) -> None:
    """The copy of the sources is not what makes the next release another one."""
    for name in PACKAGES:
        shutil.copytree(package.SOURCES / name, tmp_path / name)
    for function in package.FUNCTIONS:
        assert package.build(function, sources=tmp_path).key == package.build(function).key
