"""Cells of files: the fast reading of columns means exactly what each cell means by itself."""

import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from producers.files.texts import texts_of
from producers.files.times import instant_ms, parse_times
from producers.files.values import parse_values, quantity_for
from windrow.payloads.times import TimeForm
from windrow.payloads.zones import zone_named
from windrow.quantities import TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.reading import BadReading

pytestmark = pytest.mark.slow

DIGITS = st.text("0123456789", max_size=12)
NUMBERS = st.builds(
    "{}{}{}{}".format, st.sampled_from(["", "-", "+"]), DIGITS, st.sampled_from(["", ".", ".."]), DIGITS
)
CELLS = NUMBERS | st.sampled_from(["", "-999", "-999.0", "NaN", "warm", "1e3", " 7 ", "1,5", "٣"])
CLOCKS = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
    st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32), st.sampled_from(["T", " ", "x"]),
    st.integers(0, 25), st.integers(0, 61), st.integers(0, 61),
    st.sampled_from(["", ".", ".5", ".999999", ".0000000001", ",5"]),
    st.sampled_from(["", "Z", " UTC", " GMT", "+01:00", "-0330", "z", "ZZ"]),
)  # fmt: skip
FORMS = [
    TimeForm("rfc3339"),
    TimeForm("iso8601"),
    TimeForm("iso8601", zone=zone_named("Europe/Berlin")),
    TimeForm("iso8601", zone=zone_named("-03:30")),
    *(TimeForm(form) for form in ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns")),
]


@pytest.mark.parametrize("unit", ["C", "F", "K"])
@given(cells=st.lists(CELLS, max_size=12))
def test_values_are_the_exact_decimals_rounded_once(unit: str, cells: list[str]) -> None:
    """By an independent computation; what is no number, missing or out of range has no value and a reason."""
    quantity = quantity_for("temperature", unit=unit, missing=("-999",), minimum=None, maximum="9000")
    values, is_value, why = parse_values(texts_of(cells), quantity, None)
    for row, cell in enumerate(cells):
        assert bool(is_value[row]) == (row not in why)
        try:
            number = Fraction(cell.strip()) if cell.isascii() else None
        except ValueError:
            number = None
        if number is None or number == -999:
            assert not is_value[row]
            continue
        exact = {"C": number, "F": (number - 32) * 5 / 9, "K": number - Fraction("273.15")}[unit]
        milli = round(exact * 1000)
        assert bool(is_value[row]) == (TEMPERATURE_MIN_MILLI <= milli <= min(9_000_000, TEMPERATURE_MAX_MILLI))
        assert not is_value[row] or values[row] == milli


@given(cells=st.lists(CLOCKS | NUMBERS | CELLS, max_size=12), form=st.sampled_from(FORMS))
def test_times_are_those_of_the_cells_one_by_one(cells: list[str], form: TimeForm) -> None:
    """Whatever stands beside them, and at the border of a change of clocks too."""
    instants, is_time, why = parse_times(texts_of(cells), form)
    for row, cell in enumerate(cells):
        assert bool(is_time[row]) == (row not in why)
        try:
            expected = instant_ms(cell, form)
        except BadReading:
            assert not is_time[row]
            continue
        assert (bool(is_time[row]), int(instants[row])) == (True, expected)


@given(
    start=st.integers(1_729_900_000, 1_729_999_999) | st.integers(1_711_800_000, 1_711_900_000),
    steps=st.lists(st.integers(0, 3_600), min_size=1, max_size=30),
)
def test_naive_times_are_those_of_the_zone(start: int, steps: list[int]) -> None:
    """Around both changes of 2024 in Berlin, against zoneinfo: a time that is there once, and only such a time."""
    berlin, seconds, cells = ZoneInfo("Europe/Berlin"), start, []
    for step in steps:
        seconds += step
        cells.append(datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"))
    instants, is_time, _ = parse_times(texts_of(cells), TimeForm("iso8601", zone=zone_named("Europe/Berlin")))
    for row, cell in enumerate(cells):
        naive = datetime.datetime.fromisoformat(cell)
        both = {naive.replace(tzinfo=berlin, fold=fold).astimezone(datetime.UTC) for fold in (0, 1)}
        shown = {one for one in both if one.astimezone(berlin).replace(tzinfo=None) == naive}
        assert bool(is_time[row]) == (len(shown) == 1)
        assert not is_time[row] or int(instants[row]) == round(shown.pop().timestamp() * 1000)
