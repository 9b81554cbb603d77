"""Sensors that fell silent: a pure function of the sensors that have rows in each of the last windows.

Each series is a sensor here: what measures two quantities may fall silent in one of them.

    age      14  13  12 ... 2    1   0
             |   └── 12 before ─┘└ 2 ┘  the window itself has age 0
             └ only decides whether the sensor was silent one window earlier

A sensor is silent if it has no row in the last MISSING_WINDOWS windows but one in the BEFORE_WINDOWS before them. It
stays silent until it has rows in two consecutive windows (hysteresis: a stray reading clears nothing), or until it has
none in all of these windows and is given up as gone. So every silence ends. A window with fewer than half of the
sensors of the BEFORE_WINDOWS before it is an outage: then no sensor is reported as silent, because that is one fault
and not a million; nor is a sensor that is heard when the outage is over.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import IO

import numpy as np

from windrow import schemas
from windrow.columns import arrow
from windrow.columns.arrays import Int64s, Mask
from windrow.columns.strings import Strings
from windrow.rows.merge import id_ranges
from windrow.rows.series_columns import series_columns
from windrow.window import WINDOW_MS, Window

BEFORE_WINDOWS = 12
MISSING_WINDOWS = 2
AGES = BEFORE_WINDOWS + MISSING_WINDOWS
HISTORY_WINDOWS = AGES + 1
"""The number of windows that the silence of one window depends on, itself included."""
FORMAT = 1

COLUMNS = schemas.SILENCES


class SilenceState(StrEnum):
    """What happened to the silence of a sensor in a window; the `state` column of `silences`."""

    BEGAN = "began"
    LASTS = "lasts"
    CLEARED = "cleared"  # it is heard again
    GONE = "gone"  # silent for so long that it is no longer expected


@dataclass(frozen=True, slots=True, eq=False)
class Silence:
    """The silent sensors of a window: k rows, ascending by series (windrow.quantities).

    sensors: how many were heard in the window; sensors_expected: how many in the BEFORE_WINDOWS before it;
    states: int64[k], positions in SilenceState; missing_windows: int64[k], for how many windows the sensor has had no
    row, 0 if it has one in this window.
    """

    window: Window
    sensors: int
    sensors_expected: int
    sensor_ids: Strings
    states: Int64s
    missing_windows: Int64s

    @property
    def is_outage(self) -> bool:
        """Whether so many sensors are missing that none is reported as silent."""
        return 2 * self.sensors < self.sensors_expected

    @property
    def counts(self) -> Counter[SilenceState]:
        """The number of sensors in each state."""
        return Counter({state: int(np.count_nonzero(self.states == place)) for place, state in enumerate(SilenceState)})

    @property
    def silent(self) -> int:
        """The number of sensors that are silent now."""
        return self.counts[SilenceState.BEGAN] + self.counts[SilenceState.LASTS]


def silence_of(window: Window, streams: Sequence[tuple[Sequence[int], Iterator[Strings]]]) -> Silence:
    """Compute the silence of `window` from the sensors of the last HISTORY_WINDOWS windows.

    A stream holds the ids that were heard in the windows of some ages, ascending, in batches. Windows that heard the
    same sensors share a stream; those that heard nobody have none. Only sensors that are or were silent are kept in
    memory.
    """
    bits = [sum(1 << age for age in ages) for ages, _ in streams]
    totals: Counter[str] = Counter()
    kept: list[tuple[Strings, Int64s]] = []
    for complete in id_ranges([ids for _, ids in streams], ids_of=lambda ids: ids):
        ids, masks = _masks([(bits[number], part) for number, part in complete])
        totals.update(
            sensors=_heard(masks, 0),
            expected=_expected(masks, 0),
            sensors_before=_heard(masks, 1),
            expected_before=_expected(masks, 1),
        )
        candidates = np.flatnonzero(_are_silent(masks) | _are_silent(masks >> 1))
        if len(candidates):
            kept.append((ids.take(candidates), masks[candidates]))
    ids = Strings.concat([some for some, _ in kept])
    masks = np.concatenate([np.zeros(0, np.int64), *(some for _, some in kept)])
    is_outage = 2 * totals["sensors"] < totals["expected"]
    was_outage = 2 * totals["sensors_before"] < totals["expected_before"]
    before = _are_silent(masks >> 1) & (not was_outage)
    now = _are_silent(masks) & (not is_outage) & (before | (masks & 1 == 0))
    ended = np.where(
        masks & 1, list(SilenceState).index(SilenceState.CLEARED), list(SilenceState).index(SilenceState.GONE)
    )
    states = np.where(
        now,
        np.where(before, list(SilenceState).index(SilenceState.LASTS), list(SilenceState).index(SilenceState.BEGAN)),
        ended,
    )
    # In an outage no sensor is reported.
    shown = np.flatnonzero((now | before) & (not is_outage))
    return Silence(
        window=window,
        sensors=totals["sensors"],
        sensors_expected=totals["expected"],
        sensor_ids=ids.take(shown),
        states=states[shown],
        missing_windows=_missing_windows(masks[shown]),
    )


def write_silence(silence: Silence, file: IO[bytes]) -> None:
    """Write the rows of `silence` as one Parquet file; the same rows give the same bytes with one version of arro3."""
    start_ms = np.full(len(silence.sensor_ids), silence.window.start_ms, np.int64)
    names = Strings.of(SilenceState).take(silence.states)
    columns = {
        "window_start": arrow.timestamp_column(start_ms),
        **series_columns(silence.sensor_ids),
        "state": arrow.string_column(names),
        "last_window": arrow.timestamp_column(start_ms - silence.missing_windows * WINDOW_MS),
        "missing_windows": arrow.column(silence.missing_windows.astype(np.int32)),
    }
    arrow.write_parquet_batches(
        [columns], file, metadata={"format": FORMAT}, encodings={arrow.path("sensor_id"): arrow.PLAIN}
    )


def is_silent(history: Iterable[bool]) -> bool:
    """Define silence: return whether a sensor with this history (heard or not, the newest window first) is silent."""
    heard = [*history, *[False] * AGES][:AGES]
    silent = False
    for age in reversed(range(AGES - 1)):
        if not heard[age] and not heard[age + 1]:
            silent = silent or any(heard[age + 2 :])
        elif heard[age] and heard[age + 1]:
            silent = False
    return silent and any(heard)


@cache
def _silent_by_mask() -> Mask:
    """Tabulate `is_silent` by the bits of the history: bit 0 is the newest window."""
    return np.array([is_silent(bool(mask >> age & 1) for age in range(AGES)) for mask in range(1 << AGES)])


def _are_silent(masks: Int64s) -> Mask:
    silent: Mask = _silent_by_mask()[masks & ((1 << AGES) - 1)]
    return silent


def _masks(complete: Sequence[tuple[int, Strings]]) -> tuple[Strings, Int64s]:
    """Return the sensors of a round, and the windows that each was heard in, as bits."""
    return Strings.united_bits([part for _, part in complete], [bits for bits, _ in complete])


def _heard(masks: Int64s, age: int) -> int:
    return int(np.count_nonzero(masks >> age & 1))


def _expected(masks: Int64s, age: int) -> int:
    """Count the sensors of the BEFORE_WINDOWS windows before the window of `age`."""
    return int(np.count_nonzero(masks >> (age + 1) & ((1 << BEFORE_WINDOWS) - 1)))


def _missing_windows(masks: Int64s) -> Int64s:
    """Return how many windows ago each sensor was last heard: the number of its lowest bit."""
    lowest = masks & -masks
    windows: Int64s = np.round(np.log2(np.maximum(lowest, 1))).astype(np.int64)
    return windows
