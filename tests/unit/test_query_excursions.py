"""The preset `excursions`: one row per excursion, as it stood at the end of the range."""

from dataclasses import replace
from pathlib import Path

from analytics import presets
from tests.unit.stored_results import START_MS, StoredResults
from windrow.lake.layout import excursions_key
from windrow.rules.rows import ExcursionRow, RowState, encode_excursions
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS, Window

PENDING = ExcursionRow(
    rule="warm",
    severity="critical",
    series="freezer/1",
    state=RowState.PENDING,
    began_ms=START_MS,
    rang_ms=START_MS + WINDOW_MS,
    until_ms=START_MS + WINDOW_MS,
    extreme_milli=-12_500,
    beyond_milli_ms=90_000_000,
    windows=1,
)
HUMID = replace(PENDING, rule="damp", severity="info", series="freezer/1\x1fhumidity\x1f%", state=RowState.LASTS)


def test_each_excursion_has_one_row_and_its_newest(tmp_path: Path) -> None:
    """Over midnight; what is only pending is none; one that lasts has no end; thousandths and unit-minutes."""
    results = StoredResults(tmp_path)
    until_ms = START_MS + 2 * WINDOW_MS
    lasting = replace(PENDING, state=RowState.LASTS, rang_ms=until_ms, until_ms=until_ms)
    cleared = replace(lasting, state=RowState.CLEARED, revision=2, extreme_milli=-11_001, windows=2)
    other = replace(PENDING, series="freezer/2")
    for place, rows in enumerate([[PENDING, other], [HUMID, lasting], [HUMID, cleared]]):
        window = Window(START_MS + place * WINDOW_MS)
        results.results.put(excursions_key(window), encode_excursions(window.start_ms, rows))
    whole = TimeRange(START_MS, START_MS + 3 * WINDOW_MS)
    frame = results.engine.run(presets.excursions(whole)).frame
    assert frame[["rule", "sensor_id", "quantity", "unit", "state"]].to_numpy().tolist() == [
        ["damp", "freezer/1", "humidity", "%", "lasts"],
        ["warm", "freezer/1", "temperature", "C", "cleared"],
    ]
    assert frame["ended"].isna().tolist() == [True, False]
    assert [str(one) for one in frame["extreme"]] == ["-12.500", "-11.001"]
    assert frame["beyond_unit_minutes"].tolist() == [1.5, 1.5]
    assert frame["revision"].tolist() == [1, 2]
    before = TimeRange(START_MS, START_MS + 2 * WINDOW_MS)
    assert results.engine.run(presets.excursions(before, quantity="temperature")).frame["state"].tolist() == ["lasts"]


def test_how_long_a_limit_was_exceeded_is_there_for_rules_that_count_it(tmp_path: Path) -> None:
    """To the millisecond, as parts of a minute; a rule that counts windows has none, not nought."""
    results, window = StoredResults(tmp_path), Window(START_MS)
    lasting = replace(PENDING, state=RowState.LASTS, held_ms=1_230_500)
    results.results.put(excursions_key(window), encode_excursions(START_MS, [HUMID, lasting]))
    frame = results.engine.run(presets.excursions(TimeRange(START_MS, START_MS + WINDOW_MS))).frame
    assert frame["held_minutes"].isna().tolist() == [True, False]
    assert frame["held_minutes"].tolist()[1] == 1_230_500 / 60_000
