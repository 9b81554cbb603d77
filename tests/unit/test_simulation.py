"""A simulated run: what reaches the stream is the fleet's truth and its faults, and the manifest tells of it."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from producers import fleet
from producers.faults import MALFORMED, Faults, Malformation
from producers.fleet import FleetSpec
from producers.fleet_batches import first_pass
from producers.manifest import Manifest, complete_run, stored_runs
from producers.realtime import TICK_MS, Pacer
from producers.sender import Wire
from producers.shards import ShardMap
from producers.simulation import DryRunStream, RunOptions, RunProgress, RunReport, run, run_id_of, send
from producers.writer import Writer
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.scripted_stream import ScriptedStream, even_shards
from tests.simulation.simulated_s3 import S3State, SimulatedStore, losing_acknowledgement
from windrow.aws.stream import Answers, OutgoingRecord
from windrow.errors import WindrowError
from windrow.lake.layout import simulation_key
from windrow.reading import EARLINESS_MS_MAX, BadReading, Reading, Readings
from windrow.wire.block import is_block
from windrow.wire.block.block import decode_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import BrokenAggregate, deaggregate

pytestmark = pytest.mark.slow

START_MS = 1_763_640_000_000
FAULTS = Faults(malformed=0.1, duplicates=0.2, late=0.1, shuffled=0.5)
ALL_FAULTS = Faults(**{rate.name: 0.15 for rate in dataclasses.fields(Faults)})
SPEC = FleetSpec(seed=3, sensors=40, start_ms=START_MS, end_ms=START_MS + 600_000, faults=FAULTS)
RUN_ID = "20261120T100000Z-00000000"
PAYLOAD = encode_readings(Readings.of([("site-01/sensor-000001", START_MS, 17, -1_250)]))[0]


def lake(state: S3State | None = None) -> SimulatedStore:
    return SimulatedStore((state or S3State()).apply, "lake")


def simulate(spec: FleetSpec, stream: ScriptedStream, wire: Wire = Wire.JSON) -> RunReport:
    options = RunOptions(wire=wire)
    return run(spec, run_id=RUN_ID, stream=stream, shards=stream.shards, store=lake(), options=options)


def user_payloads(stream: ScriptedStream) -> list[tuple[int, bytes]]:
    """(number of the record, payload) for everything in the stream, in the order it was sent; no broken records."""
    return [(number, payload) for number, payloads in records(stream) if payloads for payload in payloads]


def records(stream: ScriptedStream) -> list[tuple[int, list[bytes] | None]]:
    """Number and JSON payloads of every record, in the order it was sent; None for one that is broken as a whole."""
    sent = [record for request in stream.requests for record in request]
    assert len(sent) == len(stream.stored)
    return [(number, json_payloads(record.body)) for number, record in enumerate(sent)]


def json_payloads(body: bytes) -> list[bytes] | None:
    try:
        user_records = deaggregate(body)
        if is_block(body):
            return encode_readings(decode_block(body))
    except (BrokenAggregate, BadReading):
        return None
    return [body] if user_records is None else [one.payload for one in user_records]


def sound(payload: bytes) -> Reading | None:
    """The reading of a payload that counts when it arrives as the fleet's last reading is taken."""
    try:
        reading = parse_reading(payload)
    except BadReading:
        return None
    age_ms = SPEC.end_ms - reading.event_time_ms
    return reading if -EARLINESS_MS_MAX <= age_ms <= LATENESS_HORIZON_MS else None


def truth(spec: FleetSpec) -> set[Reading]:
    return {reading for batch in fleet.readings(spec) for reading in batch}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("wire", list(Wire))
def test_the_sound_readings_in_the_stream_are_the_truth(shards: int, wire: Wire) -> None:
    """With all faults on, the distinct readings are exactly those that the spec says, and the totals count them."""
    stream = ScriptedStream(even_shards(shards))
    spec = dataclasses.replace(SPEC, faults=ALL_FAULTS, sensors=400)
    totals = simulate(spec, stream, wire).totals

    readings = [sound(payload) for _, payload in user_payloads(stream)]
    assert {reading for reading in readings if reading} == truth(spec)
    assert totals.readings == len(truth(spec))
    assert totals.truncated == [payloads for _, payloads in records(stream)].count(None) > 0
    assert totals.malformed == readings.count(None) > 0
    assert totals.repeated == len(readings) - totals.readings - totals.malformed > 0
    assert totals.payloads == len(readings)


def test_a_repeated_reading_comes_in_another_record() -> None:
    """No record holds one payload twice, so that only the union of what they become can remove it."""
    stream = ScriptedStream()
    simulate(SPEC, stream)
    occurrences = Counter(payload for _, payload in user_payloads(stream) if sound(payload))
    assert 2 in occurrences.values()
    assert max(Counter(pair for pair in user_payloads(stream) if sound(pair[1])).values()) == 1


def test_late_readings_come_a_little_or_a_lot_after_their_time() -> None:
    """Each is sent once: a little late amid those of later times, very late after everything else."""
    stream = ScriptedStream()
    spec = dataclasses.replace(SPEC, sensors=2_000, interval_ms=60_000, faults=Faults(late=0.3))
    sent_ms = [
        int(time_ms) for delivery in first_pass(spec, batch_steps_max=1) for time_ms in delivery.readings.event_time_ms
    ]
    behind_ms = np.maximum.accumulate(sent_ms) - np.array(sent_ms)
    assert 0.01 < np.mean(behind_ms > 2 * spec.interval_ms) < 0.2
    simulate(spec, stream)
    times_ms = [parse_reading(payload).event_time_ms for _, payload in user_payloads(stream)]
    turn = next(place for place in range(1, len(times_ms)) if times_ms[place - 1] - times_ms[place] > 300_000)
    assert 0.7 < turn / len(times_ms) < 0.9
    assert len(times_ms) == len(truth(spec))


def test_an_echo_is_the_same_bytes_at_once() -> None:
    """Twice in a row, and counted as sent again."""
    stream = ScriptedStream()
    totals = simulate(dataclasses.replace(SPEC, faults=Faults(echoes=0.3)), stream).totals
    payloads = [payload for _, payload in user_payloads(stream)]
    twice = sum(one == other for one, other in itertools.pairwise(payloads))
    assert twice == totals.repeated
    assert 0.2 < twice / totals.readings < 0.4


def test_by_the_clock_nothing_is_sent_before_it_is_measured() -> None:
    """Nor much later; it is the same fleet."""
    now_ms = SPEC.start_ms
    lags_ms: list[int] = []

    class Watching(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            for record in records:
                lags_ms.extend(now_ms - parse_reading(one).event_time_ms for one in json_payloads(record.body) or [])
            return super().put_records(records)

    def sleep(seconds: float) -> None:
        nonlocal now_ms
        now_ms += round(seconds * 1_000)

    stream = Watching()
    spec = dataclasses.replace(SPEC, faults=Faults(echoes=0.1))
    pacer = Pacer(now_ms=lambda: now_ms, sleep=sleep)
    options = RunOptions(pacer=pacer)
    report = run(spec, run_id=RUN_ID, stream=stream, shards=stream.shards, store=lake(), options=options)
    assert min(lags_ms) >= 0
    assert max(lags_ms) <= TICK_MS + spec.interval_ms // 10 + 1
    assert report.totals.repeated > 0
    assert {sound(payload) for _, payload in user_payloads(stream)} == truth(spec)


def test_a_run_that_is_terminated_sends_what_it_has_made() -> None:
    """The manifest stays planned, but what was counted is in the stream."""
    stream = ScriptedStream()
    made = 0

    def terminate(progress: RunProgress) -> None:
        nonlocal made
        made = progress.payloads
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=lake(), progress=terminate)
    assert len(user_payloads(stream)) == made > 0


def test_shuffled_readings_are_the_same_ones_in_another_order() -> None:
    """Nothing but the order changes, and it does change."""
    plain, shuffled = ScriptedStream(), ScriptedStream()
    simulate(dataclasses.replace(SPEC, faults=Faults()), plain)
    simulate(dataclasses.replace(SPEC, faults=Faults(shuffled=0.5)), shuffled)
    in_order = [payload for _, payload in user_payloads(plain)]
    out_of_order = [payload for _, payload in user_payloads(shuffled)]
    assert sorted(in_order) == sorted(out_of_order)
    moved = sum(one != other for one, other in zip(in_order, out_of_order, strict=True))
    assert 0.4 < moved / len(in_order) < 0.6


def test_malformed_payloads_sit_among_sound_neighbours() -> None:
    """Their aggregates hold sound readings before and behind them."""
    stream = ScriptedStream()
    simulate(SPEC, stream)
    first = [sound(payload) for number, payload in user_payloads(stream) if number == 0]
    assert any(
        before and not broken and after for before, broken, after in zip(first, first[1:], first[2:], strict=False)
    )


@pytest.mark.parametrize("kind", MALFORMED, ids=lambda kind: kind.name)
def test_every_malformed_kind_is_refused(kind: Malformation) -> None:
    """Each is no reading, or one that its arrival rules out; the sound payload it came from is one."""
    assert sound(PAYLOAD) is not None
    assert sound(kind.apply(PAYLOAD)) is None


def test_every_malformed_kind_occurs() -> None:
    """A fleet of nothing but malformed payloads has all of them."""
    stream = ScriptedStream()
    totals = simulate(dataclasses.replace(SPEC, faults=Faults(malformed=1.0)), stream).totals
    assert totals.readings == 0
    sent = {payload for _, payload in user_payloads(stream)}
    originals = encode_readings(Readings.of(truth(dataclasses.replace(SPEC, faults=Faults()))))
    for kind in MALFORMED:
        assert sent & {kind.apply(payload) for payload in originals}, kind.name


def test_the_manifest_is_planned_before_and_completed_after() -> None:
    """While records go out it says planned; afterwards it has the totals and each shard's last number."""
    store = lake()
    seen: list[Manifest] = []

    class Watching(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            seen.extend(stored_runs(store))
            return super().put_records(records)

    stream = Watching(even_shards(2))
    report = run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=store)

    assert [one.is_completed for one in seen] == [False]
    (completed,) = stored_runs(store)
    assert completed == Manifest(
        run_id=RUN_ID,
        stream="scripted",
        fleet=SPEC,
        is_completed=True,
        totals=report.totals,
        counters=report.counters,
        last_sequence_numbers=report.last_sequence_numbers,
    )
    assert set(completed.last_sequence_numbers) == {shard.shard_id for shard in stream.shards}
    assert truth(completed.fleet) == truth(SPEC)


def test_a_run_that_fails_stays_planned() -> None:
    """The truth of what it sent is unknown, and the manifest says so."""
    store = lake()
    stream = ScriptedStream(refuse=lambda _request, _position: "InternalFailure")
    writer = Writer(stream, uniform=lambda: 0.0)
    with pytest.raises(WindrowError, match="InternalFailure"):
        run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=store, writer=writer)
    assert [one.is_completed for one in stored_runs(store)] == [False]


def test_two_runs_never_share_a_manifest() -> None:
    """The second is refused before it sends anything."""
    store, stream = lake(), ScriptedStream()
    run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=store)
    requests = len(stream.requests)
    with pytest.raises(WindrowError, match="exists already"):
        run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=store)
    assert len(stream.requests) == requests


def test_completing_survives_a_lost_acknowledgement() -> None:
    """A conditional write that was stored and retried by the client is refused on its own success."""
    state = S3State()
    store = SimulatedStore(losing_acknowledgement(state.apply, at=1), "lake")
    stream = ScriptedStream()
    run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=store)
    assert [one.is_completed for one in stored_runs(store)] == [True]


def test_completing_over_another_hand_is_refused() -> None:
    """A manifest that changed meanwhile is not overwritten."""
    store = lake()
    store.put(simulation_key(RUN_ID), b"{}")
    with pytest.raises(WindrowError, match="was changed"):
        complete_run(store, Manifest(run_id=RUN_ID, stream="s", fleet=SPEC), etag="other")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "run_id": "x"}'])
def test_a_manifest_that_cannot_be_read_is_named(body: bytes) -> None:
    """The error names the key, so that it can be looked at."""
    store = lake()
    store.put(simulation_key("odd"), body)
    with pytest.raises(WindrowError, match=simulation_key("odd")):
        list(stored_runs(store))


def test_a_dry_run_counts_what_the_run_would_send() -> None:
    """Readings, records and bytes are those of the real run."""
    stream = ScriptedStream(even_shards(2))
    real = simulate(SPEC, stream)
    dry = send(SPEC, run_id="", stream=DryRunStream("scripted"), shard_map=ShardMap(stream.shards))
    assert (dry.totals, dry.counters) == (real.totals, real.counters)


def test_progress_only_ever_rises_to_the_totals() -> None:
    """It ends with everything sent and stored."""
    steps: list[RunProgress] = []
    stream = ScriptedStream()
    report = run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=lake(), progress=steps.append)
    assert [step.payloads for step in steps] == sorted(step.payloads for step in steps)
    assert steps[-1] == RunProgress(report.totals.payloads, report.counters)


def test_the_run_id_tells_time_and_spec_apart() -> None:
    """It begins with when the run began, and differs with the spec."""
    other = dataclasses.replace(SPEC, seed=4)
    ids = {run_id_of(SPEC, started_ms=START_MS), run_id_of(other, started_ms=START_MS), run_id_of(SPEC, started_ms=0)}
    assert len(ids) == 3
    assert run_id_of(SPEC, started_ms=START_MS).startswith("20251120T120000Z-")
