"""Arguments of `put`: what means one reading is taken exactly, and whatever else there is raises BadReading at once."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.reading_of import checked_readings, reading_of
from windrow.columns.strings import Strings
from windrow.reading import BadReading, Reading, Readings, Reason

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = 1_795_176_000_000
ROOF = Reading("roof", NOON_MS, 0, 20_000)
# Of this process's CPU: no computation on a number of usual size takes as long, on the slowest machine there is.
SECONDS_MAX = 1.0


def kind_of(value: object) -> str:
    """What a case is called: some values have no text, or a very long one."""
    return type(value).__name__


def made(**changed: Any) -> Reading:
    return reading_of(**{"sensor_id": "roof", "value": 20.0, "event_time": NOON_MS} | changed)


def refused(**changed: Any) -> BadReading:
    with pytest.raises(BadReading) as caught:
        made(**changed)
    return caught.value


class _Name(StrEnum):
    ROOF = "roof"


class _Number(IntEnum):
    SEVEN = 7


class _Liar(int):
    """An integer that says that it is another."""

    def __int__(self) -> int:
        return 99

    def __index__(self) -> int:
        return 99

    def __str__(self) -> str:
        return "99"


class _LyingFloat(float):
    def __repr__(self) -> str:
        return "99.0"

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __str__(self) -> str:
        return "1e1000000000"


class _LyingDecimal(Decimal):
    def __str__(self, *_: object) -> str:
        return "99"

    def is_finite(self) -> bool:
        return True


class _LyingStr(str):
    def __len__(self) -> int:
        return 5

    def encode(self, *_: object) -> bytes:  # type: ignore[override]
        return b"other"


class _Impostor:
    """It says that it is a str, a float and an int, and is none."""

    __class__ = int  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("no text")


class _Zone(tzinfo):
    """A time zone whose offset is whatever it was made with, or is raised."""

    def __init__(self, offset: object) -> None:
        self._offset = offset

    def utcoffset(self, _: datetime | None) -> Any:
        if isinstance(self._offset, Exception):
            raise self._offset
        return self._offset

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("celsius", "milli"),
    [
        *((20, 20_000), (-273.15, -273_150), (21.4, 21_400), (0.0005, 0), (0.0015, 2), (Decimal("2.0025"), 2_002)),
        *((Decimal("1E+3"), 1_000_000), (Decimal("-0E-300"), 0), (Fraction(1, 3), 333), (Fraction(5, 2000), 2)),
        *((np.int8(-3), -3_000), (np.uint64(7), 7_000), (np.float64(21.4), 21_400), (np.float32(21.4), 21_400)),
        *((np.float16(21.4), 21_400), (np.longdouble("21.4"), 21_400), (np.float32(1e-30), 0), (_Number.SEVEN, 7_000)),
        *((5e-324, 0), (_LyingFloat(1.5), 1_500), (_LyingDecimal("1.5"), 1_500), (_Liar(3), 3_000)),
    ],
)
def test_exact_numbers_are_temperatures(celsius: Any, milli: int) -> None:
    """Taken as the decimals that they print as, whatever else a subclass says of itself."""
    assert made(value=celsius) == Reading("roof", NOON_MS, 0, milli)


@pytest.mark.parametrize(
    "bad",
    [
        *("20", b"20", "", None, True, np.True_, [20], (20,), {}, 20j, np.complex64(20), np.array(20), np.array([20])),
        *(
            np.timedelta64(20, "s"),
            np.datetime64("2026-11-20"),
            timedelta(20),
            object(),
            float,
            _Impostor(),
            MagicMock(),
        ),
        *(float("nan"), float("inf"), -float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity")),
        *(
            np.float32("nan"),
            np.longdouble("-inf"),
            _LyingDecimal("NaN"),
            pd.NA,
            pd.NaT,
            np.str_("20"),
            np.bytes_(b"2"),
        ),
    ],
    ids=kind_of,
)
def test_what_is_no_finite_number_is_no_temperature(bad: Any) -> None:
    """In particular text: nobody guesses what it means."""
    assert refused(value=bad).reason is Reason.TEMPERATURE


@pytest.mark.parametrize(
    "huge",
    [
        *(Decimal("1E+30000000"), Decimal("-1E-30000000"), Decimal("1E+999999999999999999"), Decimal("1" * 65)),
        *(
            10**1_000_000,
            -(10**1_000_000),
            Fraction(1, 10**100_000),
            Fraction(10**100_000),
            Decimal("1." + "1" * 10**6),
        ),
        np.longdouble("1e4000"),
    ],
    ids=kind_of,
)
def test_a_number_of_any_size_is_refused_at_once(huge: Any) -> None:
    """Nothing is computed with it; one of these kept a processor busy for twenty seconds."""
    began = time.process_time()
    error = refused(value=huge)
    assert time.process_time() - began < SECONDS_MAX
    assert error.reason is Reason.TEMPERATURE
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    "hot", [10_000.001, 10**19, 1e300, Decimal("1E+999"), -273.151, Fraction(10**70), _Liar(10**6)]
)
def test_a_temperature_out_of_range_is_told_with_its_value(hot: Any) -> None:
    """As the consumer would say it."""
    assert refused(value=hot).reason is Reason.TEMPERATURE_RANGE


@pytest.mark.parametrize(
    ("event_time", "time_ms"),
    [
        *((NOON_MS, NOON_MS), (np.int64(NOON_MS), NOON_MS), (np.uint64(NOON_MS), NOON_MS), (_Liar(NOON_MS), NOON_MS)),
        (NOON + timedelta(microseconds=1_999), NOON_MS + 1),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=45))), NOON_MS),
        (pd.Timestamp("2026-11-20T12:00:00.001999999Z"), NOON_MS + 1),
        (datetime(2020, 1, 1, tzinfo=UTC), 1_577_836_800_000),
        (datetime.max.replace(tzinfo=UTC), 253_402_300_799_999),
    ],
    ids=kind_of,
)
def test_aware_datetimes_and_whole_milliseconds_are_times(event_time: Any, time_ms: int) -> None:
    """A datetime is floored to the millisecond."""
    assert made(event_time=event_time) == Reading("roof", time_ms, 0, 20_000)


@pytest.mark.parametrize(
    ("event_time", "reason", "told"),
    [
        (NOON_MS * 10**6, Reason.EVENT_TIME, "looks like nanoseconds: divide by 1,000,000"),
        (np.int64(NOON_MS * 10**6), Reason.EVENT_TIME, "looks like nanoseconds: divide by 1,000,000"),
        (10**15, Reason.EVENT_TIME, "looks like microseconds: divide by 1,000"),
        (NOON_MS * 1_000, Reason.EVENT_TIME, "looks like microseconds: divide by 1,000"),
        (NOON_MS // 1_000, Reason.TOO_LATE, "looks like seconds: multiply by 1,000"),
        (NOON_MS / 1_000, Reason.EVENT_TIME, "looks like seconds: multiply by 1,000 and round"),
        (np.float64(NOON_MS / 1_000), Reason.EVENT_TIME, "looks like seconds: multiply by 1,000 and round"),
        (float(NOON_MS), Reason.EVENT_TIME, "round milliseconds to an int"),
        (_LyingFloat(NOON_MS / 1_000), Reason.EVENT_TIME, "looks like seconds: multiply by 1,000 and round"),
        (NOON.replace(tzinfo=None), Reason.EVENT_TIME, "without a time zone"),
        (NOON.replace(tzinfo=_Zone(None)), Reason.EVENT_TIME, "without a time zone"),
        *((value, Reason.TOO_LATE, "before 2020") for value in (0, 1, -5, -62_135_596_800_000, 1_577_836_799_999)),
        (datetime(2019, 12, 31, 23, 59, 59, 999_999, UTC), Reason.TOO_LATE, "before 2020"),
        (datetime.min.replace(tzinfo=UTC), Reason.TOO_LATE, "before 2020"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), Reason.EVENT_TIME, "outside the years"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))), Reason.EVENT_TIME, "outside the years"),
        *((value, Reason.EVENT_TIME, "outside the years") for value in (2**70, -(2**70), 253_402_300_800_000)),
        (10**100_000, Reason.EVENT_TIME, "bits is outside the years"),
        (NOON.replace(tzinfo=_Zone(RuntimeError("no offset"))), Reason.EVENT_TIME, "RuntimeError"),
        (NOON.replace(tzinfo=_Zone("east")), Reason.EVENT_TIME, "TypeError"),
        (NOON.replace(tzinfo=_Zone(timedelta(days=400))), Reason.EVENT_TIME, "ValueError"),
        *(
            (value, Reason.EVENT_TIME, "not a datetime or an integer")
            for value in (
                *("2026-11-20T12:00:00Z", b"1", None, True, np.True_, Decimal(NOON_MS), date(2026, 11, 20), [NOON_MS]),
                *(np.datetime64("2026-11-20T12:00:00"), np.timedelta64(NOON_MS, "ms"), np.array(NOON_MS), _Impostor()),
                *(float("nan"), np.float32("inf"), object(), timedelta(1), MagicMock(spec=datetime), datetime),
            )
        ),
        (pd.NaT, Reason.EVENT_TIME, "ValueError"),
    ],
    ids=kind_of,
)
def test_what_is_no_time_is_told_with_what_it_may_be(event_time: Any, reason: Reason, told: str) -> None:
    """Other units, floats, no zone, and what was too late before there was a stream."""
    error = refused(event_time=event_time)
    assert error.reason is reason
    assert told in error.detail
    assert "event_time" in str(error)


def test_the_present_in_nanoseconds_is_refused() -> None:
    """As `time.time_ns` has it, which one forgets to divide."""
    assert "nanoseconds" in refused(event_time=time.time_ns()).detail


@pytest.mark.parametrize(
    ("sequence", "number"), [(0, 0), (2**63 - 1, 2**63 - 1), (np.uint8(7), 7), (_Number.SEVEN, 7), (_Liar(3), 3)]
)
def test_whole_numbers_are_sequences(sequence: Any, number: int) -> None:
    """Of any integer type, as the plain integers they are."""
    found = made(sequence=sequence)
    assert (found.sequence, type(found.sequence)) == (number, int)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            -1,
            2**63,
            2**70,
            10**100_000,
            np.uint64(2**63),
            np.int64(-1),
            2.9,
            2.0,
            np.float64(2),
            "1",
            b"1",
            None,
            True,
        ),
        *(Decimal(1), Fraction(1), np.timedelta64(1, "s"), np.array(1), [1], _Impostor(), MagicMock(spec=int)),
    ],
    ids=kind_of,
)
def test_what_is_no_whole_number_in_range_is_no_sequence(bad: Any) -> None:
    """2.9 is not 2, and text is no number."""
    assert refused(sequence=bad).reason is Reason.SEQUENCE


@pytest.mark.parametrize("name", ["roof", _Name.ROOF, np.str_("roof"), _LyingStr("roof")])
def test_a_str_of_any_class_is_an_id(name: str) -> None:
    """As the plain str it is."""
    assert made(sensor_id=name) == ROOF
    assert type(made(sensor_id=name).sensor_id) is str


@pytest.mark.parametrize(
    "bad",
    [
        *("", "x" * 129, "\ud800", "a\0", "\x1f", "a\x7f", "\u0080", "a\u009fb", _LyingStr("x" * 10**6), _LyingStr("")),
        *(b"roof", None, 7, True, ["roof"], np.array("roof"), np.bytes_(b"roof"), object(), str, MagicMock(spec=str)),
    ],
    ids=kind_of,
)
def test_what_is_no_id_is_refused(bad: Any) -> None:
    """Its length, its characters and its type."""
    error = refused(sensor_id=bad)
    assert error.reason is Reason.SENSOR_ID
    assert len(str(error)) < 200


_zones = st.one_of(
    st.timezones(), st.none(), st.sampled_from([_Zone(None), _Zone(KeyError()), _Zone(3), _Zone(timedelta(hours=1))])
)


def _numpy_scalars() -> Iterator[st.SearchStrategy[object]]:
    for code in "?bhilqBHILQefdg":
        yield st.binary(min_size=np.dtype(code).itemsize, max_size=np.dtype(code).itemsize).map(
            lambda octets, code=code: np.frombuffer(octets, code)[0]
        )


_sound = [made(), "roof", NOON, NOON_MS, 20.0, Decimal("21.4"), 0]
_anything = st.one_of(
    st.sampled_from(
        [*_sound, object(), _Impostor(), MagicMock(), _Liar(3), _LyingStr("x"), float("nan"), pd.NaT, pd.NA]
    ),
    *(st.none(), st.booleans(), st.integers(), st.integers(NOON_MS, 2 * NOON_MS), st.floats(), st.complex_numbers()),
    *(st.fractions(), st.decimals(), st.text(max_size=140), st.binary(max_size=140), st.dates(), st.timedeltas()),
    st.builds(lambda naive, zone: naive.replace(tzinfo=zone), st.datetimes(), _zones),
    st.builds(lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(), st.integers(-(10**5), 10**5)),
    st.integers(0, 10**6).map(lambda bits: 1 << bits),
    *(st.lists(st.integers(), max_size=3), st.dictionaries(st.text(), st.none(), max_size=2), st.functions()),
    *_numpy_scalars(),
    st.from_type(type),
)


@pytest.mark.filterwarnings("error")
@given(_anything, _anything, _anything, _anything)
@example("roof", 20.0, NOON, 0)
def test_any_arguments_make_a_reading_or_raise_bad_reading(
    sensor_id: Any, value: Any, event_time: Any, sequence: Any
) -> None:
    """Nothing else is raised, nothing takes long, and what is made is made of plain values."""
    for arguments in (
        (sensor_id, value, event_time, sequence),
        *(("roof", value, NOON, 0), ("roof", 20, event_time, 0), ("roof", 20, NOON, sequence)),
        (sensor_id, 20, NOON, 0),
    ):
        began = time.process_time()
        try:
            found = reading_of(*arguments[:2], event_time=arguments[2], sequence=arguments[3])
        except BadReading as error:
            assert len(str(error)) < 300  # noqa: PT017 - both ways are right
        else:
            values = (found.sensor_id, found.event_time_ms, found.sequence, found.value_milli)
            assert [type(value) for value in values] == [str, int, int, int]
        assert time.process_time() - began < SECONDS_MAX


# ---- columns -------------------------------------------------------------------------------------------------------


def columns(**changed: Any) -> Readings:
    """Twenty sound readings of two sensors, with other columns as given."""
    number = np.arange(20)
    sound = {
        "sensor_ids": Strings.of(["roof", "cellar"]),
        "sensor": (number % 2).astype(np.int32),
        "event_time_ms": NOON_MS + number,
        "sequence": number,
        "value_milli": (20_000 + number).astype(np.int32),
    }
    return Readings(**sound | changed)


def refused_columns(**changed: Any) -> BadReading:
    with pytest.raises(BadReading) as caught:
        checked_readings(columns(**changed))
    return caught.value


def with_row(name: str, row: int, value: int, dtype: type = np.int64) -> dict[str, Any]:
    column = getattr(columns(), name).astype(dtype)
    column[row] = value
    return {name: column}


def test_sound_columns_are_given_back_as_columns_of_their_own() -> None:
    """What the caller writes into them later does not change what was taken; the ids stay the same object."""
    given_columns = columns()
    found = checked_readings(given_columns)
    expected = list(columns())
    for name in ("sensor", "event_time_ms", "sequence", "value_milli"):
        getattr(given_columns, name)[:] = 0
    assert list(found) == expected
    assert found.sensor_ids is given_columns.sensor_ids


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, ">i8", ">u4"])
def test_integers_of_another_width_are_taken_where_they_fit(dtype: Any) -> None:
    """And become those that `Readings` documents."""
    wide = {name: getattr(columns(), name).astype(">i8") for name in ("event_time_ms", "value_milli")}
    narrow = {name: getattr(columns(), name).astype(dtype) for name in ("sensor", "sequence")}
    found = checked_readings(columns(**wide, **narrow))
    assert list(found) == list(columns())
    kinds = [found.sensor.dtype, found.event_time_ms.dtype, found.sequence.dtype, found.value_milli.dtype]
    assert kinds == [np.int32, np.int64, np.int64, np.int32]


def test_no_readings_are_readings() -> None:
    """With or without ids."""
    assert len(checked_readings(Readings.of([]))) == 0
    assert len(checked_readings(columns().take(np.arange(0)))) == 0


@pytest.mark.parametrize(
    ("changed", "reason", "told"),
    [
        (with_row("sequence", 17, -1), Reason.SEQUENCE, "row 17: sequence -1 "),
        (with_row("sequence", 17, 2**63, np.uint64), Reason.SEQUENCE, "row 17: sequence 9223372036854775808 "),
        (with_row("value_milli", 3, 10_000_001), Reason.TEMPERATURE_RANGE, "row 3: 10000001 "),
        (with_row("value_milli", 3, 2**32 + 20_000), Reason.TEMPERATURE_RANGE, "row 3: 4294987296 "),
        (with_row("sensor", 19, 2), Reason.SENSOR_ID, "row 19: place 2 of 2 "),
        (with_row("sensor", 19, 2**32), Reason.SENSOR_ID, "row 19: place 4294967296 "),
        (with_row("sensor", 0, -1), Reason.SENSOR_ID, "row 0: place -1 "),
        (with_row("event_time_ms", 5, NOON_MS * 10**6), Reason.EVENT_TIME, "looks like nanoseconds"),
        (with_row("event_time_ms", 5, NOON_MS // 1_000), Reason.TOO_LATE, "looks like seconds"),
        (with_row("event_time_ms", 5, 2**63, np.uint64), Reason.EVENT_TIME, "row 5: "),
        (with_row("event_time_ms", 5, -5) | with_row("sensor", 4, -1), Reason.SENSOR_ID, "row 4: "),
        (with_row("event_time_ms", 5, -5) | with_row("sensor", 6, -1), Reason.TOO_LATE, "row 5: "),
        ({"sensor_ids": Strings.of(["roof", "cell\x85ar"])}, Reason.SENSOR_ID, "row 1: control character U+0085"),
        ({"sensor_ids": Strings.of(["", "cellar"])}, Reason.SENSOR_ID, "row 0: 0 characters"),
        ({"sensor_ids": Strings.of_octets([b"roof", b"caf\xe9"])}, Reason.SENSOR_ID, "row 1: not UTF-8 at byte 3"),
        ({"sensor_ids": Strings.of([])}, Reason.SENSOR_ID, "row 0: place 0 of 0"),
        ({"sequence": np.arange(20.0)}, Reason.SEQUENCE, "float64[20]"),
        ({"sequence": np.arange(20) > 3}, Reason.SEQUENCE, "bool[20]"),
        ({"sequence": np.arange(20).astype("m8[s]")}, Reason.SEQUENCE, "timedelta64"),
        ({"sequence": np.arange(20).astype(object)}, Reason.SEQUENCE, "object[20]"),
        ({"sequence": np.ma.masked_array(np.arange(20), np.arange(20) == 3)}, Reason.SEQUENCE, "MaskedArray"),
        ({"sequence": list(range(20))}, Reason.SEQUENCE, "a list"),
        ({"sequence": None}, Reason.SEQUENCE, "None"),
        ({"sequence": np.zeros((20, 1), np.int64)}, Reason.SEQUENCE, "int64[20, 1]"),
        ({"event_time_ms": np.full(20, "2026-11-20", "M8[ms]")}, Reason.EVENT_TIME, "datetime64"),
        ({"value_milli": np.full(20, 21.4, np.float32)}, Reason.TEMPERATURE, "float32"),
        ({"sequence": np.arange(19)}, Reason.MISSING_FIELD, "row 19: the column sequence"),
        ({"sensor": np.zeros(0, np.int32)}, Reason.MISSING_FIELD, "row 0: the column sensor"),
        ({"sensor_ids": ["roof", "cellar"]}, Reason.SENSOR_ID, "a list"),
        ({"sensor_ids": Strings(np.array([0, 4, 3]), np.zeros(3, np.uint8))}, Reason.SENSOR_ID, "do not ascend"),
        ({"sensor_ids": Strings(np.array([0, 1, 2]), np.zeros(3, np.uint8))}, Reason.SENSOR_ID, "do not ascend"),
        ({"sensor_ids": Strings(np.array([1, 2, 3]), np.zeros(3, np.uint8))}, Reason.SENSOR_ID, "do not ascend"),
        ({"sensor_ids": Strings(np.array([], np.int64), np.zeros(0, np.uint8))}, Reason.SENSOR_ID, "do not ascend"),
        ({"sensor_ids": Strings(np.array([0.0, 1.0]), np.zeros(1, np.uint8))}, Reason.SENSOR_ID, "float64[2]"),
        ({"sensor_ids": Strings(np.array([0, 1]), b"a")}, Reason.SENSOR_ID, "bytes"),  # type: ignore[arg-type]
    ],
)
def test_columns_that_are_no_readings_are_refused(changed: dict[str, Any], reason: Reason, told: str) -> None:
    """By the first bad row, or by the column; nothing is cast that would become another value."""
    error = refused_columns(**changed)
    assert error.reason is reason
    assert told in error.detail


def test_what_are_no_columns_at_all_is_refused() -> None:
    """A list of readings, say."""
    with pytest.raises(BadReading, match="a list, not Readings"):
        checked_readings([ROOF])  # type: ignore[arg-type]


def test_a_bad_id_that_no_row_has_is_left_out() -> None:
    """So one can take the good rows of a batch and put them."""
    ids = Strings.of(["bad\0", "roof", "", "cellar"])
    found = checked_readings(columns(sensor_ids=ids, sensor=columns().sensor * 2 + 1))
    assert list(found) == list(columns())
    assert found.sensor_ids.to_list() == ["roof", "cellar"]


@given(
    st.dictionaries(
        st.sampled_from(["sensor_ids", "sensor", "event_time_ms", "sequence", "value_milli"]),
        st.one_of(
            _anything,
            st.lists(st.integers(-2, 2**63 - 1), min_size=20, max_size=20).map(np.array),
            st.lists(_anything, max_size=20).map(lambda values: np.array([*values, None], object)[:-1]),
            st.lists(st.integers(-1, 5), max_size=5).map(lambda ends: Strings(np.array(ends), np.zeros(3, np.uint8))),
            st.lists(st.binary(max_size=3), max_size=4).map(Strings.of_octets),
        ),
        min_size=1,
    )
)
def test_any_columns_are_readings_or_raise_bad_reading(changed: dict[str, Any]) -> None:
    """Nothing else is raised, and what is given back can be read one by one."""
    try:
        found = checked_readings(columns(**changed))
    except BadReading:
        return
    assert all(reading_of("roof", 20, event_time=one.event_time_ms, sequence=one.sequence) for one in found)


@pytest.mark.parametrize("column", range(1, 4))
@pytest.mark.parametrize("bad", [2.9, 2.0, "1", Decimal("2.9"), None, 2**63, -(2**63) - 1, b"1"])
def test_rows_of_other_values_are_never_truncated(column: int, bad: Any) -> None:
    """`Readings.of` names the row and the column: 2.9 is not 2, and 2^63 is not -2^63."""
    row: list[Any] = ["roof", NOON_MS, 0, 20_000]
    row[column] = bad
    name = ("event_time_ms", "sequence", "value_milli")[column - 1]
    with pytest.raises(ValueError, match=f"row 1: {name} "):
        Readings.of([("roof", NOON_MS, 0, 20_000), tuple(row)])  # type: ignore[list-item]


def test_a_temperature_beyond_32_bits_is_no_row() -> None:
    """Though one of 64 bits is an integer."""
    assert list(Readings.of([("roof", np.int64(NOON_MS), np.uint8(3), 2**31 - 1)])) == [  # type: ignore[list-item]
        Reading("roof", NOON_MS, 3, 2**31 - 1)
    ]
    with pytest.raises(ValueError, match="row 0: value_milli 2147483648 is not an integer of 32 bits"):
        Readings.of([("roof", NOON_MS, 0, 2**31)])
