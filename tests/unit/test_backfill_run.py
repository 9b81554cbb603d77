"""A backfill in parts: the same partials as in one piece, whatever stops it, and a report whose counts add up."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome, TickReport
from dispatcher.tick import Tick
from processors import backfill_part, backfill_plan
from processors.backfill import all_rolled, distinct_readings, window_partials
from processors.backfill_check import WindowCheck
from processors.backfill_part import BackfillReport, BackfillRun, PartReport, checked, keep_plan, report_of, stored_plan
from processors.backfill_plan import HistoryPlan, backfill_id, plan_parts, runs_of
from processors.backfill_source import FilesOfMachine, HistoryFile, ObjectsOfBucket
from tests.simulation.simulated_s3 import Crash, Operation, S3State, SimulatedStore, crashing, recording
from windrow.errors import UsageError, WindrowError
from windrow.lake.backfill_marker import decode_backfill_marker
from windrow.lake.layout import (
    BACKFILL_MARKERS,
    BACKFILLS,
    PARTIALS,
    Origin,
    PartialKey,
    backfill_windows_key,
    lineage_key,
    parse_partial_key,
)
from windrow.lake.store import StoreError
from windrow.lifetimes import Lifetimes
from windrow.reading import Reading, Readings, Reason
from windrow.rows.partial import Partial, partials_of, union
from windrow.rows.partial_parquet import DeliveryCounts, decode_partial, encode_partial
from windrow.window import WINDOW_MS, Window
from windrow.wire.json.encode import encode_readings
from windrow_cli.main import windrow
from windrow_operations.backfilling import find_history, plan_only, roll_all

START_MS = 1_763_640_000_000
DAYS_MS = 400 * 86_400_000
READINGS = [Reading(f"s{n % 3}", START_MS - DAYS_MS + n * 20_000, 0, n) for n in range(60)]
WINDOWS = [Window(READINGS[0].event_time_ms + n * WINDOW_MS) for n in range(4)]


def lines(readings: Iterable[Reading]) -> bytes:
    return b"".join(line + b"\n" for line in encode_readings(Readings.of(readings)))


def csv_of(readings: Iterable[Reading]) -> bytes:
    rows = [f"{one.sensor_id},{one.event_time_ms},{one.value_milli / 1000}\n" for one in readings]
    return b"sensor_id,event_time,temperature\n" + "".join(rows).encode()


def parquet_of(readings: list[Reading], path: Path) -> None:
    table = pyarrow.table(
        {
            "sensor_id": [one.sensor_id for one in readings],
            "event_time": [one.event_time_ms for one in readings],
            "temperature": [one.value_milli / 1000 for one in readings],
        }
    )
    pyarrow.parquet.write_table(table, path, row_group_size=7)


def store() -> SimulatedStore:
    return SimulatedStore(S3State().apply, "bucket")


def run_of(folder: Path, *, lake: SimulatedStore, rolled: Iterable[Window] = ()) -> BackfillRun:
    source = FilesOfMachine()
    files = source.find(str(folder))
    plan = plan_parts(source, files, rolled=sorted(rolled, key=lambda one: one.start_ms))
    digest = backfill_id(source, files, contract="")
    return BackfillRun(digest=digest, plan=keep_plan(lake, digest, plan), source=source, lake=lake)


def written(lake: SimulatedStore) -> dict[Window, Partial]:
    """The union of each window's partials."""
    found: dict[Window, list[Partial]] = {}
    for listed in lake.list_objects(PARTIALS):
        stored = lake.get(listed.key)
        assert stored is not None
        found.setdefault(parse_partial_key(listed.key).window, []).append(decode_partial(stored.body)[0])
    return {window: union(window, partials) for window, partials in found.items()}


def expected() -> dict[Window, Partial]:
    return {one.window: one for one in partials_of(Readings.of(READINGS))}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_plan, "PART_BYTES_MAX", 300)
    monkeypatch.setattr(backfill_plan, "PART_ROWS_MAX", 8)


def test_files_of_every_form_become_the_same_windows(tmp_path: Path) -> None:
    """Lines, CSV with its first row before every part, row groups, packed text; old ones are not too late."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS[:20]))
    (tmp_path / "b.csv").write_bytes(csv_of(READINGS[20:40]))
    parquet_of(READINGS[40:50], tmp_path / "c.parquet")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines(READINGS[50:])))
    (tmp_path / "_SUCCESS").write_bytes(b"1")
    lake = store()
    run = run_of(tmp_path, lake=lake)
    assert len(run.plan.parts) > 6
    for number in range(len(run.plan.parts)):
        run.part(number)
    report = report_of(run)
    assert written(lake) == expected()
    assert report.adds_up
    assert not replace(report, size_bytes=report.size_bytes + 1).adds_up
    assert not replace(report, missing=(99,)).adds_up
    lost = replace(report.parts[0], found=report.parts[0].found + 1)
    assert not replace(report, parts=(lost, *report.parts[1:])).adds_up
    assert (report.files, report.total("found"), report.total("payloads")) == (4, 60, 60)
    assert report.unrolled == len({key for one in report.parts for key in one.markers})


def test_a_backfill_goes_on_where_it_was(tmp_path: Path) -> None:
    """Parts with a report are not read again; the others are, whatever they had written."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS))
    lake = store()
    run = run_of(tmp_path, lake=lake)
    first, *others = range(len(run.plan.parts))
    run.part(first)
    assert report_of(run).missing == tuple(others)
    assert not report_of(run).adds_up
    again = run_of(tmp_path, lake=lake)
    assert (again.digest, again.plan) == (run.digest, run.plan)
    read: list[tuple[int, int]] = []

    class Watched(FilesOfMachine):
        def read(self, file: HistoryFile, start: int, end: int) -> bytes:
            read.append((start, end))
            return super().read(file, start, end)

    watched = replace(again, source=Watched())
    for number in (first, *others):
        watched.part(number)
    assert read == [(piece.start, piece.end) for part in run.plan.parts[1:] for piece in part]
    assert report_of(watched).adds_up
    assert written(lake) == expected()


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_backfill_that_is_killed_at_any_request_loses_nothing(tmp_path: Path, after: bool) -> None:
    """Started again, it has the same partials, each is named by a marker that asks for its roll, and counts add up."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS[:24]))
    truth = {one.window: one for one in partials_of(Readings.of(READINGS[:24]))}

    def do(lake: SimulatedStore) -> BackfillReport:
        run = run_of(tmp_path, lake=lake)
        for number in range(len(run.plan.parts)):
            run.part(number)
        return report_of(run)

    whole = S3State()
    operations: list[Operation] = []
    do(SimulatedStore(recording(whole.apply, operations), "bucket"))
    for at in range(0, len(operations), 3):
        state = S3State()
        with pytest.raises(Crash):
            do(SimulatedStore(crashing(state.apply, at=at, after=after), "bucket"))
        lake = SimulatedStore(state.apply, "bucket")
        assert do(lake).adds_up
        assert written(lake) == truth
        bodies = [lake.get(one.key) for one in lake.list_objects(BACKFILL_MARKERS)]
        marked = {marker.digest for one in bodies if one is not None for marker in decode_backfill_marker(one.body)}
        assert marked == {parse_partial_key(one.key).digest for one in lake.list_objects(PARTIALS)}


SPREAD = [Reading(f"s{n % 3}", START_MS - DAYS_MS + n * 20_000, 0, n) for n in range(60)] + READINGS[:3]
"""Two of four windows' readings are in several parts, and three are there twice."""


def rolled_by_a_tick(folder: Path, change: Callable[[SimulatedStore], None]) -> tuple[BackfillRun, SimulatedStore]:
    """A backfill of SPREAD, with something done to the lake before the dispatcher rolls its windows."""
    (folder / "a.jsonl").write_bytes(lines(SPREAD))
    state = S3State()
    lake, results = (SimulatedStore(state.apply, name) for name in ("lake", "results"))
    run = run_of(folder, lake=lake)
    for number in range(len(run.plan.parts)):
        run.part(number)
    change(lake)
    Tick(
        buckets=Buckets(lake=lake, results=results),
        lifetimes=Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24),
        scheduled_time_ms=START_MS,
    ).run()
    return run, results


def first_partial(lake: SimulatedStore) -> tuple[str, bytes]:
    key = next(one.key for one in lake.list_objects(PARTIALS))
    stored = lake.get(key)
    assert stored is not None
    return key, stored.body


def lose(lake: SimulatedStore) -> None:
    """A partial is gone before it is rolled."""
    lake.delete(first_partial(lake)[0])


def double(lake: SimulatedStore) -> None:
    """The same set comes from somewhere else, too."""
    key, body = first_partial(lake)
    origin = Origin(stream="other", shard="shardId-000000000000", first=1, last=1)
    lake.put(str(replace(parse_partial_key(key), origin=origin)), body)


def inflate(lake: SimulatedStore) -> None:
    """A part has counted more readings than it has written."""
    key = next(one.key for one in lake.list_objects(BACKFILLS) if "/windows/" in one.key)
    stored = lake.get(key)
    assert stored is not None
    (start_ms, digest, readings), *others = json.loads(stored.body)
    lake.put(key, json.dumps([[start_ms, digest, readings + 9], *others]).encode())


def inflate_shared(lake: SimulatedStore) -> None:
    """The same, and others have written to the window."""
    inflate(lake)
    share(lake)


def share(lake: SimulatedStore) -> None:
    """Somebody else has a reading in the first window."""
    more = Partial.of(WINDOWS[0], Readings.of([Reading("other", WINDOWS[0].start_ms, 0, 1)]))
    origin = Origin(stream="other", shard="shardId-000000000000", first=1, last=1)
    key = PartialKey(window=WINDOWS[0], origin=origin, digest=more.digest)
    lake.put(str(key), encode_partial(more, DeliveryCounts()))


@pytest.mark.parametrize(
    ("change", "said"),
    [(lose, "1 of its"), (double, "were counted"), (inflate, "were counted"), (inflate_shared, "were counted")],
)
def test_a_window_without_what_was_written_is_told(
    tmp_path: Path, change: Callable[[SimulatedStore], None], said: str
) -> None:
    """The lineages are from the other side, so the counts of the parts do not vouch for themselves."""
    run, results = rolled_by_a_tick(tmp_path, change)
    report = report_of(run)
    assert report.adds_up
    found = checked(run, report, results)
    assert found.check is not None
    assert (found.check.windows, found.check.wrong, found.check.open) == (4, 1, 0)
    assert said in found.check.examples[0]
    assert not found.adds_up


def test_windows_with_what_was_written_are_right(tmp_path: Path) -> None:
    """Also those that others write to, later or before; and those that wait are said to."""
    run, results = rolled_by_a_tick(tmp_path, share)
    report = report_of(run)
    found = checked(run, report, results)
    assert found.adds_up
    assert found.check == WindowCheck(windows=4, open=0, shared=1, wrong=0, examples=())
    assert report.total("duplicates") + report.total("readings") == len(SPREAD)
    nothing = checked(run, report, store())
    assert nothing.check is not None
    assert (nothing.check.open, nothing.adds_up) == (4, True)
    run.lake.delete(backfill_windows_key(run.digest, 0))
    with pytest.raises(ValueError, match=r"windows/00000\.json is gone"):
        checked(run, report, results)
    results.put(lineage_key(WINDOWS[1]), b"{}")
    run.lake.put(backfill_windows_key(run.digest, 0), b"[]")
    broken = checked(run, report, results).check
    assert broken is not None
    assert "cannot be read" in broken.examples[0]


def test_readings_that_a_part_loses_do_not_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that gets into no partial is not taken for a duplicate."""
    (tmp_path / "a.jsonl").write_bytes(lines(SPREAD))
    sound = window_partials

    def losing(readings: Readings) -> Iterator[Partial]:
        return sound(readings.take(np.arange(len(readings) - 1)))

    monkeypatch.setattr(backfill_part, "window_partials", losing)
    run = run_of(tmp_path, lake=store())
    for number in range(len(run.plan.parts)):
        run.part(number)
    assert not report_of(run).adds_up


@given(st.lists(st.tuples(st.sampled_from("abc"), *[st.integers(0, 2)] * 3), max_size=20))
def test_distinct_readings_are_those_of_a_set(rows: list[tuple[str, int, int, int]]) -> None:
    """Identity and value."""
    assert distinct_readings(Readings.of([Reading(*row) for row in rows])) == len(set(rows))


def test_the_plan_that_was_stored_first_holds(tmp_path: Path) -> None:
    """Windows that the backfill itself had rolled since are none that it leaves alone."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS))
    lake = store()
    run_of(tmp_path, lake=lake)
    assert run_of(tmp_path, lake=lake, rolled=WINDOWS).plan.rolled == ()
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS[1:]))
    assert run_of(tmp_path, lake=lake, rolled=WINDOWS[:1]).plan.rolled == ((WINDOWS[0].start_ms, WINDOWS[0].start_ms),)


def test_what_does_not_count_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """Bad lines by reason, duplicates, windows that were rolled, files that cannot be read."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS) + b"{}\n" + lines(READINGS[-1:]))
    (tmp_path / "b.xml").write_bytes(b"<a/>")
    (tmp_path / "c.csv").write_bytes(b"sensor_id,sensor_id\n1,2\n")
    lake = store()
    run = run_of(tmp_path, lake=lake, rolled=[WINDOWS[1]])
    for number in range(len(run.plan.parts)):
        run.part(number)
    report = report_of(run)
    assert report.adds_up
    assert [Path(name).name for name, _ in report.refused_files] == ["b.xml"]
    assert report.total("refused") == 24
    assert sum(report.rejected.values()) == 2
    assert Reason.UPLOAD_UNREADABLE in report.rejected
    assert report.total("left_out") == len(expected()[WINDOWS[1]])
    assert report.total("found") == report.total("readings") + report.total("left_out") + report.total("duplicates")
    assert written(lake) == {window: one for window, one in expected().items() if window != WINDOWS[1]}
    assert any("c.csv, bytes 0 to 24" in one for one in report.to_fields()["examples"])


def test_a_file_that_changes_belongs_to_another_backfill(tmp_path: Path) -> None:
    """Nothing of it is read any more; the part has no report, and the others go on."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(READINGS))
    run = run_of(tmp_path, lake=store())
    path.write_bytes(lines(READINGS[1:]))
    with pytest.raises(WindrowError, match="has changed"):
        run.part(0)
    assert report_of(run).missing == tuple(range(len(run.plan.parts)))
    path.unlink()
    with pytest.raises(WindrowError, match="is gone"):
        run.part(0)


def test_a_plan_is_stored_and_read_back(tmp_path: Path) -> None:
    """To the last field; what is none is refused, and so is a report."""
    parquet_of(READINGS, tmp_path / "a.parquet")
    lake = store()
    run = run_of(tmp_path, lake=lake, rolled=[*WINDOWS[:2], WINDOWS[3]])
    assert stored_plan(lake, run.digest) == run.plan
    assert run.plan.rolled == ((WINDOWS[0].start_ms, WINDOWS[1].start_ms), (WINDOWS[3].start_ms, WINDOWS[3].start_ms))
    assert [run.plan.is_rolled(one) for one in WINDOWS] == [True, True, False, True]
    done = run.part(0)
    assert PartReport.from_json(done.to_json()) == done == run.report_on(0)
    for kind in (HistoryPlan, PartReport):
        with pytest.raises(ValueError, match="not the"):
            kind.from_json(b"{}")


def test_rolled_windows_are_those_with_a_lineage() -> None:
    """On all days, ascending."""
    results = store()
    for window in (WINDOWS[2], WINDOWS[0], Window(START_MS)):
        results.put(lineage_key(window), b"{}")
    assert all_rolled(results) == [WINDOWS[0], WINDOWS[2], Window(START_MS)]
    assert list(runs_of([])) == []


def test_too_many_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan has a bound, and says it."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS))
    monkeypatch.setattr(backfill_plan, "PARTS_MAX", 2)
    with pytest.raises(UsageError, match="at most 2"):
        run_of(tmp_path, lake=store())


def test_ticks_go_on_until_nothing_waits(tmp_path: Path) -> None:
    """A tick that rolls something is followed by another; three that roll nothing end it."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS))
    lake = store()
    run = run_of(tmp_path, lake=lake)
    for number in range(len(run.plan.parts)):
        run.part(number)
    outcomes = iter([RollOutcome.DEFERRED, RollOutcome.ROLLED, RollOutcome.DEFERRED, RollOutcome.ROLLED])
    markers = iter([one.key for one in lake.list_objects(BACKFILL_MARKERS)])

    def tick() -> TickReport:
        outcome = next(outcomes, RollOutcome.FROZEN)
        if outcome is RollOutcome.ROLLED:
            lake.delete(next(markers))
        return cast("TickReport", SimpleNamespace(outcomes=Counter([outcome])))

    before = report_of(run)
    after = roll_all(run, before, tick=tick)
    assert after.unrolled == before.unrolled - 2
    assert after.parts == before.parts


def test_objects_are_found_and_read_as_they_were() -> None:
    """By a key, or by a folder; a range of the bytes with this tag, and nothing of others."""
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    entries = [
        {"Key": key, "ETag": f'"{key}"', "Size": size, "LastModified": at}
        for key, size in [("h", 3), ("h/a", 5), ("h/_SUCCESS", 1), ("h/empty", 0), ("hx", 7)]
    ]
    source = ObjectsOfBucket(s3, "archive")
    with Stubber(s3) as stubber:
        for path in ("h", "h/"):
            stubber.add_response("list_objects_v2", {"Contents": entries}, {"Bucket": "archive", "Prefix": path})
        (found,) = source.find("h")
        assert found == HistoryFile(key="h", version="h", written_ms=1_700_000_000_000, size_bytes=3)
        assert [one.key for one in source.find("h/")] == ["h/a"]
        request = {"Bucket": "archive", "Key": "h", "Range": "bytes=1-2", "IfMatch": '"h"'}
        body: Any = SimpleNamespace(read=lambda: b"xy")
        stubber.add_response("get_object", {"Body": body}, request)
        assert source.read(found, 1, 3) == b"xy"
        for status, said in ((412, "has changed"), (404, "is gone"), (403, "GetObject s3://archive/h")):
            stubber.add_client_error("get_object", "X", http_status_code=status, expected_params=request)
            with pytest.raises(WindrowError, match=said) as caught:
                source.read(found, 1, 3)
            assert isinstance(caught.value, StoreError) == (status == 403)


def test_files_are_of_one_place(tmp_path: Path) -> None:
    """One backfill reads one bucket, or this machine; what is named twice counts once."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS))
    path = str(tmp_path / "a.jsonl")
    assert len(find_history([path, str(tmp_path)], None).files) == 1
    for names in (["s3://a/x", path], ["s3://a/x", "s3://b/x"], ["s3:///x"], [str(tmp_path / "none")]):
        with pytest.raises(UsageError):
            find_history(names, None)
    assert len(plan_only(find_history([path], None)).parts) > 2


def test_a_dry_run_needs_no_stage(tmp_path: Path) -> None:
    """It shows what would be read in how many pieces, and what would be left out."""
    (tmp_path / "a.jsonl").write_bytes(lines(READINGS))
    (tmp_path / "b.xml").write_bytes(b"<a/>")
    result = CliRunner().invoke(windrow, ["backfill", str(tmp_path), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "a.jsonl: " in result.stdout
    assert "b.xml: left out: " in result.stdout
    assert "nothing is written" in result.stderr
