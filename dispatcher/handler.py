"""The Lambda function of the dispatcher: it runs the tick of a scheduled event and returns the report."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from dispatcher.answer import cut
from dispatcher.ceiling import MIB, NEAR_PERCENT, Ceiling
from dispatcher.messages import Teller
from dispatcher.observation import Buckets
from dispatcher.report import PeriodReport, RollOutcome, TickReport
from dispatcher.room import Room
from dispatcher.silences import Notifier
from dispatcher.tick import Tick
from windrow.aws.clients import client
from windrow.errors import WindrowError
from windrow.lake.store import Mapper, ObjectStore
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS
from windrow.rules.messages import Message
from windrow.rules.rule import Severity
from windrow.rules.stored import StoredRules, rules_of
from windrow.stage import Stage
from windrow.timestamps import parse_rfc3339_ms

READERS = 16
"""Requests for one window that are made at once: partials, above all."""
WORKERS = 8
"""Windows that are worked on at once, each in turn with its requests, as far as there is Room."""
RESERVE_MS_MAX = 60_000
"""No roll begins with less time left than this, or than a quarter of the run's time if that is less."""
SUBJECT_CHARACTERS_MAX = 100
WATCHED_OUTCOMES = (
    RollOutcome.ROLLED,
    RollOutcome.RECORDED,
    RollOutcome.FROZEN,
    RollOutcome.FAILED,
    RollOutcome.DEFERRED,
)
"""Outcomes of windows that alarms read. They are written with 0 too: to an alarm, no data is not the same as 0."""
MINUTE_MS = 60_000

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the tick of one scheduled event; a window that cannot be rolled is reported, not raised."""
    stage = Stage.of_function(os.environ)
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(WORKERS) as workers:
        report = run(
            event,
            buckets=Buckets(lake=stage.lake, results=stage.results),
            lifetimes=stage.lifetimes,
            remaining_ms=context.get_remaining_time_in_millis,
            mapper=readers.map,
            work_mapper=workers.map,
            ceiling=ceiling_of(context),
            notifier=topic_of(stage),
            rules_digest=stage.rules,
            teller=topics_of(stage),
            makes_reports=stage.makes_reports,
        )
    _log(report, has_rules=bool(stage.rules))
    return cut(report).to_fields()


def run(
    event: Mapping[str, Any],
    *,
    buckets: Buckets,
    lifetimes: Lifetimes,
    remaining_ms: Callable[[], int],
    mapper: Mapper = map,
    work_mapper: Mapper = map,
    ceiling: Ceiling | None = None,
    notifier: Notifier | None = None,
    rules_digest: str = "",
    teller: Teller | None = None,
    leaves_rules: bool = False,
    makes_reports: bool = False,
) -> TickReport:
    """Run the tick that `event` asks for, an EventBridge event with `time`.

    Its `detail`, which the schedule leaves empty, may have `dry_run`, to plan only, and `late_rolls_now`, so that no
    marked window waits because it was rolled a short while ago: who asks for a tick wants to see what is there.
    Rules that cannot be read stop nothing: windows are rolled without them, and the report says why. A later tick makes
    up for it, as for one that `leaves_rules` to the stage's own.
    """
    try:
        scheduled_time_ms = parse_rfc3339_ms(event["time"])
    except (KeyError, TypeError, ValueError) as error:
        raise WindrowError(f"the event has no RFC 3339 `time`: {event!r:.300}") from error
    asked = event.get("detail") or {}
    if asked.get("late_rolls_now"):
        lifetimes = dataclasses.replace(lifetimes, late_roll_ms=0)
    reserve_ms = min(RESERVE_MS_MAX, remaining_ms() // 4)
    rules, failed = _stored_rules(buckets.lake, rules_digest)
    tick = Tick(
        buckets=buckets,
        lifetimes=lifetimes,
        scheduled_time_ms=scheduled_time_ms,
        time_left=lambda: remaining_ms() > reserve_ms,
        mapper=mapper,
        work_mapper=work_mapper,
        room=None if work_mapper is map else Room(),
        ceiling=ceiling,
        notifier=notifier,
        rules=rules,
        leaves_rules=bool(failed) or leaves_rules,
        teller=teller,
        makes_reports=makes_reports,
    )
    report = tick.run(is_dry_run=bool(asked.get("dry_run")))
    return dataclasses.replace(report, rules_failed=(*failed, *report.rules_failed))


def ceiling_of(context: LambdaContext) -> Ceiling:
    """Return what the function has: its memory, what is free on its local disk, and the time of this run."""
    return Ceiling(
        memory_bytes=int(context.memory_limit_in_mb) * MIB,
        disk_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        run_ms=context.get_remaining_time_in_millis(),
        remaining_ms=context.get_remaining_time_in_millis,
    )


class Topic:
    """An SNS topic; implements dispatcher.silences.Notifier."""

    def __init__(self, sns: Any, arn: str) -> None:
        """Publish with a boto3 `sns` client to the topic `arn`."""
        self._sns = sns
        self._arn = arn

    def notify(self, subject: str, message: str) -> None:
        """Publish one message; SNS takes subjects of up to 100 characters."""
        self._sns.publish(TopicArn=self._arn, Subject=subject[:SUBJECT_CHARACTERS_MAX], Message=message)


def topic_of(stage: Stage) -> Topic | None:
    """Return where summaries go; None when the stage has no topic."""
    if not stage.silence_topic_arn:
        return None
    return Topic(client("sns", stage.place), stage.silence_topic_arn)


class Topics:
    """An SNS topic for each severity; implements dispatcher.messages.Teller."""

    def __init__(self, sns: Any, arns: Mapping[Severity, str]) -> None:
        """Publish with a boto3 `sns` client to the topic of each severity."""
        self._sns = sns
        self._arns = arns

    def tell(self, message: Message) -> None:
        """Publish one message: mails have its text, everything else its JSON; filters see rule and severity."""
        by_protocol = {"default": message.document, "email": message.text, "sms": message.subject}
        attributes = {"rule": message.rule, "severity": message.severity.value}
        self._sns.publish(
            TopicArn=self._arns[message.severity],
            Subject=message.subject[:SUBJECT_CHARACTERS_MAX],
            Message=json.dumps(by_protocol),
            MessageStructure="json",
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )


def topics_of(stage: Stage) -> Topics | None:
    """Return where messages about excursions go; None when the stage has no rules."""
    arns = {
        Severity.INFO: stage.info_topic_arn,
        Severity.WARNING: stage.warning_topic_arn,
        Severity.CRITICAL: stage.critical_topic_arn,
    }
    return Topics(client("sns", stage.place), arns) if all(arns.values()) else None


def _stored_rules(lake: ObjectStore, digest: str) -> tuple[StoredRules | None, tuple[str, ...]]:
    """Return the stage's rules, None if it has none or they cannot be read, and why not."""
    if not digest:
        return None, ()
    try:
        return rules_of(lake, digest), ()
    except WindrowError as error:
        return None, (f"no rule is applied: {error}",)


def _log(report: TickReport, *, has_rules: bool) -> None:
    for window in report.windows:
        if window.outcome in (RollOutcome.FAILED, RollOutcome.FROZEN):
            logger.error("window needs attention", **window.to_fields())
        elif window.outcome is not RollOutcome.SETTLED:
            logger.info("window", **window.to_fields())
    _log_periods("period", report.periods)
    _log_periods("report on a day", report.day_reports)
    if report.backlog is not None:
        logger.warning("windows are left for later ticks", **report.backlog.to_fields())
    if report.nearest is not None and report.nearest.percent >= NEAR_PERCENT:
        logger.warning("a window is near a ceiling", **report.nearest.to_fields())
    for reason in report.rules_failed:
        logger.error("rules need attention", reason=reason)
    if report.unknown_keys:
        logger.warning("keys that windrow does not write", keys=report.unknown_keys[:20])
    logger.info(
        "tick",
        windows={outcome.value: count for outcome, count in report.outcomes.items()},
        periods=dict(Counter(period.outcome.value for period in report.periods)),
        s3_calls=dict(report.s3_calls),
    )
    _measure(report, has_rules=has_rules)


def _log_periods(what: str, periods: Iterable[PeriodReport]) -> None:
    for period in periods:
        if period.outcome in (RollOutcome.FAILED, RollOutcome.FROZEN):
            logger.error(f"{what} needs attention", **period.to_fields())
        else:
            logger.info(what, **period.to_fields())


def _measure(report: TickReport, *, has_rules: bool) -> None:
    """Write the metrics that alarms and the dashboard show; each is paid for by the hours in which it has data."""
    periods = Counter(period.outcome for period in report.periods)
    always = {f"Windows{outcome.title()}": report.outcomes[outcome] for outcome in WATCHED_OUTCOMES}
    always["CeilingPercent"] = report.nearest.percent if report.nearest else 0
    always["S3Calls"] = sum(report.s3_calls.values())
    if has_rules:
        always["RulesFailed"] = len(report.rules_failed)
    if_any = {
        "WindowsContended": report.outcomes[RollOutcome.CONTENDED],
        "PeriodsFrozen": periods[RollOutcome.FROZEN],
        "PeriodsFailed": periods[RollOutcome.FAILED],
        "ReportsFailed": sum(one.outcome is RollOutcome.FAILED for one in report.day_reports),
        "MarkersKept": sum(len(window.markers_kept) for window in report.windows),
        "BacklogMinutes": _backlog_minutes(report),
    }
    for name, count in (always | {name: count for name, count in if_any.items() if count}).items():
        metrics.add_metric(name, MetricUnit.Count, count)


def _backlog_minutes(report: TickReport) -> int:
    """Return the minutes until the backlog is done, at the rate of this tick; a day if it did none of it."""
    if report.backlog is None:
        return 0
    if report.backlog.done_by_ms is None:
        return DAY_MS // MINUTE_MS
    return (report.backlog.done_by_ms - report.scheduled_time_ms) // MINUTE_MS
