"""The files of a day's report: what they show is what the rows hold, whatever names devices choose."""

import csv
import io
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.day_summary import SUMMARY_COLUMNS, summary_csv
from dispatcher.fleet_day import FleetHour, fleet_day, means_milli
from dispatcher.picture import PANELS_MAX, picture_svg, scale
from windrow.period import HOUR_MS
from windrow.quantities import TEMPERATURE, Quantity, series_of
from windrow.reading import Readings
from windrow.rows.merge import merge
from windrow.rows.partial import Partial
from windrow.rows.rollup import Rollup, roll
from windrow.window import Window

START_MS = 1_795_132_800_000
HUMIDITY = Quantity("humidity", "%")
Row = tuple[str, int, int]
"""A series, ms after the beginning of the window, thousandths."""


def rows(*readings: Row, start_ms: int = START_MS) -> Rollup:
    """The rows of an hour with one window."""
    found = Readings.of([(series, start_ms + offset_ms, 0, milli) for series, offset_ms, milli in readings])
    return merge(start_ms, [roll(Partial.of(Window(start_ms), found))])


def test_an_hour_of_the_fleet_is_ranked_by_sensors() -> None:
    """Twenty sensors with two readings each: the ends of the band are the first and the nineteenth."""
    readings = [(f"s{n:02}", offset, n * 1000 + offset) for n in range(20) for offset in (0, 500)]
    ((quantity, hours),) = fleet_day([(START_MS, [rows(*readings)])]).items()
    assert quantity == TEMPERATURE
    assert hours == {
        START_MS: FleetHour(
            sensors=20,
            readings=40,
            min_milli=0,
            low_milli=250,
            middle_milli=9_250,
            high_milli=18_250,
            max_milli=19_500,
        )
    }


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(0, 299_999), st.integers(-(2**31), 2**31 - 1)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 5),
)
def test_quantities_never_mix_and_pieces_change_nothing(
    readings: list[tuple[str, bool, int, int]], piece_rows: int
) -> None:
    """Each quantity is folded as if it were alone, and as if its rows came in one piece."""
    of_each = {
        (series_of(name, HUMIDITY if is_humidity else TEMPERATURE), ms): milli
        for name, is_humidity, ms, milli in readings
    }
    found = rows(*((series, ms, milli) for (series, ms), milli in of_each.items()))
    pieces = [found.between(place, min(place + piece_rows, len(found))) for place in range(0, len(found), piece_rows)]
    day = fleet_day([(START_MS, pieces)])
    assert day == fleet_day([(START_MS, [found])])
    alone = {}
    for of_it in (True, False):
        kept = [n for n, series in enumerate(found.sensor_ids.to_list()) if ("\x1f" in series) is of_it]
        parts = [found.between(n, n + 1) for n in kept]
        alone |= fleet_day([(START_MS, parts)])
    assert day == alone


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9, unique=True))
def test_a_mean_is_rounded_once_half_to_even(values: list[int]) -> None:
    """As Python's own fractions have it."""
    found = rows(*(("a", place, milli) for place, milli in enumerate(values)))
    assert means_milli(found).tolist() == [round(Fraction(sum(values), len(values)))]


def test_the_summary_is_text_to_a_spreadsheet_and_exact() -> None:
    """Names that look like formulas, commas, quotes and ends of lines; a negative value below one."""
    names = ['=HYPERLINK("//evil")', "@sum", "a,b", 'quo"te', "-1+cmd|' /C calc'!A0", "-1", "plain", "naïve ☃"]
    body = b"".join(summary_csv([rows(*((name, 0, -5) for name in names), (series_of("-1", HUMIDITY), 9, 2**31 - 1))]))
    told = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert tuple(told[0]) == SUMMARY_COLUMNS
    by_name = {(one["sensor_id"], one["quantity"]): one for one in told}
    assert {name for name, _ in by_name} == {f"'{one}" if one in names[:2] or "calc" in one else one for one in names}
    assert (by_name["-1", "humidity"]["max"], by_name["-1", "humidity"]["unit"]) == ("2147483.647", "%")
    assert (by_name["plain", "temperature"]["min"], by_name["plain", "temperature"]["mean"]) == ("-0.005", "-0.005")
    assert by_name["plain", "temperature"]["first_time"] == "2026-11-20T00:00:00.000Z"
    assert by_name["plain", "temperature"]["covered_minutes"] == "1.0"


@pytest.mark.parametrize("unit", ["<b>&\"'", "\ufffe", "]]>", "%"])
def test_the_picture_is_xml_whatever_a_unit_is(unit: str) -> None:
    """One panel, and a bar for each of its hours."""
    hour = FleetHour(sensors=3, readings=9, min_milli=1, low_milli=2, middle_milli=2, high_milli=2, max_milli=3)
    day = {Quantity("q", unit): {START_MS: hour, START_MS + 23 * HOUR_MS: hour}}
    root = ElementTree.fromstring(  # noqa: S314 - our own
        picture_svg(START_MS, day, sensors=3, readings=18, final_ms=START_MS)
    )
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("class") == "all"]
    assert len(bars) == 2
    width = int(root.get("width", "0"))
    assert all(0 < float(one.get("x", "0")) < width - 24 for one in bars)


def test_a_picture_says_how_many_quantities_it_leaves_out() -> None:
    """They are in the summary."""
    hour = FleetHour(sensors=1, readings=1, min_milli=0, low_milli=0, middle_milli=0, high_milli=0, max_milli=0)
    day = {Quantity(f"q{n:02}", "x"): {START_MS: hour} for n in range(PANELS_MAX + 2)}
    picture = picture_svg(START_MS, day, sensors=14, readings=1, final_ms=START_MS).decode()
    assert picture.count('class="name"') == PANELS_MAX
    assert "2 more quantities are in the summary" in picture


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_ticks_enclose_what_is_drawn(one: int, other: int) -> None:
    """Two to seven of them, evenly spaced, and no more than a step beyond either end, or a unit where that is less."""
    least, greatest = sorted((one, other))
    ticks = scale(least, greatest)
    assert 2 <= len(ticks) <= 7
    steps = np.diff(ticks)
    assert (steps == steps[0]).all()
    slack = steps[0] + 500
    assert least - slack <= ticks[0] <= least
    assert greatest <= ticks[-1] <= greatest + slack
