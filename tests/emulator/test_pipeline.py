"""The whole way on the embedded stack: stream in, rows out, equal to the truth, whatever is delivered twice.

Each test works in windows of its own, hours apart, so that none depends on another.
"""

import gzip
import io
import itertools
import json
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner

from dispatcher.report import RollOutcome, TickReport
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from processors.event import Record
from producers.faults import Faults
from producers.fleet import FleetSpec
from producers.simulation import RunReport
from tests.consuming import encode_event
from tests.emulator.conftest import SHARDS, STAGE, ignore
from windrow import settings
from windrow.aws.clients import Place
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.lake import layout
from windrow.reading import Reading, Readings
from windrow.rows.lineage import Lineage
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window, windows_between
from windrow.wire.block.block import encode_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate
from windrow_cli.main import windrow as cli
from windrow_operations.draining import wait_until_drained
from windrow_operations.rewinding import recreate_mapping, replay_everything, rows_digests
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event
from windrow_operations.verifying import verify_stage

HOUR_MS = 3_600_000
SENSORS = 50
WINDOWS = 3
_hours_back = itertools.count(3)


class Pipeline:
    """A deployed stage and what the tests do to it."""

    def __init__(self, stage: Stage, home: Path) -> None:
        self.stage = stage
        self.home = home
        self.lake = stage.lake
        self.results = stage.results

    def simulate(self, start_ms: int, *, seed: int, faults: Faults) -> RunReport:
        fleet = FleetSpec(
            seed=seed,
            sensors=SENSORS,
            sites=5,
            interval_ms=10_000,
            start_ms=start_ms,
            end_ms=start_ms + WINDOWS * WINDOW_MS,
            quantities=("temperature", "humidity"),
            faults=faults,
        )
        report = simulate_fleet(fleet, self.stage, now_ms=now_ms())
        wait_until_drained(self.stage, report.last_sequence_numbers)
        return report

    def put(self, body: bytes) -> Stored:
        """Put one record and wait until it is consumed; what the stream answered."""
        (answer,) = self.stage.stream.put_records([OutgoingRecord(partition_key="a", body=body)]).entries
        assert isinstance(answer, Stored)
        wait_until_drained(self.stage, {answer.shard_id: int(answer.sequence_number)})
        return answer

    def tick(self) -> TickReport:
        return invoke_tick(self.stage, tick_event(now_ms(), is_dry_run=False))

    def lineage(self, window: Window) -> Lineage:
        stored = self.results.get(layout.lineage_key(window))
        assert stored is not None
        return Lineage.from_json(stored.body)

    def windows(self) -> set[Window]:
        """The windows that have partials."""
        return {layout.parse_partial_key(one.key).window for one in self.lake.list_objects(layout.PARTIALS)}

    def rows(self, window: Window) -> dict[str, dict[str, object]]:
        stored = self.results.get(layout.rows_key(window))
        assert stored is not None
        rows = pyarrow.parquet.read_table(io.BytesIO(stored.body)).to_pylist()
        return {row["sensor_id"]: row for row in rows}


@pytest.fixture(scope="session", params=["direct", "fanout"])
def pipeline(request: pytest.FixtureRequest, place: Place, home: Path) -> Pipeline:
    """The session's stage in direct mode, and one beside it whose batches are fanned out."""
    if request.param == "direct":
        return Pipeline(request.getfixturevalue("stack"), home)
    options = DeploymentOptions(shard_count=SHARDS, mode="fanout", is_scheduled=False)
    stage = stacks.apply(plan_deployment(place, f"{STAGE}fanout", options), ignore).stage
    assert stage.mode == "fanout"
    return Pipeline(stage, home)


@pytest.fixture
def start_ms() -> int:
    """The start of an hour in the past that no other test touches."""
    return (now_ms() // HOUR_MS - next(_hours_back)) * HOUR_MS


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def json_of(*readings: Reading) -> list[bytes]:
    return encode_readings(Readings.of(readings))


def outcomes(report: TickReport) -> dict[Window, RollOutcome]:
    return {window.window: window.outcome for window in report.windows}


def test_every_row_equals_the_truth_with_all_faults_on(pipeline: Pipeline, start_ms: int) -> None:
    """Duplicates, malformed, late and shuffled readings: every row and every column is what it must be."""
    faults = Faults(malformed=0.01, duplicates=0.05, late=0.05, shuffled=0.2)
    sent = pipeline.simulate(start_ms, seed=1, faults=faults)
    assert sent.totals.malformed > 0
    assert sent.totals.repeated > 0
    pipeline.tick()
    verification = verify_stage(pipeline.stage, home=pipeline.home, run_id=sent.run_id)
    assert verification.is_exact, str(verification)
    assert verification.readings == sent.totals.readings
    assert verification.rows == 2 * SENSORS * WINDOWS  # each measures two quantities


def test_a_rewind_changes_no_byte(pipeline: Pipeline, start_ms: int) -> None:
    """Everything is delivered twice more, by replay and by a new mapping; rows and revisions stay."""
    windows = windows_between(start_ms, start_ms + WINDOWS * WINDOW_MS)
    pipeline.simulate(start_ms, seed=2, faults=Faults(duplicates=0.02))
    pipeline.tick()
    before = rows_digests(pipeline.stage, windows)
    revisions = [pipeline.lineage(window).revision for window in windows]
    assert len(before) == WINDOWS
    assert replay_everything(pipeline.stage, now_ms=now_ms()) > 0
    with_partials = pipeline.windows()
    recreate_mapping(pipeline.stage, now_ms=now_ms())
    assert pipeline.windows() == with_partials  # what marks the end is no reading
    pipeline.tick()
    assert rows_digests(pipeline.stage, windows) == before
    assert [pipeline.lineage(window).revision for window in windows] == revisions


def test_a_late_reading_changes_one_window_and_raises_its_revision(pipeline: Pipeline, start_ms: int) -> None:
    """It joins its own window, by its marker, and no other."""
    windows = windows_between(start_ms, start_ms + WINDOWS * WINDOW_MS)
    pipeline.simulate(start_ms, seed=3, faults=Faults())
    pipeline.tick()
    before = rows_digests(pipeline.stage, windows)
    late = Reading("latecomer", windows[1].start_ms + 7, 0, 12_345)
    pipeline.put(json_of(late)[0])
    reported = outcomes(pipeline.tick())
    after = rows_digests(pipeline.stage, windows)
    assert [window for window in windows if before[window] != after[window]] == [windows[1]]
    assert reported[windows[1]] is RollOutcome.ROLLED
    assert [pipeline.lineage(window).revision for window in windows] == [1, 2, 1]
    assert pipeline.rows(windows[1])["latecomer"]["sum_milli"] == 12_345
    assert not list(pipeline.lake.list_objects(f"{layout.MARKERS}dt="))


def test_blocks_and_json_in_one_batch_make_one_row(pipeline: Pipeline, start_ms: int) -> None:
    """A gateway's block and a sensor's JSON, in one aggregate and alone, are readings of one set."""
    readings = [Reading("mixed", start_ms + second * 1_000, 0, 20_000 + second) for second in range(6)]
    mixed = [encode_block(Readings.of(readings[:2])), *json_of(*readings[2:4])]
    pipeline.put(aggregate([UserRecord("k", payload) for payload in mixed]))
    pipeline.put(encode_block(Readings.of(readings[3:])))
    pipeline.tick()
    row = pipeline.rows(Window(start_ms))["mixed"]
    assert (row["readings"], row["sum_milli"]) == (6, 120_015)


def test_what_counts_after_a_redrive_joins_its_window(
    pipeline: Pipeline, start_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was given up and bytes that are nothing: listed, shown and redriven by the commands, twice."""
    lost, sent = Reading("lost", start_ms, 0, 1_000), Reading("sent", start_ms, 0, 2_000)
    stored = pipeline.put(json_of(sent)[0])
    failures = pipeline.stage.failures
    key = f"aws/lambda/00000000-0000-0000-0000-000000000000/{stored.shard_id}/2026/11/20/{start_ms}"
    failures.put(key, given_up_batch(pipeline.stage, stored, json_of(lost)[0]))
    junk = pipeline.put(b"\x1b]0;gotcha\x07")

    monkeypatch.setenv(settings.HOME, str(pipeline.home))
    monkeypatch.setenv(settings.STAGE, pipeline.stage.name)
    listed = windrow("quarantine", "list", "--from", "-10m", "--reason", "not_json")
    assert "not_json" in listed
    shown = windrow("quarantine", "show", "--from", "-10m", "--sequence-number", junk.sequence_number)
    assert r"\x1b]0;gotcha\x07" in shown
    assert "1 payloads of 1 objects would take 1 invocations" in windrow("redrive", "--on-failure", "--dry-run")
    for _ in range(2):
        assert "1 invocations, 0 failed" in windrow("redrive", "--on-failure")
        windrow("redrive", "--quarantined", "--from", "-10m", "--reason", "not_json")
    pipeline.tick()

    rows = pipeline.rows(Window(start_ms))
    assert {sensor: row["sum_milli"] for sensor, row in rows.items()} == {"lost": 1_000, "sent": 2_000}
    assert windrow("quarantine", "list", "--from", "-10m", "--reason", "not_json") == listed


def given_up_batch(stage: Stage, like: Stored, body: bytes) -> bytes:
    """What Lambda writes for a batch of one record, which is where another is but for its body."""
    record = Record(
        stream_arn=f"arn:aws:kinesis:us-east-1:000000000000:stream/{stage.stream_name}",
        shard=like.shard_id,
        sequence_number=like.sequence_number,
        arrival_ms=now_ms(),
        partition_key="a",
        payload=body,
    )
    arrived = format_rfc3339(record.arrival_ms)
    return json.dumps(
        {
            "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 51},
            "version": "1.0",
            "KinesisBatchInfo": {
                "shardId": record.shard,
                "startSequenceNumber": record.sequence_number,
                "endSequenceNumber": record.sequence_number,
                "approximateArrivalOfFirstRecord": arrived,
                "approximateArrivalOfLastRecord": arrived,
                "batchSize": 1,
                "streamArn": record.stream_arn,
            },
            "payload": encode_event([record]).decode(),
        }
    ).encode()


def windrow(*arguments: str) -> str:
    """What a command prints; it must succeed."""
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_malformed_reading_amid_an_aggregate_is_quarantined_and_its_neighbours_count(
    pipeline: Pipeline, start_ms: int
) -> None:
    """The bad payload is kept with its reason and its bytes; the two around it are in the rows."""
    broken = b'{"sensor_id":"middle","event_time":"yesterday","temperature":1}'
    first, last = json_of(Reading("before", start_ms, 0, 1_000), Reading("after", start_ms, 0, 2_000))
    known = {listed.key for listed in pipeline.lake.list_objects(layout.QUARANTINE)}
    pipeline.put(aggregate([UserRecord("k", payload) for payload in (first, broken, last)]))
    pipeline.tick()
    rows = pipeline.rows(Window(start_ms))
    assert {sensor: row["sum_milli"] for sensor, row in rows.items()} == {"before": 1_000, "after": 2_000}
    (key,) = {listed.key for listed in pipeline.lake.list_objects(layout.QUARANTINE)} - known
    stored = pipeline.lake.get(key)
    assert stored is not None
    (quarantined,) = map(json.loads, gzip.decompress(stored.body).splitlines())
    assert (quarantined["reason"], quarantined["index"]) == ("event_time", 1)


def test_a_deleted_result_heals(pipeline: Pipeline) -> None:
    """The next tick that looks at the window writes the same rows again, under the same revision."""
    window = Window(now_ms() // WINDOW_MS * WINDOW_MS - 2 * WINDOW_MS)  # one of those that every tick looks at
    pipeline.put(json_of(Reading("healed", window.start_ms + 5, 0, 20_000))[0])
    pipeline.tick()
    before, revision = rows_digests(pipeline.stage, [window]), pipeline.lineage(window).revision
    pipeline.results.delete(layout.rows_key(window))
    assert outcomes(pipeline.tick())[window] is RollOutcome.ROLLED
    assert rows_digests(pipeline.stage, [window]) == before
    assert pipeline.lineage(window).revision == revision


def test_a_deleted_partial_freezes_its_window(pipeline: Pipeline, start_ms: int) -> None:
    """A result never shrinks: the window is frozen and reported, and its rows stay as they are."""
    window = Window(start_ms)
    for sensor_id in ("kept", "lost"):
        pipeline.put(json_of(Reading(sensor_id, start_ms, 0, 20_000))[0])
    pipeline.tick()
    before = rows_digests(pipeline.stage, [window])
    partials = [listed.key for listed in pipeline.lake.list_objects(layout.partials_prefix(window))]
    assert len(partials) == 2
    pipeline.lake.delete(partials[0])
    pipeline.put(json_of(Reading("latecomer", start_ms, 0, 20_000))[0])
    assert outcomes(pipeline.tick())[window] is RollOutcome.FROZEN
    assert rows_digests(pipeline.stage, [window]) == before
    pipeline.lake.delete(str(next(listed.key for listed in pipeline.lake.list_objects(layout.MARKERS))))
