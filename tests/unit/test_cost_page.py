"""docs/deploy.md says what the model says: its table cell by cell, and every figure in its words."""

import re

import pytest

from infra.prices import price_table
from infra.shape import Shape
from tests.golden.cost_table import FLEET, PAGE, TABLES, fleet_cost, idle_cost, in_page

TEXT = PAGE.read_text()


def cells(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, row by row."""
    return [line.split("|")[1:-1] for line in text.splitlines()]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_that_of_the_model(name: str) -> None:
    """Cell by cell; `python -m tests.golden.cost_table` writes it anew."""
    for found, expected in zip(cells(in_page(name)), cells(TABLES[name]()), strict=True):
        assert found == expected


def test_an_idle_stage_costs_20_dollars_at_most() -> None:
    """With all its alarms, to the dollar; whoever adds to it must take something away, or change what is promised."""
    assert round(idle_cost().total) <= 20


def test_what_a_level_of_operations_loses_it_saves() -> None:
    """Each level costs less than the one before, idle and with a fleet."""
    for one in (idle_cost, fleet_cost):
        totals = [one(Operations=level).total for level in ("full", "simple", "none")]
        assert totals == sorted(totals, reverse=True)
        assert len(set(totals)) == len(totals)


def test_the_first_lines_name_the_price_of_an_idle_stage() -> None:
    """To the dollar."""
    (dollars,) = re.findall(r"costs about (\d+) USD a month while nothing is sent", TEXT.replace("\n", " "))
    assert int(dollars) == round(idle_cost().total)


def test_the_fleet_in_words_is_the_fleet_of_the_table() -> None:
    """Sensors, interval, and readings a month in millions."""
    words = " ".join(TEXT.split())
    found = re.search(r"([\d,]+) sensors that send every (\d+) seconds \((\d+) million readings a month\)", words)
    assert found is not None
    assert int(found[1].replace(",", "")) == FLEET.sensors
    assert int(found[2]) == FLEET.interval_seconds
    assert int(found[3]) == round(fleet_cost().traffic.readings / 1e6)


def test_prices_and_limits_in_words_are_those_of_the_model() -> None:
    """Athena's price, the key's, and the scan limit of the template."""
    words = " ".join(TEXT.split())
    assert f"{price_table().usd('athena_tb'):g} USD per TB scanned" in words
    assert f"{price_table().usd('key_month'):g} USD a month for the key" in words
    assert f"stops a query at {Shape().number('QueryScanBytesMax') / 2**30:g} GiB" in words
