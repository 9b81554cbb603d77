"""A stage with rules: which ones a seed has, and whether its excursions and what was told are as they must be."""

import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from tests.excursion_oracle import History, expected, watches
from tests.oracle import Fact
from tests.simulation.simulated_s3 import S3State
from tests.simulation.simulated_schedule import OFFSET_MS, PERIOD_MS
from tests.simulation.verdict import expectation_of
from tests.simulation.world import LAKE, RESULTS, World
from windrow.lake.layout import EXCURSIONS, rules_start_key
from windrow.rules.excursion import Excursion
from windrow.rules.load import load_rules
from windrow.rules.rows import decode_excursions
from windrow.rules.rule import Statistic
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms, parse_sql_ms
from windrow.window import WINDOW_MS

SHOWN_MAX = 3
Found = set[Excursion]


def rules_text(random: Random) -> str:
    """One to three rules; for values anywhere between -40 and 60 they ring about every second window.

    And of two thirds of all seeds one that counts minutes.
    """
    rules = [_rule(random, number) for number in range(random.randint(1, 3))]
    return "\n".join([*rules, _rule_of_time(random)] if random.random() < 2 / 3 else rules)


def _rule(random: Random, number: int) -> str:
    statistic = f"statistic = {json.dumps(random.choice(list(Statistic)).value)}"
    clear_by = random.choice([0, 0, 5])
    condition = random.choice(
        [
            f"above = 10\nclear = {10 - clear_by}\n{statistic}",
            f"below = 10\nclear = {10 + clear_by}\n{statistic}",
            f"outside = [-10, 30]\nclear = [{clear_by - 10}, {30 - clear_by}]\n{statistic}",
            f"spread = 10\nclear = {10 - clear_by}\n{statistic}",
            f"rate = 200\nclear = {200 - 20 * clear_by}",
            "stuck = true",
        ]
    )
    return f"""
[[rule]]
name = "rule-{number}"
sensors = "{random.choice(["*", "*", "site-0/*", "site-?/sensor-0", "*sensor-1"])}"
quantity = "{random.choice(["temperature", "temperature", "humidity"])}"
windows = {random.choice([1, 1, 2])}
clear_windows = {random.choice([1, 1, 2])}
severity = "{random.choice(["info", "warning", "critical"])}"
{condition}
"""


def _rule_of_time(random: Random) -> str:
    condition = random.choice(
        ["above = 10\nclear = 5", "above = 10", "below = 10", "outside = [-10, 30]\nclear = [0, 20]"]
    )
    return f"""
[[rule]]
name = "minutes"
sensors = "{random.choice(["*", "site-0/*"])}"
quantity = "{random.choice(["temperature", "temperature", "humidity"])}"
clear_windows = {random.choice([1, 1, 2])}
minutes = {random.choice([0.001, 0.5, 3])}
hold_minutes = {random.choice([1, 1, 7, 60])}
{condition}
"""


def excursion_faults_of(world: World) -> list[str]:
    """What is wrong with the table of excursions: it must say what the oracle says of the readings that counted."""
    found, wanted = found_excursions(world.s3), wanted_excursions(world)
    faults = [f"an excursion too many: {_told(one)}" for one in sorted(found - wanted, key=_told)]
    return (
        faults[:SHOWN_MAX]
        + [f"no such excursion: {_told(one)}" for one in sorted(wanted - found, key=_told)][:SHOWN_MAX]
    )


def found_excursions(s3: S3State) -> Found:
    """The excursions that the table has: of each its newest row; pending ones left out."""
    newest: dict[tuple[str, str, int], Excursion] = {}
    for key, stored in sorted(s3.buckets.get(RESULTS, {}).items()):
        if key.startswith(EXCURSIONS):
            for row in decode_excursions(_start_ms_of(key), stored.body):
                if row.has_rung:
                    newest[row.rule, row.series, row.began_ms] = row.excursion
    return set(newest.values())


def _start_ms_of(key: str) -> int:
    """The start of the window in excursions/dt=2026-11-20/hour=10/1005.parquet."""
    _, day, _, name = key.split("/")
    return parse_sql_ms(f"{day.removeprefix('dt=')} {name[:2]}:{name[2:4]}:00.000")


def wanted_excursions(world: World) -> Found:
    """The excursions by their definition, of the readings that counted, since the rules are in force."""
    start = world.s3.buckets[LAKE].get(rules_start_key(world.rules_digest))
    if start is None:
        return set()
    first_ms = parse_rfc3339_ms(start.body.decode())
    closing_ms = (world.now_ms - OFFSET_MS) // PERIOD_MS * PERIOD_MS
    facts = expectation_of(world).facts
    starts_ms = range(first_ms - WINDOW_MS, closing_ms, WINDOW_MS)
    history: History = [_values_of(facts.get(start_ms, ()), start_ms) for start_ms in starts_ms]
    series = sorted(set().union(*history))
    return {
        one
        for rule in load_rules(world.setup.rules)
        for each in series
        if watches(rule, each)
        for one in expected(rule, history, each, start_ms=first_ms - WINDOW_MS, first_judged=1)
    }


def _values_of(facts: Iterable[Fact], start_ms: int) -> dict[str, tuple[tuple[int, int], ...]]:
    """The readings of a window by series: of the same identity the greatest value counts."""
    greatest: dict[tuple[str, int, int], int] = {}
    for series, time_ms, sequence, milli in facts:
        key = series, time_ms, sequence
        greatest[key] = max(milli, greatest.get(key, milli))
    values: dict[str, tuple[tuple[int, int], ...]] = {}
    for series, time_ms, sequence in sorted(greatest):
        values[series] = (*values.get(series, ()), (time_ms - start_ms, greatest[series, time_ms, sequence]))
    return values


def told_faults_of(world: World) -> Iterator[str]:
    """What nobody was told of the excursions that stand, all of the last day: that they rang, or how they ended.

    And what was told that does not stand any more: it must have been withdrawn, or corrected to another beginning.
    """
    documents = [json.loads(message.document) for message in world.told]
    changes = [change | {"rule": document["rule"]} for document in documents for change in document["changes"]]
    told = {_key_of(change) for change in changes}
    ends = {(*_key_of(change), change["state"], change["ended"]) for change in changes}
    for one in sorted(found_excursions(world.s3), key=_told):
        key, ended = _key_of_excursion(one), one.ended_ms and format_rfc3339(one.ended_ms)
        if key not in told:
            yield f"nobody was told: {_told(one)}"
        elif ended and (*key, one.state.value, ended) not in ends:
            yield f"nobody was told how it ended: {_told(one)}"
    stands = {_key_of_excursion(one) for one in found_excursions(world.s3)}
    undone = {_key_of(change) for change in changes if change["change"] == "withdrawn"}
    undone |= {_key_of(change | change["before"]) for change in changes if "before" in change}
    yield from (f"told and never taken back: {key}" for key in sorted(told - stands - undone))


def _key_of_excursion(one: Excursion) -> tuple[str, ...]:
    return one.rule, one.sensor_id, one.quantity.name, one.quantity.unit, format_rfc3339(one.began_ms)


def _key_of(change: dict[str, Any]) -> tuple[str, ...]:
    return tuple(change[name] for name in ("rule", "sensor_id", "quantity", "unit", "began"))


def _told(one: Excursion) -> str:
    began, ended = format_rfc3339(one.began_ms), one.ended_ms and format_rfc3339(one.ended_ms)
    return (
        f"{one.rule} of {one.sensor_id!r}, {one.quantity.name}: {one.state.value}, {began} to {ended}, "
        f"{one.extreme_milli} at most, {one.beyond_milli_ms} milli ms, {one.windows} windows, {one.held_ms} ms"
    )
