"""The audit reads what the consumer reads, under every payload contract: the same readings of the same records."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.decode import COLUMNS, StreamTotals, decode
from processors.judge_blocks import judge_all
from tests.horizon import LATENESS_HORIZON_MS
from tests.property.contract_wire import KINDS, batch
from tests.unit.stream_records import aggregated, encoded, reading, record
from windrow.aws.stream import StreamRecord
from windrow.payloads.load import load_contract
from windrow.payloads.reader import ContractReader
from windrow.reading import READINGS_PER_RECORD_MAX, Reading, Readings
from windrow.wire.block.block import encode_block

CONTRACTS = {kind: load_contract(text) for kind, (text, _) in KINDS.items()}
ARRIVAL_MS = 1_795_169_400_000
Found = list[tuple[Any, ...]]


def bodies_of(payloads: list[bytes], rng: random.Random) -> list[bytes]:
    """The payloads in records: plain, in aggregates, beside a block in one, and in a broken aggregate."""
    block = encode_block(Readings.of([reading("block", sequence=7)]))
    bodies, rest = payloads[:5], payloads[5:]
    while rest:
        count = rng.randrange(1, 8)
        inside, rest = rest[:count], rest[count:]
        bodies.append(aggregated([*inside, block] if rng.random() < 0.3 else inside))
    return [*bodies, block, bodies[-1][:-1] + b"?", *encoded([reading("json")])]


def audited(kind: str, bodies: list[bytes]) -> Found:
    """What the audit counts."""
    records = [
        StreamRecord(shard_id="s", sequence_number=str(number), partition_key="a", arrival_ms=ARRIVAL_MS, body=body)
        for number, body in enumerate(bodies)
    ]
    frames = decode(records, StreamTotals(), horizon_ms=LATENESS_HORIZON_MS, contract=CONTRACTS[kind])
    return sorted(tuple(row[:-1]) for frame in frames for row in frame[list(COLUMNS)].itertuples(index=False))


def consumed(kind: str, bodies: list[bytes]) -> Found:
    """What the consumer counts."""
    records = [record(body, number=number, arrival_ms=ARRIVAL_MS) for number, body in enumerate(bodies)]
    judged = judge_all(records, horizon_ms=LATENESS_HORIZON_MS, reader=ContractReader(CONTRACTS[kind]))
    return sorted(map(_row, judged.readings))


def _row(one: Reading) -> tuple[Any, ...]:
    quantity = one.quantity
    return (one.sensor_id, quantity.name, quantity.unit, one.event_time_ms, one.sequence, one.value_milli)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), odd=st.sampled_from([0.0, 0.5]))
def test_the_audit_counts_what_the_consumer_counts(kind: str, seed: int, odd: float) -> None:
    """Of usual and odd payloads, whatever they come in."""
    bodies = bodies_of(batch(seed, kind, size=25, odd=odd, damaged=0.1), random.Random(seed))
    assert audited(kind, bodies) == consumed(kind, bodies)


def test_telegraf_counts_for_both() -> None:
    """Lines of a public form, with two quantities each; and what the default form would say of them is nothing."""
    bodies = bodies_of(batch(3, "telegraf", size=12, odd=0, damaged=0), random.Random(3))
    found = audited("telegraf", bodies)
    assert {quantity for _, quantity, *_ in found} == {"temperature", "humidity"}
    assert found == consumed("telegraf", bodies)
    assert len(found) > 24


@pytest.mark.slow
def test_a_record_of_too_many_readings_is_none_for_both() -> None:
    """Counted in what its payloads hold, not in payloads; the next record counts, and so does the block beside it."""
    samples = ",".join('{"probe":"p","at":1795168800,"t":1}' for _ in range(READINGS_PER_RECORD_MAX // 4 + 1))
    payload = f'{{"gateway":"g","buffer":[{samples}]}}'.encode()
    good = b'{"gateway":"g","buffer":[{"probe":"q","at":1795168800,"t":1}]}'
    block = encode_block(Readings.of([reading("block")]))
    for crowded in ([payload] * 4, [*[payload] * 4, block]):
        bodies = [aggregated(crowded), good]
        found = audited("samples", bodies)
        assert found == consumed("samples", bodies)
        assert {sensor for sensor, *_ in found} == {"g/q"} | ({"block"} if len(crowded) == 5 else set())
