"""The tally of live values equals a recount of the distinct readings, however they were cut, ordered and doubled."""

from collections import defaultdict
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from analytics.live_values import live_values
from analytics.means import rounded_mean
from analytics.open_windows import OpenWindow
from tests.simulation.mutant import mutant_of
from windrow.quantities import TEMPERATURE, Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of, union
from windrow.rows.rollup import roll
from windrow.rules.load import load_rules
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS, Window

START_MS = parse_rfc3339_ms("2026-11-20T23:55:00Z")
SENSORS = ("a/b/1", "a/b/2", "a/1", "b", "c/", "/x", "ö/1")
HUMIDITY = Quantity("humidity", "%")
RULES = load_rules(
    """
    [[rule]]
    name = "hot"
    above = 0.05
    clear = 0.03
    statistic = "max"

    [[rule]]
    name = "off"
    sensors = "a/*"
    outside = [-0.01, 0.01]

    [[rule]]
    name = "damp"
    quantity = "humidity"
    below = 0

    [[rule]]
    name = "fast"
    rate = 0

    [[rule]]
    name = "odd"
    spread = 0
    """
)

readings = st.builds(
    Reading,
    st.sampled_from(SENSORS),
    st.integers(0, 2 * WINDOW_MS - 1).map(lambda offset_ms: START_MS + offset_ms // 60_000 * 60_000),
    st.just(0),
    st.integers(-60, 60),
    quantity=st.sampled_from([TEMPERATURE, HUMIDITY]),
)

CASES: dict[str, Any] = {
    "batches": st.lists(st.lists(readings, min_size=1, max_size=8), max_size=6),
    "again": st.lists(st.integers(0, 5), max_size=3),
    "order": st.randoms(use_true_random=False),
    "quantity": st.sampled_from([TEMPERATURE, HUMIDITY]),
    "search": st.sampled_from(["", "a/", "nobody"]),
}


def opened(batches: list[list[Reading]]) -> list[OpenWindow]:
    """The open windows after these batches, newest first, as OpenWindows makes them of their partials."""
    found = defaultdict(list)
    for batch in batches:
        for partial in partials_of(Readings.of(batch)):
            found[partial.window].append(partial)
    return [OpenWindow(one, len(found[one]), roll(union(one, found[one]))) for one in sorted(found, reverse=True)]


def recount(sent: list[Reading], quantity: Quantity, search: str) -> dict[str, list[Any]]:
    """Site to sensors, readings, mean, min, max, beyond: of each sensor's newest window, one reading at a time."""
    values: dict[str, dict[int, int]] = defaultdict(dict)
    for one in sent:
        if one.quantity == quantity and search in one.sensor_id:
            known = values[one.sensor_id].get(one.event_time_ms, one.value_milli)
            values[one.sensor_id][one.event_time_ms] = max(known, one.value_milli)
    own = {
        sensor: [by_time[at] for at in by_time if _same_window(at, max(by_time))] for sensor, by_time in values.items()
    }
    found = {}
    for site in {sensor.rpartition("/")[0] for sensor in own}:
        sensors = [sensor for sensor in own if sensor.rpartition("/")[0] == site]
        every = [value for sensor in sensors for value in own[sensor]]
        mean = rounded_mean(float(Fraction(sum(every), 1000 * len(every))))
        count = sum(_is_beyond(sensor, own[sensor], quantity) for sensor in sensors)
        found[site] = [len(sensors), len(every), mean, min(every) / 1000, max(every) / 1000, count]
    return found


def _same_window(one_ms: int, other_ms: int) -> bool:
    return Window.containing(one_ms) == Window.containing(other_ms)


def _is_beyond(sensor: str, own: list[int], quantity: Quantity) -> bool:
    mean = Fraction(sum(own), len(own))
    if quantity == HUMIDITY:
        return mean < 0
    return max(own) > 50 or (sensor.startswith("a/") and not -10 <= mean <= 10)


def told(windows: list[OpenWindow], quantity: Quantity, search: str) -> dict[str, list[Any]]:
    sites = live_values(windows, quantity, search=search, page=0, per_page=1, rules=RULES)["sites"]
    columns = [sites[name] for name in ("sensors", "readings", "mean", "min", "max", "beyond")]
    assert sites["total"] == len(sites["site"])
    order = list(zip((-one for one in sites["beyond"]), sites["site"], strict=True))
    assert order == sorted(order)
    return {site: list(row) for site, *row in zip(sites["site"], *columns, strict=True)}


@given(**CASES)
@example(batches=[], again=[], order=None, quantity=TEMPERATURE, search="")
def test_a_tally_is_a_recount(batches: Any, again: Any, order: Any, quantity: Quantity, search: str) -> None:
    """Of the newest window of each sensor that is found; a rule on change or on a site's median names no limit."""
    sent = [one for batch in batches for one in batch]
    delivered = [*batches, *(batches[one] for one in again if one < len(batches))]
    if order is not None:
        order.shuffle(delivered)
    assert told(opened(delivered), quantity, search) == recount(sent, quantity, search)


def test_the_sites_that_matter_come_first_and_not_more_than_fit() -> None:
    """Those with the most sensors beyond a limit, then by name; how many there are is told."""
    batch = [Reading(f"s{site:03}/{n}", START_MS, 0, 60 * (site in {7, 120})) for site in range(130) for n in (1, 2)]
    found = live_values(opened([batch]), TEMPERATURE, search="", page=0, per_page=1, rules=RULES)
    sites = found["sites"]
    assert (found["limits"], sites["total"]) == (2, 130)
    assert sites["site"] == ["s007", "s120", *(f"s{one:03}" for one in range(99) if one != 7)]
    assert sites["beyond"][:3] == [2, 2, 0]
    assert {len(column) for name, column in sites.items() if name != "total"} == {100}
    without = live_values(opened([batch]), TEMPERATURE, search="", page=0, per_page=1)
    assert (without["limits"], set(without["sites"]["beyond"])) == (0, {0})


def test_what_is_between_its_limit_and_its_clear_limit_is_not_beyond() -> None:
    """The row is looked at for another rule, which is about other sensors."""
    found = live_values(
        opened([[Reading("b", START_MS, 0, 40)]]), TEMPERATURE, search="", page=0, per_page=1, rules=RULES
    )
    assert found["sites"]["beyond"] == [0]


MUTANTS = {
    "conditions without a limit": ("rule.condition in HAVE_LIMITS and ", ""),
    "rules of other quantities": (" and rule.quantity == quantity.name", ""),
    "the least, from zero": ("np.minimum.reduceat(min_milli, first)", "np.minimum(0, first * 0)"),
    "sites by the first slash": ("map(site_of, newest)", '(one.partition("/")[0] for one in newest)'),
    "between is beyond": ("== Verdict.BEYOND", ">= Verdict.BETWEEN"),
    "sensors as they come": ('np.argsort(site, kind="stable")', "np.arange(len(site))"),
    "the rows of another window": ("np.flatnonzero(places == place)", "np.flatnonzero(places >= place)"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_break_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these, by the tests above."""
    replace, by = MUTANTS[name]
    broken = mutant_of("analytics.tally", replace=replace, by=by)
    for part in ("tally", "limits_on"):
        monkeypatch.setattr(f"analytics.live_values.{part}", getattr(broken, part))
    recounts = settings(phases=[Phase.generate], database=None, report_multiple_bugs=False, max_examples=400)(
        given(**CASES)(test_a_tally_is_a_recount.hypothesis.inner_test)  # type: ignore[attr-defined]
    )

    def all_tests() -> None:
        test_the_sites_that_matter_come_first_and_not_more_than_fit()
        test_what_is_between_its_limit_and_its_clear_limit_is_not_beyond()
        recounts()

    with pytest.raises((AssertionError, IndexError)):
        all_tests()
