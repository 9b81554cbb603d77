"""Hours and days: which of them have changed, and their roll from the rows of their parts, after those of the windows.

    windows' rows ──▶ hour's rows ──▶ day's rows          each with a lineage that names its parts and their ETags

A period is due once it has ended, if the listed ETags of its parts' rows, or of its own, are not those in its lineage.
Every tick lists them anew, so what a tick that dies leaves undone is done by the next one. Days are rolled at most once
an hour. A roll goes in the order of a window's (see dispatcher.roll), for the same reasons: observe, list the parts,
read them, write the rows, then the lineage, each on the condition that it is as observed.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from dispatcher.due import closing_ms
from dispatcher.observation import Buckets, UnreadableObject
from dispatcher.report import PeriodReport, RollOutcome
from dispatcher.roller import ROUNDS_MAX
from dispatcher.room import Room
from dispatcher.rows import IN_FLIGHT_BYTES_MAX, body_of, read_in_pieces, rows_file
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
from windrow.lake.store import (
    ListedObject,
    Mapper,
    ObjectStore,
    PreconditionFailed,
    StoreError,
    etag_of,
    put_if_unchanged,
)
from windrow.period import HOUR_MS, Grain, Period
from windrow.rows.lineage import Lineage, UnreadableLineage
from windrow.rows.merge import merge_streams
from windrow.rows.period_lineage import PeriodLineage, PeriodPart, from_json_lines, to_json_lines
from windrow.rows.rollup_parquet import UnreadableRows, write_rows
from windrow.window import Window

log = logging.getLogger(__name__)

Etags = Mapping[int, str]
"""The ETag of each part's rows, by the start of the part in ms."""


class ChangedPart(Exception):  # noqa: N818 - the domain's noun
    """A part was written after it was listed; the roll starts over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineages:
    """The lineages in the object that holds a period's own, and the ETag of that object."""

    by_period: Mapping[Period, PeriodLineage]
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodRoller:
    """Rolls the hours and days of one tick."""

    buckets: Buckets
    scheduled_time_ms: int
    mapper: Mapper = map
    room: Room | None = None
    """Where several periods are rolled at once."""

    def due_hours(self, day_ms: int, windows: Etags, hours: Mapping[Period, str]) -> list[Period]:
        """Return the hours of a day that have ended and changed, by the listed ETags of windows' and hours' rows."""
        of_day = [Period(Grain.HOUR, start) for start in Period(Grain.DAY, day_ms).part_starts_ms]
        return self._changed(of_day, windows, hours)

    def due_days(self, days_ms: Iterable[int], hours: Mapping[Period, str], days: Mapping[Period, str]) -> list[Period]:
        """Return the days that have ended and changed and were not yet rolled in this hour."""
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
        """Return the lineages in the period's object; none if they cannot be read: the roll will report why."""
        try:
            return read_lineages(self.buckets, period).by_period
        except UnreadableObject:
            return {}

    def _is_too_soon(self, lineage: PeriodLineage | None) -> bool:
        """Tell whether it is a day that was rolled in this hour: hours may change often, and days are large."""
        return (
            lineage is not None
            and lineage.period.grain is Grain.DAY
            and lineage.scheduled_time_ms // HOUR_MS >= self.scheduled_time_ms // HOUR_MS
        )

    def roll(self, period: Period) -> PeriodReport:
        """Bring one period up to date; whatever is wrong with it is reported, not raised."""
        try:
            for _ in range(ROUNDS_MAX):
                try:
                    return self._roll_once(period)
                except (PreconditionFailed, ChangedPart):
                    continue
            return _report(period, RollOutcome.CONTENDED, None, "lost to another dispatcher every time")
        except (UnreadableObject, StoreError) as error:
            return _report(period, RollOutcome.FAILED, None, str(error))
        except Exception as error:
            log.exception("the roll of %s failed", period)
            return _report(period, RollOutcome.FAILED, None, f"{type(error).__name__}: {error}")

    def _roll_once(self, period: Period) -> PeriodReport:
        """Do one round; PreconditionFailed or ChangedPart if it must start over."""
        rows_etag = etag_of(self.buckets.results, period_rows_key(period))
        lineages = read_lineages(self.buckets, period)
        before = lineages.by_period.get(period)
        listed = list_parts(self.buckets, period)
        missing = [part.start_ms for part in before.parts if part.start_ms not in listed] if before else []
        if missing:
            detail = f"{len(missing)} of its parts are gone, the first is {_part_key(period, missing[0])}"
            return _report(period, RollOutcome.FROZEN, before, detail)
        parts = name_parts(self.buckets, period, {start: one.etag for start, one in listed.items()}, self.mapper)
        if parts is None:
            return _report(period, RollOutcome.WAITING, before, "one of its parts is being rolled")
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
                return _report(period, RollOutcome.SETTLED, before)
            lineage, outcome = dataclasses.replace(before, parts=parts), RollOutcome.RECORDED
        else:
            size_bytes = sum(one.size_bytes for one in listed.values())
            with self.room.taken(size_bytes) if self.room else nullcontext():
                # Large objects one after another: each passes through memory on its way to local disk.
                mapper = self.mapper if size_bytes <= IN_FLIGHT_BYTES_MAX else map
                lineage, outcome = self._write_rows(lineage, before, rows_etag, mapper)
        body = to_json_lines({**lineages.by_period, period: lineage}.values())
        put_if_unchanged(self.buckets.results, period_lineages_key(period), body, observed_etag=lineages.etag)
        return _report(period, outcome, lineage)

    def _write_rows(
        self, lineage: PeriodLineage, before: PeriodLineage | None, rows_etag: str | None, mapper: Mapper
    ) -> tuple[PeriodLineage, RollOutcome]:
        """Merge the parts and write their rows, unless the same are there; return the completed lineage."""
        period = lineage.period
        with ExitStack() as stack:
            bodies = mapper(lambda part: self._body_of(period, part), lineage.parts)
            streams = [
                read_in_pieces(part.start_ms, body, stack) for part, body in zip(lineage.parts, bodies, strict=True)
            ]
            out = stack.enter_context(rows_file())
            try:
                rows = write_rows(period.start_ms, merge_streams(period.start_ms, streams), out)
            except UnreadableRows as error:
                raise UnreadableObject(f"the parts of {period_rows_key(period)}: {error}") from error
            is_same = before is not None and before.rows_sha256 == rows.rows_sha256
            lineage = dataclasses.replace(
                lineage,
                rows_sha256=rows.rows_sha256,
                revision=(before.revision if before else 0) + (0 if is_same else 1),
                readings=rows.readings,
                sensors=rows.sensors,
                conflicts=rows.conflicts,
            )
            if is_same and before is not None and before.result_etag == lineage.result_etag:
                return lineage, RollOutcome.RECORDED
            etag = put_if_unchanged(
                self.buckets.results, period_rows_key(period), body_of(out), observed_etag=rows_etag
            )
            return dataclasses.replace(lineage, result_etag=etag), RollOutcome.ROLLED

    def _body_of(self, period: Period, part: PeriodPart) -> bytes:
        """Read the rows of a part; ChangedPart if they are no longer those that were listed."""
        stored = self.buckets.results.get(_part_key(period, part.start_ms))
        if stored is None or stored.etag != part.etag:
            raise ChangedPart
        return stored.body


def read_lineages(buckets: Buckets, period: Period) -> Lineages:
    """Read the lineages in the period's object as they are now; raises UnreadableObject."""
    key = period_lineages_key(period)
    stored = buckets.results.get(key)
    if stored is None:
        return Lineages(by_period={}, etag=None)
    try:
        return Lineages(by_period=from_json_lines(period.grain, stored.body), etag=stored.etag)
    except UnreadableLineage as error:
        raise UnreadableObject(f"{key}: {error}") from error


def list_rows(store: ObjectStore, grain: Grain, days_ms: Iterable[int]) -> dict[Period, str]:
    """List the ETags of the rows of all periods in the months of `days_ms`; other keys are ignored."""
    prefixes = {month_prefix(period_rows_root(grain), day_ms) for day_ms in days_ms}
    return {
        parse_period_rows_key(listed.key): listed.etag
        for prefix in sorted(prefixes)
        for listed in store.list_objects(prefix)
        if _parses(parse_period_rows_key, listed.key)
    }


def list_parts(buckets: Buckets, period: Period) -> dict[int, ListedObject]:
    """List the parts of `period` that have rows: the objects of these, by the start of the part in ms."""
    if period.grain is Grain.DAY:
        prefix = day_prefix(period_rows_root(Grain.HOUR), period.start_ms)
        return _by_start(buckets.results.list_objects(prefix), parse_period_rows_key)
    return _by_start(buckets.results.list_objects(hour_prefix(AGGREGATES, period.start_ms)), parse_result_key)


def _by_start(
    listed: Iterable[ListedObject], parse: Callable[[str], Period] | Callable[[str], Window]
) -> dict[int, ListedObject]:
    return {parse(one.key).start_ms: one for one in listed if _parses(parse, one.key)}


def window_etags(etags: Mapping[str, str]) -> dict[int, str]:
    """Return the ETags of windows' rows by the start of the window, given those by key; other keys are ignored."""
    return {parse_result_key(key).start_ms: etag for key, etag in etags.items() if _parses(parse_result_key, key)}


def name_parts(buckets: Buckets, period: Period, listed: Etags, mapper: Mapper) -> tuple[PeriodPart, ...] | None:
    """Name the listed parts by their own lineages; None if one of these is not the lineage of the rows listed."""
    named: Mapping[int, tuple[str, str]]
    if period.grain is Grain.DAY:
        lineages = read_lineages(buckets, Period(Grain.HOUR, period.start_ms)).by_period
        named = {hour.start_ms: (one.result_etag, one.rows_sha256) for hour, one in lineages.items()}
    else:
        named = dict(zip(listed, mapper(lambda start: _named_by_lineage(buckets, Window(start)), listed), strict=True))
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
        raise UnreadableObject(f"{lineage_key(window)}: {error}") from error
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


def _report(period: Period, outcome: RollOutcome, lineage: PeriodLineage | None, detail: str = "") -> PeriodReport:
    return PeriodReport(
        period=period,
        outcome=outcome,
        revision=lineage.revision if lineage else 0,
        readings=lineage.readings if lineage else 0,
        detail=detail,
    )
