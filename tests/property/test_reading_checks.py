"""What is a reading is said alike by the strict reader, the reader of columns, the judge of blocks and the producer."""

import unicodedata
from decimal import Decimal
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.judge_blocks import judge_all
from producers.reading_of import checked_readings, reading_of
from tests.property.strategies import alleged_sensor_ids
from tests.simulation.payloads import plain
from tests.unit.stream_records import record
from windrow.reading import BadReading, Reading, Readings
from windrow.wire.block.block import encode_block
from windrow.wire.json.fast import ROWS_MIN
from windrow.wire.json.strict import parse_reading, parse_readings

Fact = tuple[str, int, int, int]
"""An alleged reading: sensor_id, event_time_ms, sequence, temperature in m°C."""

TIME_MS = 1_795_169_100_000
SOUND: Fact = ("roof", TIME_MS, 7, 21_437)
# 0001-01-01T00:00:00Z, 9999-12-31T23:59:59.999Z and 2020-01-01T00:00:00Z, from another calendar (date -u +%s).
YEAR_1_MS, YEAR_9999_MS, YEAR_2020_MS = -62_135_596_800_000, 253_402_300_799_999, 1_577_836_800_000


def near(*edges: int, bits: int) -> st.SearchStrategy[int]:
    """Integers of so many bits: the edges and those beside them, and any."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    beside = [edge + step for edge in (*edges, low, high, 0) for step in (-1, 0, 1) if low <= edge + step <= high]
    return st.one_of(st.sampled_from(beside), st.integers(low, high))


times = st.one_of(
    st.just(TIME_MS),
    near(YEAR_1_MS, YEAR_9999_MS, YEAR_2020_MS, TIME_MS // 1000, TIME_MS * 1000, TIME_MS * 10**6 % 2**63, bits=64),
)
alleged = st.tuples(
    st.one_of(st.just("roof"), alleged_sensor_ids),
    times,
    st.one_of(st.just(7), near(bits=64)),
    st.one_of(st.just(21_437), near(-273_150, 10_000_000, bits=32)),
)


def reason_of(fact: Fact, *, is_put: bool = False) -> str | None:
    """Why it is no reading, written down once more; None if it is one. `is_put`: as the producer judges it."""
    sensor_id, time_ms, sequence, milli = fact
    if not 1 <= len(sensor_id) <= 128 or any(unicodedata.category(character) == "Cc" for character in sensor_id):
        return "sensor_id"
    if not YEAR_1_MS <= time_ms <= YEAR_9999_MS:
        return "event_time"
    if is_put and time_ms < YEAR_2020_MS:
        return "too_late"
    if not 0 <= sequence < 2**63:
        return "sequence"
    return None if -273_150 <= milli <= 10_000_000 else "temperature_range"


@given(alleged)
@example(("a\u0085", TIME_MS, 0, 0))
@example(("a\u00a0", YEAR_1_MS, 2**63 - 1, -273_150))
def test_the_strict_reader_says_what_the_definition_says(fact: Fact) -> None:
    """The fact as JSON gives the reading, or is bad for the expected reason."""
    reason = None
    try:
        assert parse_reading(plain(fact)) == Reading(*fact)
    except BadReading as error:
        reason = error.reason
    assert reason == reason_of(fact)


@settings(deadline=None)
@given(st.lists(alleged, min_size=1, max_size=20))
@example([("a\u0085", TIME_MS, 0, 0)])
@example([("a\x7f", TIME_MS, 0, 0)])
def test_columns_of_json_say_the_same(facts: list[Fact]) -> None:
    """Among enough sound payloads of their layout that all are tried as columns."""
    mixed = [one for fact in facts for one in (SOUND, fact, fact)] + [SOUND] * ROWS_MIN

    parsed = parse_readings([plain(fact) for fact in mixed])

    assert list(parsed.readings) == [Reading(*fact) for fact in mixed if reason_of(fact) is None]
    assert [(bad.index, bad.reason) for bad in parsed.bad] == [
        (index, reason_of(fact)) for index, fact in enumerate(mixed) if reason_of(fact) is not None
    ]


@settings(deadline=None)
@given(st.lists(alleged.filter(lambda fact: 1 <= len(fact[0]) <= 128), min_size=1, max_size=20))
@example([SOUND, ("a\u0085", TIME_MS, 0, 0), SOUND])
@example([SOUND, ("roof", -(2**63), 0, 0), ("roof", 2**63 - 1, 0, 0)])
def test_the_judge_of_blocks_says_the_same_of_each_row(facts: list[Fact]) -> None:
    """With an unlimited horizon, and as many rows as a long block has; ids of a forbidden length make a block bad."""
    block = record(encode_block(Readings.of(facts)), arrival_ms=YEAR_9999_MS)

    with mock.patch("processors.judge_blocks.bad_rows_max", return_value=256):
        judged = judge_all([block], horizon_ms=2**62)

    assert sorted(judged.readings, key=repr) == sorted(
        (Reading(*fact) for fact in facts if reason_of(fact) is None), key=repr
    )
    assert [(one.block_row, one.reason) for one in judged.rejected] == [
        (row, reason_of(fact)) for row, fact in enumerate(facts) if reason_of(fact) is not None
    ]


@given(alleged)
@example(("a\u0085", TIME_MS, 0, 0))
@example(("roof", YEAR_2020_MS - 1, 0, 0))
@example(("roof", YEAR_2020_MS, 0, 0))
def test_the_producer_says_the_same_of_a_reading(fact: Fact) -> None:
    """In addition, only readings too late for every stream are refused."""
    sensor_id, time_ms, sequence, milli = fact
    reason = None
    try:
        celsius = Decimal(milli).scaleb(-3)
        assert reading_of(sensor_id, celsius, event_time=time_ms, sequence=sequence) == Reading(*fact)
    except BadReading as error:
        reason = error.reason
    assert reason == reason_of(fact, is_put=True)


@given(st.lists(alleged, min_size=1, max_size=20), st.lists(st.just(SOUND), max_size=30))
@example([SOUND, ("a\u0085", TIME_MS, 0, 0)], [])
@example([("roof", YEAR_2020_MS - 1, 0, 0)], [SOUND])
def test_the_producer_says_the_same_of_columns(facts: list[Fact], before: list[Fact]) -> None:
    """The first bad row is named, with its reason; without a bad row the readings are unchanged."""
    rows = before + facts
    reasons = [reason_of(fact, is_put=True) for fact in rows]
    first = next((row for row, reason in enumerate(reasons) if reason is not None), None)
    if first is None:
        assert list(checked_readings(Readings.of(rows))) == [Reading(*fact) for fact in rows]
        return
    with pytest.raises(BadReading) as caught:
        checked_readings(Readings.of(rows))
    assert caught.value.reason == reasons[first]
    assert caught.value.detail.startswith(f"row {first}: ")
    assert list(checked_readings(Readings.of(rows).take(np.arange(first)))) == [Reading(*fact) for fact in rows[:first]]
