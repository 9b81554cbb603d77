"""Hours and days, after the windows: which have changed, and their roll from the rows of their parts.

    windows' rows ──▶ hour's rows ──▶ day's rows          each with a lineage that names its parts and their ETags

A period is due once it has ended, when the listed ETags of its parts' rows, or of its own, are not those of its
lineage. That is told from listings anew at every tick, so a tick that dies anywhere is made good by the next one. Days
are rolled at most once an hour. The order of a roll is that of a window's (see dispatcher.roll), for the same reasons:
observe, list the parts, read them, write the rows, then the lineage, each under the condition that it is as observed.
"""

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from dispatcher.due import closing_ms
from dispatcher.look import Buckets, Unreadable
from dispatcher.report import Outcome, PeriodReport
from dispatcher.rows import ROWS_IN_MEMORY_BYTES_MAX, body_of
from windrow.lake.layout import (
    AGGREGATES,
    day_prefix,
    hour_prefix,
    lineage_key,
    month_prefix,
    parse_period_rows_key,
    parse_result_key,
    period_lineages_key,
    period_rows_key,
    period_rows_root,
    rows_key,
)
from windrow.lake.store import ObjectStore, PreconditionFailed, StoreError, etag_of
from windrow.period import HOUR_MS, Grain, Period
from windrow.rows.lineage import Lineage, UnreadableLineage
from windrow.rows.merge import merge_streams
from windrow.rows.period_lineage import PeriodLineage, PeriodPart, from_json_lines, to_json_lines
from windrow.rows.rollup_parquet import UnreadableRows, read_rows, write_rows
from windrow.window import Window

log = logging.getLogger(__name__)

ROUNDS_MAX = 5
"""How often a roll starts over when it loses to another."""
PIECE_ROWS = 1 << 13
"""Rows of a part that are held at once; a day has 24 parts."""
PART_IN_MEMORY_BYTES_MAX = 1 << 20
"""Rows objects up to this size are kept in memory while they are merged, larger ones on local disk."""

Etags = Mapping[int, str]
"""The ETag of each part's rows by the start of the part."""


class Moved(Exception):  # noqa: N818 - the domain's noun
    """A part was written while it was being read; the roll starts over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineages:
    """The object of lineages that a period's own belongs to, and its ETag."""

    by_period: Mapping[Period, PeriodLineage]
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodRoller:
    """What all rolls of one tick share."""

    buckets: Buckets
    scheduled_time_ms: int

    def due_hours(self, day_ms: int, windows: Etags, hours: Mapping[Period, str]) -> list[Period]:
        """The hours of a day that have ended and changed, by the listed ETags of windows' and of hours' rows."""
        of_day = [Period(Grain.HOUR, start) for start in Period(Grain.DAY, day_ms).part_starts_ms]
        return self._changed(of_day, windows, hours)

    def due_days(self, days_ms: Iterable[int], hours: Mapping[Period, str], days: Mapping[Period, str]) -> list[Period]:
        """The days that have ended and changed and were not rolled in this hour already."""
        periods = [Period(Grain.DAY, start) for start in days_ms]
        return self._changed(periods, {hour.start_ms: etag for hour, etag in hours.items()}, days)

    def _changed(self, periods: Iterable[Period], parts: Etags, rows: Mapping[Period, str]) -> list[Period]:
        ended = [period for period in periods if period.end_ms <= closing_ms(self.scheduled_time_ms)]
        known: dict[str, Mapping[Period, PeriodLineage]] = {}
        changed = []
        for period in ended:
            key = period_lineages_key(period)
            if key not in known:
                known[key] = self._known(period)
            lineage = known[key].get(period)
            listed = {start: parts[start] for start in period.part_starts_ms if start in parts}
            if not _is_current(lineage, listed, rows.get(period)) and not self._is_too_soon(lineage):
                changed.append(period)
        return changed

    def _known(self, period: Period) -> Mapping[Period, PeriodLineage]:
        """The lineages beside the period's own; none when they cannot be read, so that its roll says why."""
        try:
            return read_lineages(self.buckets, period).by_period
        except Unreadable:
            return {}

    def _is_too_soon(self, lineage: PeriodLineage | None) -> bool:
        """Days are rolled at most once an hour, however many of their hours change."""
        return (
            lineage is not None
            and lineage.period.grain is Grain.DAY
            and lineage.scheduled_time_ms // HOUR_MS >= self.scheduled_time_ms // HOUR_MS
        )

    def roll(self, period: Period) -> PeriodReport:
        """Bring one period up to date; never raises for what is wrong with this period alone."""
        try:
            for _ in range(ROUNDS_MAX):
                try:
                    return self._roll_once(period)
                except (PreconditionFailed, Moved):
                    continue
            return _report(period, Outcome.CONTENDED, None, "lost to another dispatcher every time")
        except (Unreadable, StoreError) as error:
            return _report(period, Outcome.FAILED, None, str(error))
        except Exception as error:
            log.exception("the roll of %s failed", period)
            return _report(period, Outcome.FAILED, None, f"{type(error).__name__}: {error}")

    def _roll_once(self, period: Period) -> PeriodReport:
        """One round; PreconditionFailed or Moved when it must start over."""
        rows_etag = etag_of(self.buckets.results, period_rows_key(period))
        lineages = read_lineages(self.buckets, period)
        before = lineages.by_period.get(period)
        listed = list_parts(self.buckets, period)
        missing = [part.start_ms for part in before.parts if part.start_ms not in listed] if before else []
        if missing:
            detail = f"{len(missing)} of its parts are gone, the first is {_part_key(period, missing[0])}"
            return _report(period, Outcome.FROZEN, before, detail)
        parts = name_parts(self.buckets, period, listed)
        if parts is None:
            return _report(period, Outcome.WAITING, before, "one of its parts is being rolled")
        lineage = PeriodLineage(
            period=period,
            parts=parts,
            rows_sha256="",
            result_etag=rows_etag or "",
            revision=0,
            readings=0,
            sensors=0,
            conflicts=0,
            scheduled_time_ms=self.scheduled_time_ms,
        )
        if before and before.fingerprint == lineage.fingerprint and before.result_etag == lineage.result_etag:
            if before.parts == parts:
                return _report(period, Outcome.SETTLED, before)
            lineage, outcome = dataclasses.replace(before, parts=parts), Outcome.RECORDED
        else:
            lineage, outcome = self._write_rows(lineage, before, rows_etag)
        self._put(
            period_lineages_key(period),
            to_json_lines({**lineages.by_period, period: lineage}.values()),
            lineages.etag,
        )
        return _report(period, outcome, lineage)

    def _write_rows(
        self, lineage: PeriodLineage, before: PeriodLineage | None, rows_etag: str | None
    ) -> tuple[PeriodLineage, Outcome]:
        """Merge the parts and write their rows, unless they stand already; the lineage is completed."""
        period = lineage.period
        with ExitStack() as stack:
            files = {part: stack.enter_context(_spooled(PART_IN_MEMORY_BYTES_MAX)) for part in lineage.parts}
            for part, file in files.items():
                self._fetch(period, part, file)
            out = stack.enter_context(_spooled(ROWS_IN_MEMORY_BYTES_MAX))
            streams = [read_rows(part.start_ms, file, rows=PIECE_ROWS) for part, file in files.items()]
            try:
                made = write_rows(period.start_ms, merge_streams(period.start_ms, streams), out)
            except UnreadableRows as error:
                raise Unreadable(f"the parts of {period_rows_key(period)}: {error}") from error
            is_same = before is not None and before.rows_sha256 == made.rows_sha256
            lineage = dataclasses.replace(
                lineage,
                rows_sha256=made.rows_sha256,
                revision=(before.revision if before else 0) + (0 if is_same else 1),
                readings=made.readings,
                sensors=made.sensors,
                conflicts=made.conflicts,
            )
            if is_same and before is not None and before.result_etag == lineage.result_etag:
                return lineage, Outcome.RECORDED
            etag = self._put(period_rows_key(period), body_of(out), rows_etag)
            return dataclasses.replace(lineage, result_etag=etag), Outcome.ROLLED

    def _fetch(self, period: Period, part: PeriodPart, file: IO[bytes]) -> None:
        """The rows of a part, as long as they are those that were named."""
        stored = self.buckets.results.get(_part_key(period, part.start_ms))
        if stored is None or stored.etag != part.etag:
            raise Moved
        file.write(stored.body)
        file.seek(0)

    def _put(self, key: str, body: bytes | IO[bytes], observed_etag: str | None) -> str:
        """Write a result under the condition that it is as observed."""
        if observed_etag is None:
            return self.buckets.results.put(key, body, if_absent=True)
        return self.buckets.results.put(key, body, if_match=observed_etag)


def read_lineages(buckets: Buckets, period: Period) -> Lineages:
    """The lineages that the period's own belongs to, as they are now; raises Unreadable."""
    key = period_lineages_key(period)
    stored = buckets.results.get(key)
    if stored is None:
        return Lineages(by_period={}, etag=None)
    try:
        return Lineages(by_period=from_json_lines(period.grain, stored.body), etag=stored.etag)
    except UnreadableLineage as error:
        raise Unreadable(f"{key}: {error}") from error


def list_rows(store: ObjectStore, grain: Grain, days_ms: Iterable[int]) -> dict[Period, str]:
    """The ETags of the rows of all periods in the months of `days_ms`; keys of others are passed over."""
    prefixes = {month_prefix(period_rows_root(grain), day_ms) for day_ms in days_ms}
    return {
        parse_period_rows_key(listed.key): listed.etag
        for prefix in sorted(prefixes)
        for listed in store.list_objects(prefix)
        if _parses(parse_period_rows_key, listed.key)
    }


def list_parts(buckets: Buckets, period: Period) -> dict[int, str]:
    """The parts that have rows, by their starts, with the ETags of these."""
    if period.grain is Grain.DAY:
        listed = buckets.results.list_objects(day_prefix(period_rows_root(Grain.HOUR), period.start_ms))
        return {
            parse_period_rows_key(one.key).start_ms: one.etag
            for one in listed
            if _parses(parse_period_rows_key, one.key)
        }
    return window_etags(
        {one.key: one.etag for one in buckets.results.list_objects(hour_prefix(AGGREGATES, period.start_ms))}
    )


def window_etags(etags: Mapping[str, str]) -> dict[int, str]:
    """The ETags of windows' rows by the windows' starts, from those by key; keys of others are passed over."""
    return {parse_result_key(key).start_ms: etag for key, etag in etags.items() if _parses(parse_result_key, key)}


def name_parts(buckets: Buckets, period: Period, listed: Etags) -> tuple[PeriodPart, ...] | None:
    """What the parts say, by their own lineages; None when one of these is not that of the rows listed."""
    named: Mapping[int, tuple[str, str]]
    if period.grain is Grain.DAY:
        lineages = read_lineages(buckets, Period(Grain.HOUR, period.start_ms)).by_period
        named = {hour.start_ms: (one.result_etag, one.rows_sha256) for hour, one in lineages.items()}
    else:
        named = {start: _named_by_lineage(buckets, Window(start)) for start in listed}
    parts = []
    for start, etag in sorted(listed.items()):
        result_etag, rows_sha256 = named.get(start, ("", ""))
        if result_etag != etag:
            return None
        parts.append(PeriodPart(start, rows_sha256, etag))
    return tuple(parts)


def _named_by_lineage(buckets: Buckets, window: Window) -> tuple[str, str]:
    stored = buckets.results.get(lineage_key(window))
    if stored is None:
        return "", ""
    try:
        lineage = Lineage.from_json(stored.body)
    except UnreadableLineage as error:
        raise Unreadable(f"{lineage_key(window)}: {error}") from error
    return lineage.result_etag, lineage.rows_sha256


def _part_key(period: Period, start_ms: int) -> str:
    if period.grain is Grain.DAY:
        return period_rows_key(Period(Grain.HOUR, start_ms))
    return rows_key(Window(start_ms))


def _is_current(lineage: PeriodLineage | None, listed: Etags, rows_etag: str | None) -> bool:
    if lineage is None:
        return not listed and rows_etag is None
    return lineage.etags == listed and lineage.result_etag == (rows_etag or "")


def _parses(parse: Callable[[str], object], key: str) -> bool:
    try:
        parse(key)
    except ValueError:
        return False
    return True


def _spooled(bytes_max: int) -> "tempfile.SpooledTemporaryFile[bytes]":
    return tempfile.SpooledTemporaryFile(max_size=bytes_max)


def _report(period: Period, outcome: Outcome, lineage: PeriodLineage | None, detail: str = "") -> PeriodReport:
    return PeriodReport(
        period=period,
        outcome=outcome,
        revision=lineage.revision if lineage else 0,
        readings=lineage.readings if lineage else 0,
        detail=detail,
    )
