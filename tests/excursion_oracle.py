"""Excursions in plain Python, a series at a time: its verdicts are a string, in which a regular expression finds them.

Nothing here comes from the product but the rule and the words of its answer: each verdict is computed with fractions
from the readings themselves, and patterns of sensors are matched by the standard library.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import accumulate, pairwise
from math import floor
from statistics import median

from windrow.quantities import parts_of
from windrow.rules.excursion import LOST_WINDOWS, Excursion, ExcursionState
from windrow.rules.judge import SITE_SENSORS_MIN
from windrow.rules.rule import Condition, Rule, Statistic
from windrow.window import WINDOW_MS

HOLD_MS_MAX = 60_000

Values = tuple[tuple[int, int], ...]
"""The readings of a series in a window: milliseconds after its start, ascending, and thousandths."""
History = list[dict[str, Values]]
"""For each window of consecutive ones the readings of its series; a series without any is left out."""


def expected(rule: Rule, history: History, series: str, *, start_ms: int, first_judged: int = 0) -> list[Excursion]:
    """Return the excursions of one series by a regular expression over the letters of its windows.

    The first window of `history` starts at `start_ms`. Those before the index `first_judged` have no verdict; they are
    what a rule may compare with.
    """
    if rule.held_ms:
        return _expected_of_time(rule, history, series, start_ms, first_judged)
    values = {index: compared(rule, history, index, series) for index in range(first_judged, len(history))}
    seen = [(index, value) for index, value in values.items() if value is not None]
    cuts = [0, *(place + 1 for place, ((a, _), (b, _)) in enumerate(pairwise(seen)) if b - a > LOST_WINDOWS), len(seen)]
    lasts = f"(?:B|-|C(?!C{{{rule.clear_windows - 1}}}))*"
    pattern = re.compile(f"(?P<began>B{{{rule.windows}}}){lasts}(?P<clear>C{{{rule.clear_windows}}})?")
    parts = [seen[first:last] for first, last in pairwise(cuts)]
    return [
        _excursion_of(rule, history, series, part, match, start_ms)
        for part in parts
        for match in pattern.finditer("".join(letter(rule, value) for _, value in part))
    ]


@dataclass(frozen=True)
class _Span:
    """A window of a series: its index, letter, how long it was beyond the limits, how far times how long, the farthest.

    The letter is B if its own readings were beyond, + if only the last one before it was, held into it, C for clear, -
    for neither.
    """

    index: int
    letter: str
    ms: int
    milli_ms: int
    extreme_milli: int


def _expected_of_time(rule: Rule, history: History, series: str, start_ms: int, first_judged: int) -> list[Excursion]:
    """Return the excursions by a rule that counts time: a search in letters, then sums."""
    heard = [index for index in range(first_judged, len(history)) if series in history[index]]
    pieces = _pieces_of_time(rule, history, series, heard)
    spans = [_span_of(rule, index, history[index][series], pieces[index]) for index in heard]
    cuts = [place + 1 for place, (a, b) in enumerate(pairwise(spans)) if b.index - a.index > LOST_WINDOWS]
    parts = [spans[first:last] for first, last in pairwise([0, *cuts, len(spans)])]
    return [
        one for part in parts if part for one in _excursions_of_time(rule, part, series, start_ms, windows=len(history))
    ]


def _pieces_of_time(
    rule: Rule, history: History, series: str, heard: Sequence[int]
) -> dict[int, list[tuple[bool, int, int]]]:
    """Return whether it is the window's own, thousandths and milliseconds of what each window counts.

    Over the whole history as one line: from each reading to the next, or as long as it holds. What lies behind the end
    of the reading's window is for the window in which the next one came; for nobody if none did before it was lost.
    """
    line = [
        (index, index * WINDOW_MS + after_ms, milli) for index in heard for after_ms, milli in history[index][series]
    ]
    pieces: dict[int, list[tuple[bool, int, int]]] = {index: [] for index in heard}
    for place, (index, at_ms, milli) in enumerate(line):
        following = line[place + 1] if place + 1 < len(line) else None
        until_ms = min(at_ms + rule.hold_ms_max, following[1] if following else at_ms + rule.hold_ms_max)
        end_ms = (index + 1) * WINDOW_MS
        pieces[index].append((True, milli, min(until_ms, end_ms) - at_ms))
        if following and until_ms > end_ms and following[0] - index <= LOST_WINDOWS:
            pieces[following[0]].append((False, milli, until_ms - end_ms))
    return pieces


def _span_of(rule: Rule, index: int, values: Values, pieces: Sequence[tuple[bool, int, int]]) -> _Span:
    beyond = [(is_own, _distance(rule, milli), ms) for is_own, milli, ms in pieces if _distance(rule, milli) and ms]
    millis = [milli for _, milli in values]
    is_clear = all(letter(rule, Fraction(milli)) == "C" for milli in millis)
    return _Span(
        index=index,
        letter="B" if any(is_own for is_own, *_ in beyond) else "+" if beyond else "C" if is_clear else "-",
        ms=sum(ms for *_, ms in beyond),
        milli_ms=sum(distance_milli * ms for _, distance_milli, ms in beyond),
        extreme_milli=max([max(millis), min(millis)], key=lambda milli: _distance(rule, milli)),
    )


def _excursions_of_time(
    rule: Rule, part: Sequence[_Span], series: str, history_start_ms: int, *, windows: int
) -> Iterator[Excursion]:
    letters = "".join(span.letter for span in part)
    sensor_id, quantity = parts_of(series)
    place = 0
    while run := re.compile(r"B[B+]*").search(letters, place):
        sums = list(accumulate(span.ms for span in part[run.start() : run.end()]))
        rings = next((at for at, ms in enumerate(sums, run.start()) if ms > rule.held_ms), None)
        place = run.end()
        if rings is None:
            continue
        clear = re.compile(f"C{{{rule.clear_windows}}}").search(letters, rings)
        place = clear.end() if clear else len(letters)
        beyond = [span for span in part[run.start() : place] if span.letter in "B+"]
        state, ended = ExcursionState.LASTS, None
        if clear:
            state, ended = ExcursionState.CLEARED, part[clear.start()].index
        elif part[-1].index + LOST_WINDOWS < windows:
            state, ended = ExcursionState.LOST, part[-1].index + 1
        yield Excursion(
            rule=rule.name,
            sensor_id=sensor_id,
            quantity=quantity,
            began_ms=history_start_ms + beyond[0].index * WINDOW_MS,
            rang_ms=history_start_ms + (part[rings].index + 1) * WINDOW_MS,
            ended_ms=None if ended is None else history_start_ms + ended * WINDOW_MS,
            state=state,
            extreme_milli=max((one.extreme_milli for one in beyond), key=lambda milli: _distance(rule, milli)),
            beyond_milli_ms=sum(one.milli_ms for one in beyond),
            windows=len(beyond),
            held_ms=sum(one.ms for one in beyond),
        )


def watches(rule: Rule, series: str) -> bool:
    """Whether a rule is about a series: a temperature's is the id alone."""
    sensor_id, quantity, *_ = [*series.split("\x1f"), "temperature"]
    return quantity == rule.quantity and fnmatchcase(sensor_id, rule.sensors.replace("[", "[[]"))


def compared(rule: Rule, history: History, index: int, series: str) -> Fraction | None:
    """Return what the rule compares, in thousandths; None if there is nothing to compare."""
    values = history[index].get(series)
    if values is None:
        return None
    before = history[index - 1].get(series) if index else None
    if rule.condition is Condition.RATE:
        from_ms, from_milli = values[0] if before is None else (before[-1][0] - WINDOW_MS, before[-1][1])
        passed_ms = values[-1][0] - from_ms
        return Fraction((values[-1][1] - from_milli) * 3_600_000, passed_ms) if passed_ms else None
    if rule.condition is Condition.STUCK:
        return None if before is None else Fraction(len({before[-1][1], *(milli for _, milli in values)}) > 1)
    if rule.condition is Condition.SPREAD:
        at = {
            one: rounded(statistic_of(rule.statistic, many))
            for one, many in history[index].items()
            if watches(rule, one) and site_of(one) == site_of(series)
        }
        enough = len(at) >= SITE_SENSORS_MIN
        return Fraction(at[series]) - Fraction(median(map(Fraction, at.values()))) if enough else None
    return statistic_of(rule.statistic, values)


def site_of(series: str) -> tuple[str, list[str]]:
    """Return what stands before the last / of the id, and quantity and unit."""
    sensor_id, *quantity = series.split("\x1f")
    return sensor_id.rpartition("/")[0], quantity


def statistic_of(statistic: Statistic, values: Values) -> Fraction:
    """Return a statistic of a window's readings, exactly."""
    millis = [milli for _, milli in values]
    if statistic is Statistic.MEAN:
        return Fraction(sum(millis), len(millis))
    if statistic is Statistic.TIME_WEIGHTED_MEAN:
        held = held_ms(values)
        return Fraction(sum(milli * ms for milli, ms in zip(millis, held, strict=True)), sum(held))
    if statistic.startswith("p"):
        rank = -(-int(statistic[1:]) * len(millis) // 100)
        return Fraction(sorted(millis)[rank - 1])
    return Fraction({Statistic.MIN: min(millis), Statistic.MAX: max(millis), Statistic.LAST: millis[-1]}[statistic])


def held_ms(values: Values) -> list[int]:
    """Return how long each reading holds."""
    until = [after_ms for after_ms, _ in values[1:]] + [WINDOW_MS]
    return [min(end - after_ms, HOLD_MS_MAX) for (after_ms, _), end in zip(values, until, strict=True)]


def rounded(value: Fraction) -> int:
    """Return the next whole number, halves up."""
    return floor(value + Fraction(1, 2))


def letter(rule: Rule, value: Fraction) -> str:
    """Return B for beyond, C for clear, - for neither."""
    if rule.condition is Condition.STUCK:
        return "C" if value else "B"
    for band, outside in ((rule.limits, "B"), (rule.clear_limits, "-")):
        if band.low_milli is not None and value < band.low_milli:
            return outside
        if band.high_milli is not None and value > band.high_milli:
            return outside
    return "C"


def _excursion_of(
    rule: Rule,
    history: History,
    series: str,
    part: Sequence[tuple[int, Fraction]],
    match: re.Match[str],
    history_start_ms: int,
) -> Excursion:
    def start_ms(index: int) -> int:
        return history_start_ms + index * WINDOW_MS

    beyond = [part[place] for place in range(match.start(), match.end()) if letter(rule, part[place][1]) == "B"]
    far = [_distance(rule, rounded(value)) for _, value in beyond]
    state, ended_ms = ExcursionState.LASTS, None
    if match["clear"] is not None:
        state, ended_ms = ExcursionState.CLEARED, start_ms(part[match.start("clear")][0])
    elif part[-1][0] + LOST_WINDOWS < len(history):
        state, ended_ms = ExcursionState.LOST, start_ms(part[-1][0]) + WINDOW_MS
    sensor_id, quantity = parts_of(series)
    return Excursion(
        rule=rule.name,
        sensor_id=sensor_id,
        quantity=quantity,
        began_ms=start_ms(part[match.start()][0]),
        rang_ms=start_ms(part[match.end("began") - 1][0]) + WINDOW_MS,
        ended_ms=ended_ms,
        state=state,
        extreme_milli=rounded(beyond[far.index(max(far))][1]),
        beyond_milli_ms=sum(
            milli * sum(held_ms(history[index][series])) for (index, _), milli in zip(beyond, far, strict=True)
        ),
        windows=len(beyond),
    )


def _distance(rule: Rule, value_milli: int) -> int:
    low, high = rule.limits.low_milli, rule.limits.high_milli
    below = low - value_milli if low is not None else 0
    return max(0, below, value_milli - high if high is not None else 0)
