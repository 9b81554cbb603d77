"""Held times: how long inside a window values were beyond a limit, and how far, to the millisecond.

They follow from readings, not from rows: a mean or a percentile does not say for how long. A reading holds its value
until the next reading of its series in the window, the window's end, or as long as the limit lets it; before the first
reading nothing is held here (windrow.rules.excursion adds what an earlier window goes on to hold). Of an identity with
several values the greatest counts. A value that equals the limit is not beyond it.

    8 °C ────────┌───┐──────────┌────     above 8: the sum of both
           ──────┘   └──────────┘
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np

from windrow.columns import arrow
from windrow.columns.arrays import Int32s, Int64s
from windrow.columns.strings import Strings
from windrow.quantities import SeriesParts, split_series
from windrow.rows.format_version import check_readable
from windrow.rows.partial import Partial
from windrow.rows.rollup import held_ms_of, winners_of
from windrow.rows.series_columns import series_columns, series_of_columns

FORMAT = 1


class Side(StrEnum):
    """On which side of a limit a value is beyond it."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, order=True)
class HeldLimit:
    """A limit on a quantity, in thousandths of its unit, and how long a reading holds its value at most."""

    quantity: str
    side: Side
    limit_milli: int
    hold_ms_max: int


@dataclass(frozen=True, slots=True, order=True)
class Watch:
    """A limit, and the sensors whose held times are kept: a pattern, where * stands for any characters, ? for one."""

    limit: HeldLimit
    sensors: str


@dataclass(frozen=True, slots=True, eq=False)
class HeldTimes:
    """The k series, ascending, that were beyond one limit for some time in a window.

    held_ms: for how long, at least 1; beyond_milli_ms: how far times how long.
    """

    series: Strings
    held_ms: Int64s
    beyond_milli_ms: Int64s

    def between(self, start: int, end: int) -> "HeldTimes":
        """Return the series `start:end`; shares the columns."""
        return HeldTimes(self.series.between(start, end), self.held_ms[start:end], self.beyond_milli_ms[start:end])

    @classmethod
    def concat(cls, parts: Sequence["HeldTimes"]) -> "HeldTimes":
        """Join `parts`, at least one; series must ascend from each to the next."""
        return cls(
            Strings.concat([one.series for one in parts]),
            np.concatenate([one.held_ms for one in parts]),
            np.concatenate([one.beyond_milli_ms for one in parts]),
        )


Held = Mapping[HeldLimit, HeldTimes]
"""The held times of a window, or of a part of its series; limits that nobody was beyond are left out."""


class UnreadableHeldTimes(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no held times in a format that this release reads."""


@cache
def sensors_pattern(sensors: str) -> re.Pattern[str]:
    """Return the expression that ids of `sensors` match as a whole, in which * stands for any characters, ? for one."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in sensors)
    return re.compile("".join(parts), re.DOTALL)


def held_times(partial: Partial, watches: Iterable[Watch]) -> Held:
    """Compute the held times of a set of readings; any order of delivery and repetition gives the same."""
    patterns: dict[HeldLimit, list[str]] = {}
    for watch in sorted(watches):
        patterns.setdefault(watch.limit, []).append(watch.sensors)
    if not patterns or not len(partial):
        return {}
    winners, _ = winners_of(partial)
    first, parts = winners.offsets[:-1], split_series(winners.sensor_ids)
    held_by_hold = {hold_ms: held_ms_of(winners, hold_ms) for hold_ms in {one.hold_ms_max for one in patterns}}
    found: dict[HeldLimit, HeldTimes] = {}
    for limit, sensors in patterns.items():
        distance_milli = _distance_milli(limit, winners.value_milli)
        if not distance_milli.any():
            continue
        held_ms = held_by_hold[limit.hold_ms_max]
        held = np.add.reduceat(np.where(distance_milli > 0, held_ms, 0), first)
        places = _watched(parts, limit, held, sensors)
        if len(places):
            beyond = np.add.reduceat(distance_milli * held_ms, first)
            found[limit] = HeldTimes(winners.sensor_ids.take(places), held[places], beyond[places])
    return found


def _distance_milli(limit: HeldLimit, value_milli: Int32s) -> Int64s:
    """Return how far each value is beyond the limit, 0 if it is not."""
    over = value_milli.astype(np.int64) - limit.limit_milli
    distance_milli: Int64s = np.maximum(over if limit.side is Side.ABOVE else -over, 0)
    return distance_milli


def _watched(parts: SeriesParts, limit: HeldLimit, held_ms: Int64s, patterns: Sequence[str]) -> Int64s:
    """Return the places of the series that have a held time and match one of the patterns."""
    is_its = np.array([quantity.name == limit.quantity for quantity in parts.quantities], bool)[parts.kind]
    places = np.flatnonzero(is_its & (held_ms > 0))
    if "*" in patterns or not len(places):
        return places
    compiled = [sensors_pattern(one) for one in patterns]
    ids = parts.sensor_ids.take(places).to_list()
    is_wanted = np.array([any(one.fullmatch(sensor_id) for one in compiled) for sensor_id in ids], bool)
    wanted: Int64s = places[is_wanted]
    return wanted


def joined_held(parts: Iterable[Held]) -> Held:
    """Join the held times of parts whose series ascend from one to the next."""
    of_limits: dict[HeldLimit, list[HeldTimes]] = {}
    for part in parts:
        for limit, times in part.items():
            of_limits.setdefault(limit, []).append(times)
    return {limit: HeldTimes.concat(times) for limit, times in of_limits.items()}


def held_between(held: Held, first: bytes, until: bytes | None) -> Held:
    """Return the held times of the series from `first` up to `until`, exclusive; None is no end."""
    found: dict[HeldLimit, HeldTimes] = {}
    for limit, times in held.items():
        start = times.series.positions_of([first])[0]
        end = len(times.series) if until is None else times.series.positions_of([until])[0]
        if start < end:
            found[limit] = times.between(start, end)
    return found


def encode_held(window_start_ms: int, held: Held) -> bytes:
    """Encode held times as a Parquet file, a row for each limit and series, ascending; at least one row."""
    limits = sorted(held)
    times = [held[limit] for limit in limits]
    rows = [len(one.series) for one in times]
    columns = {
        "window_start": arrow.timestamp_column(np.full(sum(rows), window_start_ms, np.int64)),
        **series_columns(Strings.concat([one.series for one in times])),
        "side": arrow.string_column(
            Strings.of(limit.side.value for limit, count in zip(limits, rows, strict=True) for _ in range(count))
        ),
        "limit_milli": arrow.column(np.repeat(np.array([limit.limit_milli for limit in limits], np.int64), rows)),
        "hold_ms_max": arrow.column(np.repeat(np.array([limit.hold_ms_max for limit in limits], np.int64), rows)),
        "held_ms": arrow.column(np.concatenate([one.held_ms for one in times])),
        "beyond_milli_ms": arrow.column(np.concatenate([one.beyond_milli_ms for one in times])),
    }
    body = io.BytesIO()
    arrow.write_parquet_batches([columns], body, metadata={"format": FORMAT}, encodings={})
    return body.getvalue()


def decode_held(window_start_ms: int, body: bytes) -> Held:
    """Undo `encode_held`; raises UnreadableHeldTimes, also if they are of another window."""
    try:
        columns, metadata = arrow.read_parquet(body)
        check_readable(metadata["format"], written=FORMAT)
        if np.any(arrow.instants_of(columns["window_start"]) != window_start_ms):
            raise ValueError("held times of another window")
        series = series_of_columns(columns)
        sides = arrow.strings_of(columns["side"]).to_list()
        numbers = zip(*(arrow.numbers_of(columns[one]).tolist() for one in ("limit_milli", "hold_ms_max")), strict=True)
        whole = HeldTimes(series, arrow.numbers_of(columns["held_ms"]), arrow.numbers_of(columns["beyond_milli_ms"]))
        parts = split_series(series)
        names = [parts.quantities[kind].name for kind in parts.kind.tolist()]
        limits = [
            HeldLimit(name, Side(side), limit_milli, hold_ms_max)
            for name, side, (limit_milli, hold_ms_max) in zip(names, sides, numbers, strict=True)
        ]
    except (ValueError, KeyError) as error:
        raise UnreadableHeldTimes(str(error)) from error
    starts = [place for place, limit in enumerate(limits) if place == 0 or limit != limits[place - 1]]
    ends = [*starts[1:], len(limits)]
    return {limits[start]: whole.between(start, end) for start, end in zip(starts, ends, strict=True)}
