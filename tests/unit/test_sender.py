"""The sender: the shard of every reading, also while the stream is split and merged under way."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from producers.sender import REFRESH_SECONDS_MIN, Sender, Wire
from producers.shards import ShardMap
from producers.simulation import RunOptions, send
from producers.writer import WAITING_BYTES_MAX, Writer
from tests.simulation.kcl_reader import Range, kcl_payloads
from tests.simulation.scripted_stream import ScriptedStream, even_shards, hash_key_of
from windrow.aws.stream import HASH_KEY_MAX, Answers, OutgoingRecord, Shard
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.reading import Reading
from windrow.wire.block import is_block
from windrow.wire.block.block import decode_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import MAGIC, deaggregate

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


class ReshardedAgain(ScriptedStream):
    """A stream whose shards are replaced, by the next generation of them, before the requests with these numbers.

    sees_late: a look at the shards shows what a look just before would have shown.
    """

    def __init__(
        self,
        generations: Sequence[list[Shard]],
        *,
        at_requests: Sequence[int] | None = None,
        sees_late: bool = False,
    ) -> None:
        super().__init__(generations[0])
        self.generations = generations
        self.ranges = {
            one.shard_id: Range(one.first_hash_key, one.last_hash_key) for part in generations for one in part
        }
        self._at_requests = range(1, 2 * len(generations) - 1, 2) if at_requests is None else at_requests
        self._current = 0
        self._seen = list(generations[0])
        self._sees_late = sees_late

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        self._current = sum(number <= len(self.requests) for number in self._at_requests)
        self.shards = self.generations[self._current]
        return super().put_records(records)

    def list_shards(self) -> list[Shard]:
        closed = [replace(one, is_open=False) for part in self.generations[: self._current] for one in part]
        shown, self._seen = self._seen, [*closed, *self.shards]
        return shown if self._sees_late else self._seen


def generation(number: int, count: int) -> list[Shard]:
    """`count` shards with ids of their own."""
    return [replace(shard, shard_id=f"{shard.shard_id}.{number}") for shard in even_shards(count)]


def uneven_generation(number: int, random: Random) -> list[Shard]:
    """A few shards, some of them narrow."""
    cuts = sorted({0, *(random.randrange(1, HASH_KEY_MAX) for _ in range(random.randrange(5)))})
    return [
        Shard(shard_id=f"shardId-{place}.{number}", first_hash_key=first, last_hash_key=end - 1)
        for place, (first, end) in enumerate(pairwise([*cuts, HASH_KEY_MAX + 1]))
    ]


def kcl_readings(stream: ReshardedAgain) -> set[Reading]:
    """The readings that a KCL consumer is given."""
    payloads = kcl_payloads(((stored.shard_id, stored.record.body) for stored in stream.stored), stream.ranges)
    return {one for payload in payloads for one in contents(OutgoingRecord(partition_key="", body=payload))}


def cut(record: OutgoingRecord) -> OutgoingRecord:
    """Its last octet is missing."""
    return replace(record, body=record.body[:-1])


def sender_to(
    stream: Resharded | ReshardedAgain,
    wire: Wire,
    *,
    resends_strays: bool = False,
    target_bytes: int = 2_000,
    cuts: bool = False,
    waiting_bytes_max: int = WAITING_BYTES_MAX,
) -> Sender:
    ticks = iter(range(10**9))
    return Sender(
        Writer(stream, rate_limit=None, waiting_bytes_max=waiting_bytes_max),
        ShardMap(stream.shards),
        wire=wire,
        target_bytes=target_bytes,
        list_shards=stream.list_shards,
        resends_strays=resends_strays,
        clock=lambda: next(ticks) * REFRESH_SECONDS_MIN / 4,
        sleep=lambda _seconds: None,
        on_record=lambda record: [cut(record) if cuts else record],
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize("target_bytes", [90, 2_000], ids=["plain records", "aggregates"])
@pytest.mark.parametrize("counts", [(2, 5), (5, 2), (3, 3), (1, 2, 4), (1, 4, 1), (4, 2, 3, 8)], ids=str)
@pytest.mark.parametrize("sees_late", [False, True], ids=["", "list lags behind"])
def test_a_kcl_consumer_gets_every_reading_across_reshards(
    wire: Wire, target_bytes: int, counts: tuple[int, ...], sees_late: bool
) -> None:
    """Whatever is split or merged under way, what the KCL leaves out somewhere it gets elsewhere."""
    stream = ReshardedAgain([generation(number, count) for number, count in enumerate(counts)], sees_late=sees_late)
    sender = sender_to(stream, wire, resends_strays=True, target_bytes=target_bytes, waiting_bytes_max=8_000)
    sent: set[Reading] = set()
    for batch in readings(FLEET, batch_samples_max=150):
        sender.send(batch)
        sender.cut()
        sent.update(batch)
    sender.flush()
    assert stream.shards == stream.generations[-1]
    assert sender.counters.misplaced > 0
    assert kcl_readings(stream) == sent


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_kcl_consumer_gets_every_reading_whatever_the_shards(random: Random) -> None:
    """The same for ranges of any size, that change after any request, twice in a row too."""
    generations = [uneven_generation(number, random) for number in range(random.randint(2, 6))]
    requests = sorted(random.randint(0, 12) for _ in generations[1:])
    stream = ReshardedAgain(generations, at_requests=requests, sees_late=random.random() < 0.5)
    target_bytes = random.choice([90, 400, 2_000])
    sender = sender_to(stream, Wire.JSON, resends_strays=True, target_bytes=target_bytes, waiting_bytes_max=3_000)
    sent: set[Reading] = set()
    for batch in readings(replace(FLEET, sensors=40), batch_samples_max=40):
        sender.send(batch)
        sender.cut()
        sent.update(batch)
    sender.flush()
    assert kcl_readings(stream) == sent


def test_an_aggregate_of_one_record_is_sent_again_too() -> None:
    """A payload that begins as an aggregate does is never plain, and left out though it is alone."""
    stream = ReshardedAgain([generation(0, 1), generation(1, 4)], at_requests=[0])
    sender = sender_to(stream, Wire.JSON, resends_strays=True)
    payloads = [MAGIC + b"%d" % number for number in range(20)]
    for number, payload in enumerate(payloads):
        sender.send_payloads(Strings.of([f"sensor-{number}"]), np.zeros(1, np.int64), [payload])
        sender.cut()
    sender.flush()
    given = kcl_payloads(((stored.shard_id, stored.record.body) for stored in stream.stored), stream.ranges)
    assert set(given) == set(payloads)
    assert sender.counters.resent > 0


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(Wire))
def test_without_resending_a_kcl_consumer_misses_aggregates_and_no_blocks(wire: Wire) -> None:
    """The loss that `resends_strays` is for, so that the tests above test something."""
    stream = ReshardedAgain([generation(0, 2), generation(1, 5)])
    sender = sender_to(stream, wire)
    sent: set[Reading] = set()
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.flush()
        sent.update(batch)
    assert (kcl_readings(stream) >= sent) == (wire is Wire.BLOCKS)


@pytest.mark.parametrize("counts", [(2, 5), (1, 4, 1), (4, 2)], ids=str)
def test_blocks_are_never_sent_again_for_a_kcl_consumer(counts: tuple[int, ...]) -> None:
    """They are plain records, which the KCL never leaves out: each reading is stored once."""
    stream = ReshardedAgain([generation(number, count) for number, count in enumerate(counts)])
    sender = sender_to(stream, Wire.BLOCKS, resends_strays=True)
    count = 0
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.flush()
        count += len(batch)
    assert sender.counters.misplaced > 0
    assert sum(len(contents(stored.record)) for stored in stream.stored) == count
    assert (sender.counters.readings, sender.counters.resent) == (count, 0)


def test_an_aggregate_that_is_not_left_out_is_not_sent_again() -> None:
    """After a merge every key is in the range of the shard that its record is in."""
    stream = ReshardedAgain([generation(0, 4), generation(1, 2)])
    sender = sender_to(stream, Wire.JSON, resends_strays=True)
    count = 0
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.flush()
        count += len(batch)
    assert sender.counters.misplaced > 0
    assert (sender.counters.readings, sender.counters.resent) == (count, 0)


def test_what_is_sent_again_is_counted() -> None:
    """`readings` counts what the stream has acknowledged, and `resent` how much of it is there for the second time."""
    stream = ReshardedAgain([generation(0, 1), generation(1, 3)])
    sender = sender_to(stream, Wire.JSON, resends_strays=True)
    count = 0
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.flush()
        count += len(batch)
    assert sender.counters.resent > 0
    assert sender.counters.readings == count + sender.counters.resent


def test_a_cut_aggregate_is_not_sent_again_for_a_kcl_consumer() -> None:
    """It fails its MD5, so it is a plain record to the KCL; and nothing else is lost beside it."""
    stream = ReshardedAgain([generation(0, 1), generation(1, 4)])
    sender = sender_to(stream, Wire.JSON, resends_strays=True, cuts=True)
    for batch in readings(FLEET, batch_samples_max=300):
        sender.send(batch)
        sender.flush()
    assert sender.counters.misplaced > 0
    assert sender.counters.resent == 0
    assert len({stored.record.body for stored in stream.stored}) == len(stream.stored)


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
        options = RunOptions(wire=wire, list_shards=stream.list_shards)
        report = send(
            fleet,
            run_id="",
            stream=stream,
            shard_map=ShardMap(even_shards(1)),
            writer=Writer(stream, rate_limit=None),
            options=options,
        )
        assert report.counters.readings == report.totals.payloads
