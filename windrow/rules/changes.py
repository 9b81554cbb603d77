"""What is to be told: how the excursions of some consecutive windows differ from what stood for them before.

    stood     ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓        nothing stood for the newest windows, only what lasted into them
    stands  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓     began earlier after all: a correction; ended since: cleared

An excursion is known by its rule, its series and its beginning. One whose beginning moved is the one that it overlaps.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from windrow.rules.rows import ExcursionRow, RowState

Key = tuple[str, str, int]
"""Rule, series, beginning."""
WindowRows = Sequence[ExcursionRow]


class ChangeKind(StrEnum):
    """What became of an excursion."""

    RANG = "rang"
    CLEARED = "cleared"
    LOST = "lost"
    CORRECTED = "corrected"  # readings that came late changed what had been told
    WITHDRAWN = "withdrawn"  # readings that came late left nothing of it


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is told. `row` as it stands now, of a withdrawn one as it stood; `before`: what was told of it."""

    kind: ChangeKind
    row: ExcursionRow
    before: ExcursionRow | None = None

    @property
    def revision(self) -> int:
        """The revision that is told: of a withdrawn excursion one more than it had."""
        return self.row.revision + (self.kind is ChangeKind.WITHDRAWN)

    @property
    def change_id(self) -> str:
        """What names this change wherever and however often it is told: 32 hexadecimal digits."""
        row = self.row
        told = (row.rule, row.series, row.began_ms, row.state.value, self.kind.value, self.revision)
        return hashlib.blake2b(repr(told).encode(), digest_size=16).hexdigest()


def changes(
    stood_before: WindowRows, stands_before: WindowRows, windows: Iterable[tuple[WindowRows, WindowRows]]
) -> list[Change]:
    """Return what is to be told of consecutive windows, each given as the rows that stood and those that stand now.

    `stood_before` and `stands_before` are the rows of the window before them. What only grew while it lasts is not
    told, nor what is pending. Rows that stood may contradict each other, where a run broke off between two windows: all
    of them may have been told, so each that does not stand any more is taken back, by a correction or as withdrawn. Of
    a correction that goes on over more windows than are given, each part is told, under one `change_id`.
    """
    stood, stands = _by_key(stood_before), _by_key(stands_before)
    for old, new in windows:
        stood |= _by_key(old)
        stands |= _by_key(new)
    gone = {key: row for key, row in stood.items() if key not in stands}
    gone_of, stands_of = _by_series(gone.values()), _by_series(stands.values())
    found = [
        change
        for key, row in sorted(stands.items())
        for change in _changes_of(row, stood.get(key) or _overlapping(row, gone_of))
    ]
    taken_back = {_key_of(change.before) for change in found if change.before is not None}
    corrected = {_key_of(change.row) for change in found if change.kind is ChangeKind.CORRECTED}
    for key, row in sorted(gone.items()):
        if key not in taken_back:
            found.append(_taken_back(row, _overlapping(row, stands_of), corrected))
            corrected.add(_key_of(found[-1].row))
    return found


def _taken_back(row: ExcursionRow, left: ExcursionRow | None, corrected: Container[Key]) -> Change:
    """Return how a row that is gone is taken back: corrected to what stands at that time, if that is not yet told."""
    if left is None or _key_of(left) in corrected:
        return Change(ChangeKind.WITHDRAWN, row)
    return Change(ChangeKind.CORRECTED, left, row)


def _by_key(rows: Iterable[ExcursionRow]) -> dict[Key, ExcursionRow]:
    return {_key_of(row): row for row in rows if row.has_rung}


def _key_of(row: ExcursionRow) -> Key:
    return row.rule, row.series, row.began_ms


def _changes_of(row: ExcursionRow, old: ExcursionRow | None) -> Iterator[Change]:
    if old is None:
        yield Change(ChangeKind.RANG if row.state is RowState.LASTS else ChangeKind(row.state.value), row)
    elif row.began_ms != old.began_ms or (old.ended_ms is not None and _told(row) != _told(old)):
        yield Change(ChangeKind.CORRECTED, row, old)
    elif row.state is not old.state:
        yield Change(ChangeKind(row.state.value), row)


def _told(row: ExcursionRow) -> tuple[object, ...]:
    return (row.state, row.rang_ms, row.ended_ms, row.extreme_milli, row.beyond_milli_ms, row.windows, row.held_ms)


def _by_series(rows: Iterable[ExcursionRow]) -> dict[tuple[str, str], list[ExcursionRow]]:
    """Return the rows of each rule and series, in their order: a whole fleet may be beyond a limit at once."""
    found: dict[tuple[str, str], list[ExcursionRow]] = {}
    for row in rows:
        found.setdefault((row.rule, row.series), []).append(row)
    return found


def _overlapping(row: ExcursionRow, others: Mapping[tuple[str, str], WindowRows]) -> ExcursionRow | None:
    """Return the first of the others of the same rule and series that was under way at the same time."""
    for other in others.get((row.rule, row.series), ()):
        if _starts_before_end(row, other) and _starts_before_end(other, row):
            return other
    return None


def _starts_before_end(one: ExcursionRow, other: ExcursionRow) -> bool:
    return other.ended_ms is None or one.began_ms < other.ended_ms
