"""Whoever hears all that is told knows the excursions that stand, whatever stood before."""

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from windrow.rules.changes import Change, ChangeKind, changes
from windrow.rules.rows import ExcursionRow, RowState
from windrow.window import WINDOW_MS

START_MS = 1_763_640_300_000
WINDOWS = 5
ENDED = (RowState.CLEARED, RowState.LOST)

Known = set[tuple[str, int]]
Span = tuple[int, int]
"""The window that an excursion begins in, and the one that it ends in."""


def row(series: str, began: int, window: int, state: RowState, revision: int = 1) -> ExcursionRow:
    """An excursion after a window, numbered from the first one of all."""
    began_ms = START_MS + began * WINDOW_MS
    return ExcursionRow(
        rule="warm",
        severity="info",
        series=series,
        state=state,
        began_ms=began_ms,
        rang_ms=began_ms + WINDOW_MS,
        until_ms=START_MS + (window + 1) * WINDOW_MS,
        extreme_milli=1_000 * (window - began),
        beyond_milli_ms=window - began,
        windows=window - began + 1,
        revision=revision,
    )


def rows_in(window: int, series: str, spans: Iterable[Span], ending: RowState) -> list[ExcursionRow]:
    """What stands after a window, if excursions are those spans."""
    return [
        row(series, began, window, ending if window == ended else RowState.LASTS)
        for began, ended in spans
        if began <= window <= ended
    ]


def disjoint(marks: list[int]) -> list[Span]:
    """Spans that do not meet, out of ascending windows; the last one may last."""
    return list(zip(marks[::2], [*marks[1::2], WINDOWS + 1], strict=False))


spans = st.lists(st.integers(0, WINDOWS), unique=True).map(sorted).map(disjoint)
endings = st.sampled_from(ENDED)


@st.composite
def histories(
    draw: st.DrawFn,
) -> tuple[Sequence[ExcursionRow], list[tuple[Sequence[ExcursionRow], list[ExcursionRow]]]]:
    """The rows before the windows, and of each window those that stood and those that stand.

    What stood is of another history in each window, as where runs broke off.
    """
    now = {series: (draw(spans), draw(endings)) for series in ("a", "b")}
    windows = []
    for window in range(WINDOWS):
        stands = [one for series, (each, ending) in now.items() for one in rows_in(window, series, each, ending)]
        stood = [one for series in now for one in rows_in(window, series, draw(spans), draw(endings))]
        windows.append((draw(st.sampled_from((stood, stands, []))), stands))
    return windows[0][1], windows[1:]


def heard(known: Known, told: Iterable[Change]) -> Known:
    """What somebody knows who knew that, and hears all of it."""
    told = list(told)
    left = {(one.row.series, one.row.began_ms) for one in told if one.kind is ChangeKind.WITHDRAWN}
    left |= {(one.before.series, one.before.began_ms) for one in told if one.before is not None}
    stand = {(one.row.series, one.row.began_ms) for one in told if one.kind is not ChangeKind.WITHDRAWN}
    return known - left | stand


def keys(rows: Iterable[ExcursionRow]) -> Known:
    return {(one.series, one.began_ms) for one in rows}


@given(histories())
def test_what_is_told_leaves_what_stands(
    history: tuple[Sequence[ExcursionRow], list[tuple[Sequence[ExcursionRow], list[ExcursionRow]]]],
) -> None:
    """Also if what stood contradicts itself; and each change has a name of its own."""
    before, windows = history
    told = changes(before, before, windows)
    knew = keys(before).union(*(keys(stood) for stood, _ in windows))
    assert heard(knew, told) == keys(before).union(*(keys(stands) for _, stands in windows))
    assert len({one.change_id for one in told}) == len(told)


def test_what_two_runs_left_is_corrected_to_the_one_that_stands() -> None:
    """One run wrote the first window and died at the second, of which another one, without the first, wrote a start."""
    first, second = row("a", 0, 0, RowState.LASTS), row("a", 1, 1, RowState.LASTS, revision=2)
    stands = row("a", 0, 1, RowState.LASTS, revision=3)
    assert changes([first], [first], [([second], [stands])]) == [Change(ChangeKind.CORRECTED, stands, second)]


def test_of_two_that_became_one_the_second_is_withdrawn() -> None:
    """Readings that came late filled what was between them."""
    first, second = row("a", 0, 1, RowState.CLEARED), row("a", 2, 2, RowState.LASTS)
    stands = [row("a", 0, window, RowState.LASTS) for window in range(3)]
    windows = [([], [stands[0]]), ([first], [stands[1]]), ([second], [stands[2]])]
    assert changes([], [], windows) == [
        Change(ChangeKind.CORRECTED, stands[2], first),
        Change(ChangeKind.WITHDRAWN, second),
    ]
