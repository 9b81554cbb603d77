"""The page about tuning says what the cost model computes, and its advice follows from the figures."""

from pathlib import Path

from bench import ceilings, freshness
from bench.tuning import SETTINGS, lines, row
from infra.prices import price_table

PAGE = Path(__file__).parents[2] / "docs" / "tuning.md"
START, END = "<!-- bench.tuning -->\n", "<!-- end -->\n"


def test_tables_are_those_that_the_script_prints() -> None:
    """To write them again: python -m bench.tuning, between the two marks."""
    page = PAGE.read_text()
    assert page[page.index(START) + len(START) : page.index(END)] == "\n".join(lines()) + "\n"


def test_the_table_of_ceilings_is_what_was_measured() -> None:
    """To write it again: python -m bench.ceilings --print, between its two marks."""
    page = PAGE.read_text()
    start, end = "<!-- bench.ceilings -->\n", "<!-- end of bench.ceilings -->\n"
    assert page[page.index(start) + len(start) : page.index(end)] == "\n".join(ceilings.lines()) + "\n"
    assert max(one.readings for one in ceilings.found()) > 25e6


def test_the_table_of_freshness_is_what_was_measured() -> None:
    """All three settings; to write it again: python -m bench.freshness --print, between its two marks."""
    page = PAGE.read_text()
    start, end = "<!-- bench.freshness -->\n", "<!-- end of bench.freshness -->\n"
    assert page[page.index(start) + len(start) : page.index(end)] == "\n".join(freshness.lines()) + "\n"
    assert [one.setting for one in freshness.found()] == list(SETTINGS)


def test_recommended_settings_are_what_they_are_called() -> None:
    """The cheapest costs least, the freshest has a reading in a partial first; all have rows at the first tick."""
    found = {name: row(wire, dict(parameters), price_table()) for name, (wire, parameters) in SETTINGS.items()}
    assert min(found, key=lambda name: found[name].usd_per_million) == "cheapest"
    assert min(found, key=lambda name: found[name].partial_after) == "freshest"
    assert {one.row_after for one in found.values()} == {420}


def test_less_memory_makes_a_batch_slower_and_a_long_window_misses_the_first_tick() -> None:
    """A function with less than a core's memory has a share of one."""
    table = price_table()
    batches = [row("json", {"ConsumerMemoryMb": memory}, table).batch_seconds for memory in ("1024", "1769", "3008")]
    assert batches[0] > batches[1] == batches[2]
    assert row("json", {"BatchingWindowSeconds": "300"}, table).row_after == 720
