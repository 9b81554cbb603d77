"""The sensors that are silent at the end of a range, as the table `silences` has them, and those it does not name.

The pipeline works out who is silent in each window (windrow.rows.silence). So that the dashboard says the same as
`windrow query silences`, it reads those rows: of the newest window all, of the windows before it only who was given up.
A window in which most sensors are missing is an outage, for which the pipeline names nobody; then the rows of the
windows tell who is missing.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.abandon import Check, always_wanted, held
from analytics.frames import epoch_ms
from analytics.presets import IN_RANGE, range_values
from analytics.query import Query
from analytics.result import Engine
from analytics.row_cache import LineageSummary, Snapshot
from windrow.quantities import TEMPERATURE, Quantity
from windrow.rows.silence import BEFORE_WINDOWS
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS

GONE_HELD_MAX = 100_000
"""The most sensors that were given up in a range; of more, the newest are known."""
WINDOWS_AT_ONCE = 288
MISSING = "missing"
"""The state of a sensor that is not heard in an outage; the others are those of windrow.rows.silence."""

_SQL = (
    f"SELECT window_start, sensor_id, state, last_window FROM silences WHERE {IN_RANGE}"  # noqa: S608
    " AND quantity = :quantity AND unit = :unit"
)
_GONE_SQL = f"{_SQL} AND state = 'gone'"
_SILENT = frozenset({"began", "lasts"})


@dataclass(frozen=True, slots=True)
class SilentSensor:
    """A sensor that is not heard. `heard_ms` is the start of its last window with a row."""

    sensor_id: str
    heard_ms: int
    state: str


@dataclass(frozen=True, slots=True)
class SilenceNow:
    """Who is silent at the end of a range, by its newest window whose silence is known, which starts at `at_ms`.

    silent: what `windrow query silences` calls began or lasts in that window; gone: who was given up before, and not
    heard since; missing: who is not heard in an outage, as far as the rows of the range tell. Each is sorted by
    `heard_ms`, then by id. sensors, expected: of that window; in an outage, sensors is less than half of expected.
    """

    at_ms: int | None = None
    sensors: int = 0
    expected: int = 0
    silent: tuple[SilentSensor, ...] = ()
    gone: tuple[SilentSensor, ...] = ()
    missing: tuple[SilentSensor, ...] = ()

    @property
    def is_outage(self) -> bool:
        """Whether so many sensors are missing that the pipeline names none."""
        return 2 * self.sensors < self.expected

    @property
    def all(self) -> tuple[SilentSensor, ...]:
        """Everybody, those that are still expected first."""
        return (*self.silent, *self.missing, *self.gone)

    @property
    def count(self) -> int:
        """How many are not heard, named or not."""
        unnamed = max(0, self.expected - self.sensors - len(self.missing)) if self.is_outage else 0
        return len(self.all) + unnamed


@dataclass(frozen=True, slots=True)
class _WindowSilences:
    """What was read of a window: the ETag of its silences then, whether all of its rows were read, and those."""

    etag: str
    is_whole: bool
    rows: tuple[SilentSensor, ...]


class SilenceCache:
    """The silences that were read, each once, and again only if they change; safe for several threads."""

    def __init__(self, engine: Engine, lock: threading.Lock, *, quantity: Quantity = TEMPERATURE) -> None:
        """Ask `engine` who is silent in `quantity` while holding `lock`."""
        self._quantity = quantity
        self._engine = engine
        self._lock = lock
        self._windows: dict[int, _WindowSilences] = {}

    def at(self, snapshot: Snapshot, check: Check = always_wanted) -> SilenceNow:
        """Return who is silent at the end of `snapshot`, by its newest window whose silence was worked out."""
        known = [one for one in snapshot.lineages if one.sensors_expected is not None]
        if not known:
            return SilenceNow()
        newest = known[-1]
        expected = newest.sensors_expected or 0
        with held(self._lock, check):
            self._forget_outside(snapshot.time_range)
            self._read(known, check)
            silent = [row for row in self._rows_of(newest) if row.state in _SILENT]
            gone = {row.sensor_id: row for one in known for row in self._rows_of(one) if row.state == "gone"}
        missing = _missing(snapshot, newest) if 2 * newest.sensors < expected else []
        named = {row.sensor_id for row in (*silent, *missing)}
        left = [row for row in gone.values() if row.sensor_id not in named]
        heard_ms = _last_heard(snapshot, [row.sensor_id for row in left])
        given_up = [row for row in left if heard_ms.get(row.sensor_id, -1) <= row.heard_ms]
        return SilenceNow(newest.start_ms, newest.sensors, expected, *map(_longest_first, (silent, given_up, missing)))

    def _rows_of(self, lineage: LineageSummary) -> tuple[SilentSensor, ...]:
        read = self._windows.get(lineage.start_ms)
        return read.rows if read is not None and lineage.silences_etag else ()

    def _forget_outside(self, time_range: TimeRange) -> None:
        for start_ms in [at for at in self._windows if not time_range.start_ms <= at < time_range.end_ms]:
            del self._windows[start_ms]

    def _read(self, known: Sequence[LineageSummary], check: Check) -> None:
        """Read what has changed: the newest window as a whole, then the others, the newest first."""
        *others, newest = known
        self._read_some([newest] if self._is_stale(newest, is_whole=True) else [], is_whole=True)
        stale = [one for one in reversed(others) if self._is_stale(one, is_whole=False)]
        for first in range(0, len(stale), WINDOWS_AT_ONCE):
            check()
            if sum(len(read.rows) for read in self._windows.values()) > GONE_HELD_MAX:
                break
            self._read_some(stale[first : first + WINDOWS_AT_ONCE], is_whole=False)
        for one in others:
            self._keep_gone(one.start_ms)

    def _is_stale(self, lineage: LineageSummary, *, is_whole: bool) -> bool:
        read = self._windows.get(lineage.start_ms)
        if not lineage.silences_etag:
            return False
        return read is None or read.etag != lineage.silences_etag or (is_whole and not read.is_whole)

    def _read_some(self, lineages: Sequence[LineageSummary], *, is_whole: bool) -> None:
        if not lineages:
            return
        starts = [one.start_ms for one in lineages]
        rows: dict[int, list[SilentSensor]] = {start_ms: [] for start_ms in starts}
        time_range = TimeRange(min(starts), max(starts) + WINDOW_MS)
        for start_ms, row in self._ask(_SQL if is_whole else _GONE_SQL, time_range):
            if start_ms in rows:
                rows[start_ms].append(row)
        for one in lineages:
            read = _WindowSilences(one.silences_etag or "", is_whole, tuple(rows[one.start_ms]))
            self._windows[one.start_ms] = read

    def _ask(self, sql: str, time_range: TimeRange) -> Iterator[tuple[int | None, SilentSensor]]:
        values = range_values(time_range) | {"quantity": self._quantity.name, "unit": self._quantity.unit}
        for page in self._engine.pages(Query.bind(sql, values)):
            frame = page.frame
            columns = (frame["sensor_id"].tolist(), epoch_ms(frame["last_window"]), frame["state"].tolist())
            for start_ms, sensor_id, heard_ms, state in zip(epoch_ms(frame["window_start"]), *columns, strict=True):
                yield start_ms, SilentSensor(sensor_id, heard_ms or 0, state)

    def _keep_gone(self, start_ms: int) -> None:
        """Forget all other rows of a window that is no longer the newest."""
        read = self._windows.get(start_ms)
        if read is not None and read.is_whole:
            gone = tuple(row for row in read.rows if row.state == "gone")
            self._windows[start_ms] = _WindowSilences(read.etag, False, gone)  # noqa: FBT003 - a field


def _longest_first(rows: Sequence[SilentSensor]) -> tuple[SilentSensor, ...]:
    return tuple(sorted(rows, key=lambda row: (row.heard_ms, row.sensor_id)))


def _missing(snapshot: Snapshot, newest: LineageSummary) -> list[SilentSensor]:
    """Return who has a row in one of the windows before `newest` that count, but none in it; nobody if by hours."""
    if snapshot.length_ms != WINDOW_MS:
        return []
    first_ms = newest.start_ms - BEFORE_WINDOWS * WINDOW_MS
    heard_ms = np.full(len(snapshot.sensor_ids), -1, np.int64)
    for rows in snapshot.rows:
        if first_ms <= rows.start_ms <= newest.start_ms:
            heard_ms[rows.sensor] = rows.start_ms
    places = np.flatnonzero((heard_ms >= 0) & (heard_ms < newest.start_ms)).tolist()
    return [SilentSensor(snapshot.sensor_ids[place], int(heard_ms[place]), MISSING) for place in places]


def _last_heard(snapshot: Snapshot, sensor_ids: Sequence[str]) -> dict[str, int]:
    """Return the start of the last window of each of `sensor_ids` that has a row in the range."""
    if not sensor_ids:
        return {}
    wanted = set(sensor_ids)
    place_of = {place: one for place, one in enumerate(snapshot.sensor_ids) if one in wanted}
    heard_ms = np.full(len(snapshot.sensor_ids), -1, np.int64)
    for rows in snapshot.rows:
        heard_ms[rows.sensor] = rows.start_ms
    return {one: int(heard_ms[place]) for place, one in place_of.items()}
