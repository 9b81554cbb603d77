"""What named scenarios are made of: a few readings, records straight into the stream, and the verdict at the end."""

import json
from collections.abc import Callable, Sequence

from tests.oracle import Fact
from tests.simulation.gateway import Parcel
from tests.simulation.payloads import plain
from tests.simulation.simulated_kinesis import HeldRecord
from tests.simulation.simulated_mapping import Options
from tests.simulation.verdict import faults_of
from tests.simulation.world import START_MS, Setup, World
from windrow.window import WINDOW_MS, Window
from windrow.wire.kpl import UserRecord, aggregate

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIRST = Window(START_MS)
"""The window in which every scenario begins."""
RECORDS = 8
GATHERED = Options(window_ms=10_000)
DIRECT = Setup(shards=1, options=GATHERED)
FANOUT = Setup(shards=1, modes=("fanout",), options=GATHERED)
AT_ONCE = Options(window_ms=0)
EACH_ALONE = Options(window_ms=0, batch_records_max=1)


def facts(count: int = 6, *, first_ms: int = START_MS, step_ms: int = 37_000, sensors: int = 3) -> list[Fact]:
    """`count` readings, one after the other, of `sensors` sensors; twelve of them fill more than a window."""
    return [(f"s{number % sensors}", first_ms + number * step_ms, 0, 20_000 + 7 * number) for number in range(count)]


def parcels(world: World, sent: Sequence[Fact]) -> list[Parcel]:
    """The readings as a gateway takes them; the ledger knows what they are."""
    return [Parcel(fact[0], world.ledger.knows(plain(fact), fact)) for fact in sent]


def put(world: World, payloads: Sequence[bytes], *, shard: int = 0, is_aggregated: bool = True) -> list[HeldRecord]:
    """Payloads that the ledger knows, straight into an open shard, now: one aggregate, or a record each."""
    bodies = [aggregate([UserRecord("key", payload) for payload in payloads])] if is_aggregated else list(payloads)
    return [put_body(world, body, shard=shard) for body in bodies]


def put_body(world: World, body: bytes, *, shard: int = 0) -> HeldRecord:
    """One record, told accepted."""
    hash_key = world.stream.open_shards[shard].first_hash_key
    entry = {"Data": body, "PartitionKey": "a", "ExplicitHashKey": str(hash_key)}
    held = world.stream.put(entry, now_ms=world.now_ms)
    assert held is not None
    world.ledger.made[body] += 1
    return held


def put_facts(world: World, sent: Sequence[Fact], *, shard: int = 0, is_aggregated: bool = False) -> list[HeldRecord]:
    """Readings, straight into a shard; a record each unless they are aggregated."""
    payloads = [world.ledger.knows(plain(fact), fact) for fact in sent]
    return put(world, payloads, shard=shard, is_aggregated=is_aggregated)


def numbers_in(event: bytes) -> list[int]:
    """The sequence numbers of an event."""
    return [int(record["kinesis"]["sequenceNumber"]) for record in json.loads(event)["Records"]]


def holding(record: HeldRecord, *, alone_too: bool, times: int = 10**9) -> Callable[[bytes], bool]:
    """Whether an event holds `record`, and others beside it unless `alone_too`; at most so many times."""
    left = times

    def breaks(event: bytes) -> bool:
        nonlocal left
        numbers = numbers_in(event)
        if left and record.sequence_number in numbers and (alone_too or len(numbers) > 1):
            left -= 1
            return True
        return False

    return breaks


def settled_faults(world: World) -> list[str]:
    """What is wrong after everything has calmed down and a day has passed."""
    world.settle()
    return faults_of(world)


def rows_bytes(world: World) -> dict[str, bytes]:
    """Every rows object."""
    stored = world.s3.buckets.get("results", {})
    return {key: one.body for key, one in stored.items() if key.startswith("aggregates/")}


def eight_records(world: World) -> list[HeldRecord]:
    """One batch's worth, over two windows."""
    return put_facts(world, facts(RECORDS, step_ms=53_000))


__all__ = [
    "AT_ONCE",
    "DAY_MS",
    "DIRECT",
    "EACH_ALONE",
    "FANOUT",
    "FIRST",
    "GATHERED",
    "HOUR_MS",
    "MINUTE_MS",
    "RECORDS",
    "START_MS",
    "WINDOW_MS",
    "Fact",
    "HeldRecord",
    "Options",
    "Parcel",
    "Setup",
    "World",
    "eight_records",
    "facts",
    "faults_of",
    "holding",
    "numbers_in",
    "parcels",
    "put",
    "put_body",
    "put_facts",
    "rows_bytes",
    "settled_faults",
]
