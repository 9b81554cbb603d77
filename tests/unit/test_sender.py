"""The sender: the shard of every reading, also while the stream is split and merged under way."""

from collections import Counter
from collections.abc import Sequence

import pytest

from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from producers.sender import REFRESH_SECONDS_MIN, Sender, Wire
from producers.shards import ShardMap
from producers.simulation import Options, send
from producers.writer import Writer
from tests.simulation.scripted_stream import ScriptedStream, even_shards, hash_key_of
from windrow.block import decode_block, is_block
from windrow.errors import WindrowError
from windrow.kpl import deaggregate
from windrow.reading import Reading
from windrow.reading_json import parse_reading
from windrow.stream import Answers, OutgoingRecord, Shard

FLEET = FleetSpec(seed=1, sensors=300, start_ms=1_763_640_000_000, end_ms=1_763_640_100_000)


class Resharded(ScriptedStream):
    """A stream whose shards change before some request; `asked`: how often somebody asked for them."""

    def __init__(self, shards: Sequence[Shard], *, later: Sequence[Shard], at_request: int) -> None:
        super().__init__(shards)
        self._later = later
        self._at_request = at_request
        self.asked = 0
        self.is_amid_reshard = False

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        if len(self.requests) == self._at_request:
            self.shards = list(self._later)
        return super().put_records(records)

    def list_shards(self) -> list[Shard]:
        self.asked += 1
        return self.shards[1:] if self.is_amid_reshard else self.shards


def renamed(shards: Sequence[Shard]) -> list[Shard]:
    """The same ranges under new ids, as after a reshard."""
    return [
        Shard(shard_id=f"{shard.shard_id}9", first_hash_key=shard.first_hash_key, last_hash_key=shard.last_hash_key)
        for shard in shards
    ]


def sender_to(stream: Resharded, wire: Wire, *, resends_strays: bool = False) -> Sender:
    ticks = iter(range(10**9))
    return Sender(
        Writer(stream, pace=None),
        ShardMap(stream.shards),
        wire=wire,
        target_bytes=2_000,
        list_shards=stream.list_shards,
        resends_strays=resends_strays,
        clock=lambda: next(ticks) * REFRESH_SECONDS_MIN / 4,
        sleep=lambda _seconds: None,
    )


def contents(record: OutgoingRecord) -> list[Reading]:
    user_records = deaggregate(record.body)
    payloads = [record.body] if user_records is None else [one.payload for one in user_records]
    return [
        one
        for payload in payloads
        for one in (decode_block(payload) if is_block(payload) else [parse_reading(payload)])
    ]


def is_at_home(shard: Shard, reading: Reading) -> bool:
    key = hash_key_of(OutgoingRecord(partition_key=reading.sensor_id, body=b""))
    return shard.first_hash_key <= key <= shard.last_hash_key


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (3, 2)])
def test_a_reshard_loses_nothing_and_doubles_nothing(wire: Wire, before: int, after: int) -> None:
    """Whatever becomes of the shards, every reading is in the stream once, and the last ones are where they belong."""
    stream = Resharded(even_shards(before), later=renamed(even_shards(after)), at_request=2)
    sender = sender_to(stream, wire)
    sent: Counter[Reading] = Counter()
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.flush()
        sent.update(batch)
    assert Counter(one for stored in stream.stored for one in contents(stored.record)) == sent
    assert sender.counters.misplaced > 0
    by_id = {shard.shard_id: shard for shard in stream.shards}
    last = stream.stored[-after:]
    assert all(is_at_home(by_id[stored.shard_id], one) for stored in last for one in contents(stored.record))


def test_what_waits_is_made_anew_for_the_shards_that_are() -> None:
    """One request shows that the shards are others; what was made for the old ones goes into new records."""
    stream = Resharded(even_shards(1), later=renamed(even_shards(4)), at_request=0)
    sender = sender_to(stream, Wire.JSON)
    longer = FleetSpec(seed=1, sensors=300, start_ms=FLEET.start_ms, end_ms=FLEET.start_ms + 900_000)
    for batch in readings(longer, batch_samples_max=300):  # more records than one request takes
        sender.send(batch)
    sender.flush()
    by_id = {shard.shard_id: shard for shard in stream.shards}
    strays = [
        stored
        for stored in stream.stored
        if not all(is_at_home(by_id[stored.shard_id], one) for one in contents(stored.record))
    ]
    assert 0 < len(strays) <= len(stream.requests[0])
    assert len(stream.stored) > 3 * len(strays)


@pytest.mark.parametrize("wire", list(Wire))
def test_for_kcl_consumers_strays_are_sent_again_to_their_own_shard(wire: Wire) -> None:
    """Dropping what is outside a shard's range then drops nothing that is not there elsewhere."""
    stream = Resharded(even_shards(2), later=renamed(even_shards(5)), at_request=1)
    sender = sender_to(stream, wire, resends_strays=True)
    sent: set[Reading] = set()
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.cut()
        sent.update(batch)
    sender.flush()
    by_id = {shard.shard_id: shard for shard in [*even_shards(2), *stream.shards]}
    kept = Counter(
        one for stored in stream.stored for one in contents(stored.record) if is_at_home(by_id[stored.shard_id], one)
    )
    assert set(kept) == sent


def test_amid_a_reshard_the_shards_are_asked_for_again_later() -> None:
    """A list with a hole is not taken; everything is sent all the same."""
    stream = Resharded(even_shards(2), later=renamed(even_shards(4)), at_request=1)
    stream.is_amid_reshard = True
    sender = sender_to(stream, Wire.JSON)
    count = 0
    for number, batch in enumerate(readings(FLEET, batch_samples_max=300)):
        stream.is_amid_reshard = number < 5
        sender.send(batch)
        sender.flush()
        count += len(batch)
    assert stream.asked > 1
    assert sum(len(contents(stored.record)) for stored in stream.stored) == count
    assert not sender._is_stale


def test_a_failed_look_at_the_shards_stops_nothing() -> None:
    """What could not be asked is asked later."""
    stream = Resharded(even_shards(2), later=renamed(even_shards(4)), at_request=0)
    sender = sender_to(stream, Wire.JSON)

    def fail() -> list[Shard]:
        raise WindrowError("throttled")

    sender._list_shards = fail
    for batch in readings(FLEET):
        sender.send(batch)
    sender.flush()
    assert sender.counters.readings == sum(map(len, readings(FLEET)))


def test_a_cut_aggregate_survives_a_reshard_as_it_is() -> None:
    """Nobody can make it anew; it is sent as it was."""
    stream = Resharded(even_shards(1), later=renamed(even_shards(4)), at_request=0)
    fleet = FleetSpec(
        seed=1, sensors=300, start_ms=FLEET.start_ms, end_ms=FLEET.end_ms, faults=Faults(truncated=0.5, malformed=0.05)
    )
    for wire in Wire:
        options = Options(wire=wire, list_shards=stream.list_shards)
        report = send(
            fleet,
            run_id="",
            stream=stream,
            shard_map=ShardMap(even_shards(1)),
            writer=Writer(stream, pace=None),
            options=options,
        )
        assert report.counters.readings == report.totals.payloads
