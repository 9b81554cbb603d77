"""Reports on days for people: a picture and a summary of each, made from rows when the rest of a tick is done.

    hours' rows ──▶ picture.svg ┐
    day's rows  ──▶ summary.csv ┴▶ report.json, which says what they were made from, written last

A report is current if it was made from what the day's rows were merged from. Days that a tick rolls get theirs at once.
What a tick leaves undone, the first tick of a later hour finds: it looks at all days within reach, and for days before
these whose report is not complete, so a stage that begins with reports makes them for its history, newest first.
Observe, read, write: each write demands that its object is as listed before the day's lineage was read, so an older
report never replaces a newer one.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from dispatcher.day_summary import summary_csv
from dispatcher.due import TICK_EVERY_MS
from dispatcher.fleet_day import fleet_day
from dispatcher.observation import Buckets, UnreadableObject
from dispatcher.periods import ChangedPart, read_lineages
from dispatcher.picture import picture_svg
from dispatcher.report import PeriodReport, RollOutcome
from dispatcher.rows import body_of, read_in_pieces, rows_file
from windrow.lake.layout import (
    AGGREGATES_1D,
    REPORTS,
    DayFile,
    day_file_key,
    parse_day_file_key,
    parse_period_rows_key,
    period_lineages_key,
    period_rows_key,
)
from windrow.lake.store import Body, PreconditionFailed, StoreError, put_if_unchanged
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS, HOUR_MS, Grain, Period
from windrow.rows.period_lineage import PeriodLineage
from windrow.rows.rollup import Rollup
from windrow.rows.rollup_parquet import UnreadableRows
from windrow.timestamps import format_sql

log = logging.getLogger(__name__)

REPORTS_MAX = 31
"""Reports that one tick makes, at most; each reads a day's rows and those of its hours."""
FORMAT = 1
"""Of pictures and summaries: raised when either changes, it has those of days within reach made anew."""

Etags = Mapping[DayFile, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReports:
    """The reports of one tick."""

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    time_left: Callable[[], bool]

    def make(self, *, rolled: Collection[Period], within_reach: Collection[Period]) -> list[PeriodReport]:
        """Make the reports of days that need one, newest first, while there is time; what fails is reported."""
        looks_at_all = self.scheduled_time_ms % HOUR_MS < TICK_EVERY_MS
        if not (rolled or looks_at_all) or not self.time_left():
            return []
        try:
            listed, days = self._listed(), sorted(self._days_with_rows(), reverse=True)
        except StoreError as error:
            ended = Period.containing(Grain.DAY, self.scheduled_time_ms - DAY_MS)
            return [_outcome(ended, RollOutcome.FAILED, f"reports cannot be listed: {error}")]
        lineages: dict[str, Mapping[Period, PeriodLineage]] = {}
        reports: list[PeriodReport] = []
        for day in days:
            if len(reports) == REPORTS_MAX or not self.time_left():
                break
            etags = listed.get(day, {})
            is_complete = len(etags) == len(DayFile)
            if day not in rolled and not (looks_at_all and (day in within_reach or not is_complete)):
                continue
            report = self._report_on(day, etags, lineages)
            if report.outcome is not RollOutcome.SETTLED:
                reports.append(report)
        return reports

    def _listed(self) -> dict[Period, dict[DayFile, str]]:
        """List the ETags of all files of reports, by day; keys of others are ignored."""
        found: dict[Period, dict[DayFile, str]] = {}
        for listed in self.buckets.results.list_objects(REPORTS):
            try:
                day, file = parse_day_file_key(listed.key)
            except ValueError:
                continue
            found.setdefault(day, {})[file] = listed.etag
        return found

    def _days_with_rows(self) -> Iterator[Period]:
        for listed in self.buckets.results.list_objects(AGGREGATES_1D):
            try:
                yield parse_period_rows_key(listed.key)
            except ValueError:
                continue

    def _report_on(
        self, day: Period, etags: Etags, lineages: dict[str, Mapping[Period, PeriodLineage]]
    ) -> PeriodReport:
        try:
            key = period_lineages_key(day)
            if key not in lineages:
                lineages[key] = read_lineages(self.buckets, day).by_period
            lineage = lineages[key].get(day)
            if lineage is None:
                raise ChangedPart
            if self._is_current(lineage, etags):
                return _outcome(day, RollOutcome.SETTLED)
            self._write(lineage, etags)
            return _outcome(day, RollOutcome.ROLLED)
        except ChangedPart:
            return _outcome(day, RollOutcome.WAITING, "it is to be rolled first: its rows are not those of its lineage")
        except PreconditionFailed:
            return _outcome(day, RollOutcome.CONTENDED, "lost to another dispatcher")
        except (UnreadableObject, UnreadableRows, StoreError) as error:
            return _outcome(day, RollOutcome.FAILED, str(error))
        except Exception as error:
            log.exception("the report on %s failed", day)
            return _outcome(day, RollOutcome.FAILED, f"{type(error).__name__}: {error}")

    def _is_current(self, lineage: PeriodLineage, etags: Etags) -> bool:
        """Tell whether the report was made from this lineage's parts, and its files are still those that were made."""
        if len(etags) < len(DayFile):
            return False
        stored = self.buckets.results.get(day_file_key(lineage.period, DayFile.REPORT))
        try:
            fields = json.loads(stored.body) if stored else {}
            return bool(
                fields["format"] == FORMAT
                and fields["fingerprint"] == lineage.fingerprint
                and fields["picture_etag"] == etags[DayFile.PICTURE]
                and fields["summary_etag"] == etags[DayFile.SUMMARY]
            )
        except (ValueError, KeyError, TypeError):
            return False  # somebody else's: made anew

    def _write(self, lineage: PeriodLineage, etags: Etags) -> None:
        """Make both files, then say what they were made from; ChangedPart if rows are not as the lineage says."""
        day = lineage.period
        picture = picture_svg(
            day.start_ms,
            fleet_day(self._hours(lineage)),
            sensors=lineage.sensors,
            readings=lineage.readings,
            final_ms=day.end_ms + self.lifetimes.final_after_ms,
        )
        picture_etag = self._put(day, DayFile.PICTURE, picture, etags)
        with ExitStack() as stack:
            body = self._body_of(day, lineage.result_etag)
            out = stack.enter_context(rows_file())
            for piece in summary_csv(read_in_pieces(day.start_ms, body, stack)):
                out.write(piece)
            summary_etag = self._put(day, DayFile.SUMMARY, body_of(out), etags)
        fields = {
            "day": format_sql(day.start_ms)[:10],
            "series": lineage.sensors,
            "readings": lineage.readings,
            "hours": len(lineage.parts),
            "fingerprint": lineage.fingerprint,
            "picture_etag": picture_etag,
            "summary_etag": summary_etag,
            "format": FORMAT,
        }
        self._put(day, DayFile.REPORT, json.dumps(fields, indent=2).encode() + b"\n", etags)

    def _put(self, day: Period, file: DayFile, body: Body, etags: Etags) -> str:
        key = day_file_key(day, file)
        return put_if_unchanged(self.buckets.results, key, body, observed_etag=etags.get(file))

    def _hours(self, lineage: PeriodLineage) -> Iterator[tuple[int, Iterator[Rollup]]]:
        for part in lineage.parts:
            with ExitStack() as stack:
                body = self._body_of(Period(Grain.HOUR, part.start_ms), part.etag)
                yield part.start_ms, read_in_pieces(part.start_ms, body, stack)

    def _body_of(self, period: Period, etag: str) -> bytes:
        stored = self.buckets.results.get(period_rows_key(period))
        if stored is None or stored.etag != etag:
            raise ChangedPart
        return stored.body


def _outcome(day: Period, outcome: RollOutcome, detail: str = "") -> PeriodReport:
    return PeriodReport(period=day, outcome=outcome, detail=detail[:300])
