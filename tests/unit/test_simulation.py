"""A simulated run: what reaches the stream is the fleet's truth and its faults, and the manifest tells of it."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import pytest

from producers import fleet
from producers.aggregator import ShardMap
from producers.faults import MALFORMED, Faults, Malformed
from producers.fleet import FleetSpec
from producers.manifest import Manifest, complete_run, stored_runs
from producers.simulation import NowhereStream, Progress, RunReport, run, run_id_of, send
from producers.writer import Writer
from tests.simulation.scripted_stream import ScriptedStream, even_shards
from tests.simulation.simulated_s3 import S3State, SimulatedStore, losing_acknowledgement
from windrow.errors import WindrowError
from windrow.kinesis import Answers, OutgoingRecord
from windrow.kpl import deaggregate
from windrow.layout import simulation_key
from windrow.reading import EARLINESS_MS_MAX, LATENESS_HORIZON_MS, BadReading, Reading, Readings
from windrow.reading_json import encode_readings, parse_reading

START_MS = 1_763_640_000_000
FAULTS = Faults(malformed=0.1, duplicates=0.2, late=0.1, shuffled=0.5)
SPEC = FleetSpec(seed=3, sensors=40, start_ms=START_MS, end_ms=START_MS + 600_000, faults=FAULTS)
RUN_ID = "20261120T100000Z-00000000"
PAYLOAD = encode_readings(Readings.of([("site-01/sensor-000001", START_MS, 17, -1_250)]))[0]


def lake(state: S3State | None = None) -> SimulatedStore:
    return SimulatedStore((state or S3State()).apply, "lake")


def simulate(spec: FleetSpec, stream: ScriptedStream) -> RunReport:
    return run(spec, run_id=RUN_ID, stream=stream, shards=stream.shards, store=lake())


def user_payloads(stream: ScriptedStream) -> list[tuple[int, bytes]]:
    """(number of the record, payload) for everything in the stream, in the order it was stored."""
    found = []
    for number, stored in enumerate(stream.stored):
        user_records = deaggregate(stored.record.body)
        payloads = [stored.record.body] if user_records is None else [one.payload for one in user_records]
        found += [(number, payload) for payload in payloads]
    return found


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
def test_the_sound_readings_in_the_stream_are_the_truth(shards: int) -> None:
    """With all faults on, the distinct readings are exactly those that the spec says, and the totals count them."""
    stream = ScriptedStream(even_shards(shards))
    totals = simulate(SPEC, stream).totals

    readings = [sound(payload) for _, payload in user_payloads(stream)]
    assert {reading for reading in readings if reading} == truth(SPEC)
    assert totals.readings == len(truth(SPEC))
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


def test_late_readings_come_after_all_others() -> None:
    """They are sent once, when everything else has been sent."""
    stream = ScriptedStream()
    spec = dataclasses.replace(SPEC, faults=Faults(late=0.3))
    simulate(spec, stream)
    times_ms = [parse_reading(payload).event_time_ms for _, payload in user_payloads(stream)]
    turn = next(place for place in range(1, len(times_ms)) if times_ms[place - 1] - times_ms[place] > 300_000)
    assert 0.6 < turn / len(times_ms) < 0.8
    assert len(times_ms) == len(truth(spec))


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
def test_every_malformed_kind_is_refused(kind: Malformed) -> None:
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
    writer = Writer(stream, sleep=lambda _seconds: None)
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
    dry = send(SPEC, run_id="", stream=NowhereStream("scripted"), shard_map=ShardMap(stream.shards))
    assert (dry.totals, dry.counters) == (real.totals, real.counters)


def test_progress_only_ever_rises_to_the_totals() -> None:
    """It ends with everything sent and stored."""
    steps: list[Progress] = []
    stream = ScriptedStream()
    report = run(SPEC, run_id=RUN_ID, stream=stream, shards=stream.shards, store=lake(), progress=steps.append)
    assert [step.payloads for step in steps] == sorted(step.payloads for step in steps)
    assert steps[-1] == Progress(report.totals.payloads, report.counters)


def test_the_run_id_tells_time_and_spec_apart() -> None:
    """It begins with when the run began, and differs with the spec."""
    other = dataclasses.replace(SPEC, seed=4)
    ids = {run_id_of(SPEC, started_ms=START_MS), run_id_of(other, started_ms=START_MS), run_id_of(SPEC, started_ms=0)}
    assert len(ids) == 3
    assert run_id_of(SPEC, started_ms=START_MS).startswith("20251120T120000Z-")
