"""What the wire says in more than one octet or decimal, or more than once: read to the end, and counted once.

aggregate   keys ─── hash keys ─── record: index of its key, index of its hash key, payload
event       approximateArrivalTimestamp: seconds as a binary fraction
"""

import json
from typing import Any

import pytest

from processors.event import Record
from processors.record_columns import records_of
from tests.simulation.payloads import sealed
from tests.simulation.scenes import (
    DIRECT,
    FIRST,
    MINUTE_MS,
    START_MS,
    WINDOW_MS,
    World,
    facts,
    put,
    put_body,
    put_facts,
    settled_faults,
)
from tests.simulation.simulated_mapping import event_of
from windrow.lake.layout import lineage_key

TICK_AFTER_MS = 2 * MINUTE_MS


def indexed(*, key: bytes, hash_key: bytes = b"", keys: int = 5) -> bytes:
    """An aggregate of one payload under these indices, with `keys` keys and as many hash keys."""
    record = b"\x08" + key + (b"\x10" + hash_key if hash_key else b"") + b"\x1a\x02{}"
    return sealed(b"\x0a\x01k" * keys + b"\x12\x011" * keys + b"\x1a" + bytes([len(record)]) + record)


BEYOND = {
    "hash key 129 of 5": indexed(key=b"\x00", hash_key=b"\x81\x01"),
    "key 129 of 5": indexed(key=b"\x81\x01"),
    "hash key 16,384 of 5": indexed(key=b"\x00", hash_key=b"\x80\x80\x01"),
    "hash key 5 of 5": indexed(key=b"\x00", hash_key=b"\x05"),
    "key 5 of 5": indexed(key=b"\x05"),
}


def test_an_index_beyond_its_table_breaks_the_aggregate_whatever_its_first_octet_says() -> None:
    """All of the record is in quarantine as what it is, and its neighbours count."""
    assert faults_of_indices() == []


def faults_of_indices() -> list[str]:
    """What is wrong after aggregates whose indices are beyond their tables, by the last octets alone or by one."""
    with World(1, DIRECT) as world:
        world.pass_ms(6 * MINUTE_MS)
        for body in BEYOND.values():
            world.ledger.broken[body] = "aggregate_malformed"
            put_body(world, body)
            put_facts(world, facts(3), is_aggregated=True)
        return settled_faults(world)


def test_an_aggregate_of_nothing_leaves_a_trace() -> None:
    """With keys or without: the record is in quarantine, also after a redrive, and its neighbours count."""
    assert faults_of_empty_aggregates() == []


def faults_of_empty_aggregates() -> list[str]:
    """What is wrong after sound aggregates that hold no user records, delivered and redriven."""
    with World(1, DIRECT) as world:
        world.pass_ms(6 * MINUTE_MS)
        for body in (sealed(b""), sealed(b"\x0a\x01a"), sealed(b"\x0a\x01a\x12\x011")):
            put_facts(world, facts(3), is_aggregated=True)
            put_body(world, body)
        world.drain()
        redriven = world.redrive(of_quarantine=True).delivered.records
        return ([] if redriven == 3 else [f"{redriven} records were redriven"]) + settled_faults(world)


def test_late_readings_are_counted_once_each() -> None:
    """A reading that came late three times is one late reading; one that came in time as well is none."""
    assert faults_of_late_copies() == []


def faults_of_late_copies() -> list[str]:
    """What is wrong after one batch with copies of readings in time and late, and what its lineage says."""
    with World(1, DIRECT) as world:
        world.pass_ms(WINDOW_MS + TICK_AFTER_MS - 1_000)
        in_time, both, late = facts(3, step_ms=1_000)
        put_facts(world, [in_time, both, both])
        world.pass_ms(2_000)
        put_facts(world, [both, late, late])
        put(world, [world.ledger.knows(b"{}", "missing_field")])
        put_facts(world, [late, both], is_aggregated=True)
        faults = settled_faults(world)
        told = json.loads(world.s3.buckets["results"][lineage_key(FIRST)].body)["late"]
        return faults + ([] if told == 1 else [f"{told} late readings instead of 1"])


@pytest.mark.parametrize("off_ms", [-0.4, -0.001, 0.001, 0.4])
def test_arrival_is_the_nearest_millisecond(off_ms: float) -> None:
    """A double beside a millisecond is that millisecond, as it is to a replay."""
    assert faults_of_arrivals([off_ms]) == []


def faults_of_arrivals(off_ms: list[float]) -> list[str]:
    """What is wrong with arrival times that an event spells this far from a millisecond."""
    with World(1, DIRECT) as world:
        held = put_facts(world, facts(1, first_ms=START_MS))
        event: dict[str, Any] = json.loads(event_of(world.stream, held))
    faults = []
    for off in off_ms:
        for arrival_ms in range(START_MS, START_MS + 100):
            event["Records"][0]["kinesis"]["approximateArrivalTimestamp"] = (arrival_ms + off) / 1_000
            (record,) = records_of(event)
            assert isinstance(record, Record)
            if record.arrival_ms != arrival_ms:
                faults.append(f"{(arrival_ms + off) / 1_000} s is {record.arrival_ms} ms")
    return faults
