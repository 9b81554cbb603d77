"""The vectorised JSON encoder: every payload is one object that means its reading, in an unchanging form."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property import strategies
from windrow.columns.strings import Strings
from windrow.reading import SEQUENCE_MAX, Reading, Readings
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import parse_reading


def spelled(reading: Reading) -> bytes:
    """Encode one reading the simple way."""
    sign, milli = "-" if reading.value_milli < 0 else "", abs(reading.value_milli)
    return (
        f'{{"sensor_id":{json.dumps(reading.sensor_id, ensure_ascii=False)},"event_time":{reading.event_time_ms},'
        f'"temperature":{sign}{milli // 1000}.{milli % 1000:03},"sequence":{reading.sequence}}}'
    ).encode()


_times = st.one_of(
    st.sampled_from(
        [0, 1, 9_999, 10_000, 99_999_999, 100_000_000, 10**12, INSTANT_MS_MIN, INSTANT_MS_MAX, -1, -10_000]
    ),
    st.integers(INSTANT_MS_MIN, INSTANT_MS_MAX),
)
_sequences = st.one_of(
    st.sampled_from([0, 9, 10, 9_999, 10_000, 10**8, 10**16, SEQUENCE_MAX]), st.integers(0, SEQUENCE_MAX)
)


def _readings(sensor_ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[Reading]]:
    return st.lists(
        st.builds(
            Reading,
            sensor_id=sensor_ids,
            event_time_ms=_times,
            sequence=_sequences,
            value_milli=strategies.values_milli,
        ),
        max_size=30,
    )


@given(_readings(st.one_of(strategies.sensor_ids, st.text('"\\\n\r\t\x00\x1f\x7f/é', min_size=1, max_size=5))))
def test_payloads_equal_those_encoded_one_by_one(readings: list[Reading]) -> None:
    """For any ids, times, sequences and temperatures, whatever their widths."""
    assert encode_readings(Readings.of(readings)) == [spelled(reading) for reading in readings]


@given(_readings(st.one_of(strategies.sensor_ids, st.text('"\\/é', min_size=1, max_size=5))))
def test_the_strict_reader_is_the_inverse(readings: list[Reading]) -> None:
    """Nothing is lost on the wire."""
    assert [parse_reading(payload) for payload in encode_readings(Readings.of(readings))] == readings


@pytest.mark.parametrize("first", [0, 99_999_990, 100_000_000, 1_763_600_000_000, 17 * 10**16, SEQUENCE_MAX - 10**8])
@pytest.mark.parametrize("step", [1, 1_001, 9_999, 99_999_999])
def test_numbers_that_begin_alike_keep_their_zeros(first: int, step: int) -> None:
    """All but the last eight digits are written once if all rows share them, and never if one has others."""
    numbers = [min(first + step * number, SEQUENCE_MAX) for number in range(9)]
    times = [min(number, INSTANT_MS_MAX) for number in numbers]
    readings = [Reading("a", time, number, 1) for time, number in zip(times, numbers, strict=True)]
    assert encode_readings(Readings.of(readings)) == [spelled(reading) for reading in readings]


def test_many_rows_are_encoded_in_several_sweeps() -> None:
    """More rows than one matrix holds, with ids of different lengths, not all of them used."""
    count = 20_000
    number = np.arange(count)
    ids = Strings.of(f"{'s' * (which % 90 + 1)}-{which}" for which in range(300))
    readings = Readings(
        ids, (number * 7 % 250).astype(np.int32), number * 1_000_003, number % 3, (number - 9_999).astype(np.int32)
    )
    assert encode_readings(readings) == [spelled(reading) for reading in readings]


@pytest.mark.parametrize(
    ("column", "value"),
    [("sequence", -1), ("sequence", -(2**63)), ("event_time_ms", -(2**63))],
)
@pytest.mark.parametrize("row", [0, 1, 2_999])
@pytest.mark.parametrize("beside", [0, 12_345_678, SEQUENCE_MAX])
def test_numbers_that_cannot_be_encoded_are_refused(column: str, value: int, row: int, beside: int) -> None:
    """The error names the row; writing another number instead would change the identity."""
    numbers = {"event_time_ms": np.full(3_000, 1), "sequence": np.full(3_000, beside)}
    numbers[column][row] = value
    readings = Readings(
        Strings.of(["roof"]), np.zeros(3_000, np.int32), value_milli=np.zeros(3_000, np.int32), **numbers
    )
    with pytest.raises(ValueError, match=f"row {row}: {column} {value} cannot be encoded"):
        encode_readings(readings)


def test_no_readings_are_no_payloads() -> None:
    """An empty batch is valid."""
    assert encode_readings(Readings.of([])) == []
