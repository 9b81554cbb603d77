"""Audit of the results against the stream: it is read again, and every row is compared with its readings.

The stream still has a subset of what was ever sent. So a row must have everything that is in the stream. That it has
too much, or another value, can only be proven for windows of which nothing can have expired: see `Evidence`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
import pandas as pd

from analytics.decode import StreamTotals, decode
from analytics.frames import epoch_ms
from analytics.oracle import SERIES_COLUMNS, Series, true_rows
from analytics.presets import IN_RANGE, range_values
from analytics.query import Query
from analytics.readings_database import ReadingsDatabase
from analytics.result import Engine
from analytics.verify import Verification, rows_of_window, verify_window
from windrow.aws.stream import StreamRecord
from windrow.payloads.contract import Contract
from windrow.payloads.stored import contract_of, contract_since
from windrow.period import HOUR_MS
from windrow.reading import EARLINESS_MS_MAX
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

GRACE_MS = 15 * 60_000
"""A reading that arrived longer ago must be in the rows: this covers a batch, its retries and the next tick."""
CONTRACT_MS = 300_000
"""Records that arrive so long after a change of the payload contract are read under the new one by every function."""
CONSUMER_MS = 40_000
"""How long the consumer and its first retry take, from the end of the batching window until all is in the lake."""

_ROLLED_SQL = f"SELECT window_start, scheduled_time, shards FROM windows WHERE {IN_RANGE}"  # noqa: S608
_STORED_SQL = f"SELECT DISTINCT window_start FROM aggregates WHERE {IN_RANGE}"  # noqa: S608 - no value in either


@dataclass(frozen=True, slots=True)
class Delays:
    """How long a stage lets readings wait, in milliseconds.

    consumer_ms: a reading that arrived this long before a tick was in the lake when the tick ran. By default shorter
    than the dispatcher's delay, so a reading that was in time for its window's first tick is not excused.
    late_roll_ms: an old window is rolled again for late readings at most this often.
    """

    consumer_ms: int
    late_roll_ms: int

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Return those of a stage with these parameters; a stage that lacks one waits as stages did before it."""
        batching_ms = 1_000 * int(parameters.get("BatchingWindowSeconds", "20"))
        return cls(batching_ms + CONSUMER_MS, 60_000 * int(parameters.get("LateRollMinutes", "0")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the stream can prove.

    Everything that arrived at `complete_from_ms` or later is still in it; 0 means that nothing has expired yet. A
    reading counts only if it arrives at most EARLINESS_MS_MAX before its event time, so the stream has all readings of
    windows that start that much later than `complete_from_ms`, unless other streams contributed to them.

    Records that arrived before `readable_from_ms` were read under another payload contract, or under both. They prove
    nothing, as if they had expired; 0 means that there was no other contract.
    """

    stream_name: str
    complete_from_ms: int
    readable_from_ms: int = 0

    def reading_from_ms(self, time_range: TimeRange) -> int:
        """Return the first arrival of records that can have a say in the windows that start in `time_range`.

        No reading counts that arrives earlier than EARLINESS_MS_MAX before its time.
        """
        return max(self.readable_from_ms, time_range.start_ms - EARLINESS_MS_MAX, 0)

    def is_whole(self, window_start_ms: int, shards: Iterable[str]) -> bool:
        """Return whether the stream has all readings of a window whose lineage names `shards`."""
        is_alone = all(shard.startswith(f"{self.stream_name}-shardId-") for shard in shards)
        return is_alone and window_start_ms >= self.complete_from_ms + (
            EARLINESS_MS_MAX if self.complete_from_ms else 0
        )


class Verdict(StrEnum):
    """The result of comparing one window."""

    EXACT = "exact"  # every column of every row agrees with the stream
    UNPROVEN = "unproven"  # nothing is missing; the stream can no longer prove whether something is extra
    BEHIND = "behind"  # differs, but readings have just arrived that the last roll could not see
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAudit:
    """One window: its verdict, the comparison of the rows that can be compared, and how many cannot."""

    start_ms: int
    verdict: Verdict
    verification: Verification
    rows_unproven: int = 0

    def to_fields(self) -> dict[str, Any]:
        """Return the window for JSON; a culprit is a line of text."""
        counts = {name: value for name, value in asdict(self.verification).items() if name != "culprits"}
        return {
            "window_start": format_rfc3339(self.start_ms),
            "verdict": self.verdict.value,
            "rows_unproven": self.rows_unproven,
            **counts,
            "culprits": [str(culprit) for culprit in self.verification.culprits],
        }

    def __str__(self) -> str:
        """Return the window in one line."""
        found = self.verification
        line = f"{format_rfc3339(self.start_ms)}  {self.verdict:<9}  {found.rows} rows, {found.readings} readings"
        if not found.is_exact:
            line += f": readings missing {found.lost}, extra {found.duplicated}; rows different {found.wrong}"
            line += f", missing {found.rows_missing}, extra {found.rows_extra}"
        return f"{line}; {self.rows_unproven} rows unproven" if self.rows_unproven else line


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The windows of the range that have readings in the stream, rows or a lineage, in ascending order."""

    totals: StreamTotals
    evidence: Evidence
    windows: tuple[WindowAudit, ...] = field(default=())

    @property
    def is_exact(self) -> bool:
        """Whether no window is different."""
        return all(window.verdict is not Verdict.DIFFERENT for window in self.windows)

    @property
    def misses_readings(self) -> bool:
        """Whether a different window lacks readings of the stream, or rows of them."""
        different = (one.verification for one in self.windows if one.verdict is Verdict.DIFFERENT)
        return any(found.lost or found.rows_missing for found in different)

    def count(self, verdict: Verdict) -> int:
        """Return how many windows have this verdict."""
        return sum(window.verdict is verdict for window in self.windows)

    def to_fields(self) -> dict[str, Any]:
        """Return the audit for JSON, with every window."""
        rejected = dict(sorted(self.totals.rejected.items()))
        windows = [window.to_fields() for window in self.windows]
        since_ms = self.evidence.readable_from_ms
        return {
            "records": self.totals.records,
            "contract_since": format_rfc3339(since_ms) if since_ms else None,
            "rejected": rejected,
            "windows": windows,
        }

    def __str__(self) -> str:
        """Return the audit in one line."""
        judged = sum(
            (window.verification for window in self.windows if window.verdict is not Verdict.BEHIND), Verification()
        )
        verdicts = ", ".join(f"{self.count(verdict)} {verdict}" for verdict in Verdict if self.count(verdict))
        return (
            f"audit: {len(self.windows)} windows ({verdicts or 'none'}), "
            f"{judged.rows} rows, {judged.readings} readings: "
            f"missing {judged.lost}, extra {judged.duplicated}, different {judged.wrong}"
        )


def audit(
    records: Iterable[StreamRecord],
    engine: Engine,
    *,
    time_range: TimeRange,
    evidence: Evidence,
    delays: Delays,
    horizon_ms: int,
    now_ms: int,
    contract: Contract | None = None,
    is_all_read: Callable[[], bool] = lambda: True,
    on_progress: Callable[[str, int, int | None], object] = lambda *_: None,
) -> Audit:
    """Compare the windows that start in `time_range` with `records`, which are all that can have readings of them.

    `contract` is the one that all of them were read under, None for the default form.
    `is_all_read` is asked after the last record: if some are left, they prove what is missing, but nothing else.
    `on_progress` is called with the name of the step, how much is done, and of how much, if known.
    """
    totals = StreamTotals()
    with ReadingsDatabase() as database:
        for batch in decode(records, totals, horizon_ms=horizon_ms, contract=contract):
            database.add(batch, start_ms=time_range.start_ms, end_ms=time_range.end_ms)
            on_progress("records", totals.records, None)
        newest = database.newest_arrivals()
        rolled = _rolled(engine, time_range)
        starts = sorted(newest.keys() | rolled.keys() | _stored(engine, time_range))
        windows = []
        for done, start_ms in enumerate(starts):
            on_progress("windows", done, len(starts))
            scheduled_ms, shards = rolled.get(start_ms, (None, ()))
            is_young = _is_young(
                newest.get(start_ms), delays, start_ms=start_ms, scheduled_ms=scheduled_ms, now_ms=now_ms
            )
            is_whole = is_all_read() and evidence.is_whole(start_ms, shards)
            windows.append(_audit_window(start_ms, database, engine, is_whole=is_whole, is_young=is_young))
    return Audit(totals=totals, evidence=evidence, windows=tuple(windows))


def evidence_of(stage: Stage, *, now_ms: int) -> tuple[Evidence, int]:
    """Return what the stream of `stage` can prove, and the instant from which on it keeps records."""
    summary = stage.stream.summary()
    retained_from_ms = max(0, now_ms - summary.retention_hours * HOUR_MS)
    complete_from_ms = 0 if summary.created_ms >= retained_from_ms else retained_from_ms
    since_ms = contract_since(stage.lake, stage.payload_contract)
    settled_ms = now_ms if since_ms is None else since_ms and min(since_ms + CONTRACT_MS, now_ms)
    evidence = Evidence(
        stream_name=stage.stream_name,
        complete_from_ms=max(complete_from_ms, settled_ms),
        readable_from_ms=settled_ms,
    )
    return evidence, retained_from_ms


def contract_of_stage(stage: Stage) -> Contract | None:
    """Return the payload contract that the stage has now; None if its payloads have the default form."""
    return contract_of(stage.lake, stage.payload_contract) if stage.payload_contract else None


def _audit_window(
    start_ms: int, database: ReadingsDatabase, engine: Engine, *, is_whole: bool, is_young: bool
) -> WindowAudit:
    readings, stored = database.readings_of(start_ms), rows_of_window(engine, start_ms)
    unproven = set() if is_whole else _unproven(readings, stored)
    verification = verify_window(start_ms, _without(readings, unproven), _without(stored, unproven))
    if not verification.is_exact:
        verdict = Verdict.BEHIND if is_young else Verdict.DIFFERENT
    else:
        verdict = Verdict.UNPROVEN if unproven else Verdict.EXACT
    return WindowAudit(start_ms=start_ms, verdict=verdict, verification=verification, rows_unproven=len(unproven))


def _without(rows: pd.DataFrame, unproven: set[Series]) -> pd.DataFrame:
    """Return the rows, or readings, of all other series."""
    if not unproven:
        return rows
    series = zip(*(rows[name].tolist() for name in SERIES_COLUMNS), strict=True)
    # Of no rows, a plain empty list would choose no columns.
    return rows[np.array([one not in unproven for one in series], bool)]


def _unproven(readings: pd.DataFrame, stored: pd.DataFrame) -> set[Series]:
    """Return the series whose rows have more than the stream, and nothing that contradicts it.

    A row has everything that is in the stream. So a row with the same counts of readings and conflicts is made from the
    same readings and must be equal; one with higher counts must only have a maximum that is at least as high.
    """
    truth = dict(_records(true_rows(readings)))
    unproven: set[Series] = set()
    for series, found in _records(stored):
        expected = truth.get(series)
        if expected is None:
            unproven.add(series)
            continue
        surplus = [found[name] - expected[name] for name in ("readings", "conflicts")]
        if min(surplus) >= 0 and max(surplus) > 0 and found["max_milli"] >= expected["max_milli"]:
            unproven.add(series)
    return unproven


def _records(rows: pd.DataFrame) -> list[tuple[Series, dict[str, Any]]]:
    series = zip(*(rows[name].tolist() for name in SERIES_COLUMNS), strict=True)
    names = ["readings", "conflicts", "max_milli"]
    values = zip(*(rows[name] for name in names), strict=True)
    return [(one, dict(zip(names, row, strict=True))) for one, row in zip(series, values, strict=True)]


def _is_young(newest_ms: int | None, delays: Delays, *, start_ms: int, scheduled_ms: int | None, now_ms: int) -> bool:
    """Return whether the pipeline may still be working on a window, or waits until it may roll it again."""
    if scheduled_ms is None:
        arrived_ms = start_ms if newest_ms is None else max(start_ms, newest_ms)
        return now_ms <= arrived_ms + GRACE_MS
    if newest_ms is None or newest_ms <= scheduled_ms - delays.consumer_ms:
        return False
    is_old = now_ms - start_ms - WINDOW_MS >= delays.late_roll_ms
    again_ms = scheduled_ms + delays.late_roll_ms if is_old else 0
    return now_ms <= max(newest_ms, again_ms) + GRACE_MS


def _rolled(engine: Engine, time_range: TimeRange) -> dict[int, tuple[int | None, tuple[str, ...]]]:
    """Return scheduled time and shards of each lineage, by the start of its window."""
    frame = engine.run(Query.bind(_ROLLED_SQL, range_values(time_range))).frame
    starts, scheduled = epoch_ms(frame["window_start"]), epoch_ms(frame["scheduled_time"])
    return {
        start_ms: (scheduled_ms, tuple(shards or ()))
        for start_ms, scheduled_ms, shards in zip(starts, scheduled, frame["shards"], strict=True)
        if start_ms is not None
    }


def _stored(engine: Engine, time_range: TimeRange) -> set[int]:
    """Return the starts of the windows that have rows."""
    frame = engine.run(Query.bind(_STORED_SQL, range_values(time_range))).frame
    return {start_ms for start_ms in epoch_ms(frame["window_start"]) if start_ms is not None}
