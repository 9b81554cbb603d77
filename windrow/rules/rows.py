"""The excursions of a window as rows, one for each series that a rule tracks: a Parquet object beside its own rows.

The rows are two things at once: the table `excursions`, and what the next window goes on from. So nothing is kept
elsewhere, and what an object says can be worked out again from the one before it and from rows.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any

import numpy as np

from windrow import schemas
from windrow.columns import arrow
from windrow.columns.arrays import Int64s
from windrow.columns.strings import Strings
from windrow.quantities import parts_of
from windrow.rows.format_version import check_readable
from windrow.rows.series_columns import series_columns, series_of_columns
from windrow.rules.excursion import Excursion, ExcursionState, Track, Tracks
from windrow.rules.rule import Rule
from windrow.window import WINDOW_MS

FORMAT = 1

COLUMNS = schemas.EXCURSIONS
_TIMES = ("began", "rang", "until", "clear_from", "holds_until")
_NUMBERS = ("windows", "revision", "clear_windows")
_LOW = (1 << 64) - 1


class RowState(StrEnum):
    """How a series stands to a rule after a window; the `state` column."""

    PENDING = "pending"  # beyond the limit, but not for long enough to ring
    LASTS = "lasts"
    CLEARED = "cleared"  # it ended in this window
    LOST = "lost"  # it ended in this window


class UnreadableExcursions(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no excursions in a format that this release reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcursionRow:
    """One series that a rule tracks, after one window.

    until_ms: when it ended, or the end of the last window so far that had a verdict; rang_ms: the same while it is
    pending. distance_milli: how far `extreme_milli` is beyond the limit. clear_windows: how many in a row cleared it,
    from clear_from_ms on. revision: 1 as it was told first, and 1 more each time that readings that came late changed
    what had been told. held_ms is 0 but of rules that count time; holds_until_ms, holds_milli: as in Track.
    """

    rule: str
    severity: str
    series: str
    state: RowState
    began_ms: int
    rang_ms: int
    until_ms: int
    extreme_milli: int
    beyond_milli_ms: int
    windows: int
    clear_windows: int = 0
    clear_from_ms: int = 0
    distance_milli: int = 0
    revision: int = 1
    held_ms: int = 0
    holds_until_ms: int = 0
    holds_milli: int = 0

    @property
    def has_rung(self) -> bool:
        """Whether it is an excursion, and not only on its way to be one."""
        return self.state is not RowState.PENDING

    @property
    def is_tracked(self) -> bool:
        """Whether the next window goes on from it."""
        return self.state in (RowState.PENDING, RowState.LASTS)

    @property
    def ended_ms(self) -> int | None:
        """When it ended; None while it lasts, or is pending."""
        return None if self.is_tracked else self.until_ms

    @property
    def excursion(self) -> Excursion:
        """What it tells; only of a row that has rung."""
        sensor_id, quantity = parts_of(self.series)
        return Excursion(
            rule=self.rule,
            sensor_id=sensor_id,
            quantity=quantity,
            began_ms=self.began_ms,
            rang_ms=self.rang_ms,
            ended_ms=self.ended_ms,
            state=ExcursionState(self.state.value),
            extreme_milli=self.extreme_milli,
            beyond_milli_ms=self.beyond_milli_ms,
            windows=self.windows,
            held_ms=self.held_ms,
        )


_values = attrgetter(*(one.name for one in fields(ExcursionRow)))


def rows_after(rule: Rule, tracks: Tracks, ended: Iterable[Excursion]) -> list[ExcursionRow]:
    """Return the rows of one rule after a window: what it tracks, and what ended in the window."""
    rows = [_row_of_track(rule, series, track) for series, track in tracks.items()]
    return rows + [_row_of_ended(rule, one) for one in ended]


def tracks_of(rows: Iterable[ExcursionRow]) -> dict[str, Tracks]:
    """Return what is tracked after a window, by rule: the inverse of `rows_after`."""
    tracks: dict[str, Tracks] = {}
    for row in rows:
        if row.is_tracked:
            tracks.setdefault(row.rule, {})[row.series] = Track(
                began_ms=row.began_ms,
                last_ms=row.until_ms - WINDOW_MS,
                windows=row.windows,
                rang_ms=row.rang_ms if row.has_rung else None,
                clear_windows=row.clear_windows,
                clear_from_ms=row.clear_from_ms,
                extreme_milli=row.extreme_milli,
                extreme_distance_milli=row.distance_milli,
                beyond_milli_ms=row.beyond_milli_ms,
                held_ms=row.held_ms,
                holds_until_ms=row.holds_until_ms,
                holds_milli=row.holds_milli,
            )
    return tracks


def with_revisions(
    rows: Iterable[ExcursionRow], *, before: Iterable[ExcursionRow], replaced: Iterable[ExcursionRow]
) -> tuple[ExcursionRow, ...]:
    """Return rows, ascending by rule and series, with their revisions.

    An excursion keeps the revision it had after the window `before`, unless the rows `replaced`, which stood for the
    same window until now, told something else of it.
    """
    carried = {(row.rule, row.series, row.began_ms): row.revision for row in before if row.has_rung}
    told = {(row.rule, row.series): row for row in replaced if row.has_rung}
    found = []
    for row in sorted(rows, key=lambda one: (one.rule, one.series)):
        revision, old = carried.get((row.rule, row.series, row.began_ms), 1), told.get((row.rule, row.series))
        if old is not None and row.has_rung:
            revision = max(revision, old.revision + (replace(row, revision=old.revision) != old))
        found.append(replace(row, revision=revision))
    return tuple(found)


def state_hash(rows: Iterable[ExcursionRow]) -> str:
    """Compute BLAKE2b-128 over what the next window goes on from; empty if that is nothing."""
    tracked = [_values(row) for row in rows if row.is_tracked]  # `astuple` copies each value: ten times as long
    return hashlib.blake2b(json.dumps(tracked).encode(), digest_size=16).hexdigest() if tracked else ""


def encode_excursions(window_start_ms: int, rows: Sequence[ExcursionRow]) -> bytes:
    """Encode rows, ascending by rule and series; the same rows give the same bytes with one version of arro3."""
    beyond = [row.beyond_milli_ms for row in rows]
    columns = {
        "window_start": arrow.timestamp_column(np.full(len(rows), window_start_ms, np.int64)),
        "rule": arrow.string_column(Strings.of(row.rule for row in rows)),
        "severity": arrow.string_column(Strings.of(row.severity for row in rows)),
        **series_columns(Strings.of(row.series for row in rows)),
        "state": arrow.string_column(Strings.of(row.state.value for row in rows)),
        "extreme_milli": arrow.column(_integers(row.extreme_milli for row in rows)),
        "beyond_milli_ms": arrow.decimal_column(
            _integers(one >> 64 for one in beyond), np.array([one & _LOW for one in beyond], np.uint64)
        ),
        "distance_milli": arrow.column(_integers(row.distance_milli for row in rows)),
        "held_ms": arrow.column(_integers(row.held_ms for row in rows)),
        "holds_milli": arrow.column(_integers(row.holds_milli for row in rows)),
    }
    columns |= {name: arrow.timestamp_column(_integers(getattr(row, f"{name}_ms") for row in rows)) for name in _TIMES}
    columns |= {name: arrow.column(_integers(getattr(row, name) for row in rows).astype(np.int32)) for name in _NUMBERS}
    body = io.BytesIO()
    ordered = {name: columns[name] for name, _ in COLUMNS}
    arrow.write_parquet_batches([ordered], body, metadata={"format": FORMAT}, encodings={})
    return body.getvalue()


def decode_excursions(window_start_ms: int, body: bytes) -> tuple[ExcursionRow, ...]:
    """Undo `encode_excursions`; raises UnreadableExcursions, also if the rows are of another window."""
    try:
        columns, metadata = arrow.read_parquet(body)
        check_readable(metadata["format"], written=FORMAT)
        if np.any(arrow.instants_of(columns["window_start"]) != window_start_ms):
            raise ValueError("rows of another window")
        high, low = arrow.decimals_of(columns["beyond_milli_ms"])
        texts = {name: arrow.strings_of(columns[name]).to_list() for name in ("rule", "severity", "state")}
        values_of: dict[str, list[Any]] = {
            **{name: texts[name] for name in ("rule", "severity")},
            "state": [RowState(state) for state in texts["state"]],
            "series": series_of_columns(columns).to_list(),
            "beyond_milli_ms": [(int(one) << 64) + int(other) for one, other in zip(high, low, strict=True)],
        }
        for name in ("extreme_milli", "distance_milli", "held_ms", "holds_milli", *_NUMBERS):
            values_of[name] = arrow.numbers_of(columns[name]).tolist()
        for name in _TIMES:
            values_of[f"{name}_ms"] = arrow.instants_of(columns[name]).tolist()
    except (ValueError, KeyError) as error:
        raise UnreadableExcursions(str(error)) from error
    return tuple(
        ExcursionRow(**dict(zip(values_of, values, strict=True))) for values in zip(*values_of.values(), strict=True)
    )


def _row_of_track(rule: Rule, series: str, track: Track) -> ExcursionRow:
    until_ms = track.last_ms + WINDOW_MS
    return ExcursionRow(
        rule=rule.name,
        severity=rule.severity.value,
        series=series,
        state=RowState.PENDING if track.rang_ms is None else RowState.LASTS,
        began_ms=track.began_ms,
        rang_ms=until_ms if track.rang_ms is None else track.rang_ms,
        until_ms=until_ms,
        extreme_milli=track.extreme_milli,
        beyond_milli_ms=track.beyond_milli_ms,
        windows=track.windows,
        clear_windows=track.clear_windows,
        clear_from_ms=track.clear_from_ms,
        distance_milli=track.extreme_distance_milli,
        held_ms=track.held_ms,
        holds_until_ms=track.holds_until_ms,
        holds_milli=track.holds_milli,
    )


def _row_of_ended(rule: Rule, one: Excursion) -> ExcursionRow:
    assert one.ended_ms is not None  # noqa: S101 - of an excursion that ended
    return ExcursionRow(
        rule=rule.name,
        severity=rule.severity.value,
        series=one.sensor_id + one.quantity.suffix,
        state=RowState(one.state.value),
        began_ms=one.began_ms,
        rang_ms=one.rang_ms,
        until_ms=one.ended_ms,
        extreme_milli=one.extreme_milli,
        beyond_milli_ms=one.beyond_milli_ms,
        windows=one.windows,
        held_ms=one.held_ms,
    )


def _integers(values: Iterable[int]) -> Int64s:
    return np.fromiter(values, np.int64)
