"""The Lambda function of a stage with Scaling=auto: it scales the stream for a scheduled event."""

import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from infra.prices import price_table
from infra.scaling import ActionState, ShardLimits
from infra.scaling_bill import Comparison, compare, keep_comparison, suggestion_of
from infra.scaling_metrics import read_loads, read_passed
from infra.scaling_run import read_actions, scale
from windrow.aws.clients import client, readable_errors
from windrow.errors import WindrowError
from windrow.period import DAY_MS, HOUR_MS
from windrow.settings import ScalingSettings
from windrow.stage import Stage
from windrow.timestamps import parse_rfc3339_ms

SUBJECT_CHARACTERS_MAX = 100

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Scale the stream for one scheduled event, an EventBridge event with `time`; return what was decided."""
    try:
        scheduled_time_ms = parse_rfc3339_ms(event["time"])
    except (KeyError, TypeError, ValueError) as error:
        raise WindrowError(f"the event has no RFC 3339 `time`: {event!r:.300}") from error
    stage, settings = Stage.of_function(os.environ), ScalingSettings.from_environment(os.environ)
    tell = _teller(stage, settings.topic_arn)
    with readable_errors(stage.place):
        report = scale(
            stage.stream,
            stage.results,
            loads=lambda: read_loads(client("cloudwatch", stage.place), stage.stream_name, now_ms=scheduled_time_ms),
            limits=ShardLimits(
                shards_min=settings.shards_min,
                shards_max=settings.shards_max,
                retention_hours=stage.stream_retention_hours,
            ),
            now_ms=scheduled_time_ms,
            tell=tell,
        )
    try:
        with readable_errors(stage.place):
            _compare(stage, scheduled_time_ms, tell)
    except WindrowError as error:  # the shards are as they should be, and the next run of this hour compares again
        logger.warning("the price could not be compared", extra={"error": str(error)})
    is_refused = report.action is not None and report.action.state is ActionState.REFUSED
    told = {"shards": report.shards, "shards_to": report.decision.shards_to, "reason": report.decision.reason}
    logger.info("scaling", extra={**told, "answer": report.action.answer if report.action else ""})
    metrics.add_metric(name="ScalingRefused", unit=MetricUnit.Count, value=int(is_refused))
    return {**told, "is_refused": is_refused}


def _compare(stage: Stage, now_ms: int, tell: Callable[[str, str], object]) -> None:
    """In the first hour of a day, compare the week's price with that on demand, once."""
    if now_ms % DAY_MS >= HOUR_MS:
        return

    def made(start_ms: int, end_ms: int) -> Comparison | None:
        cloudwatch = client("cloudwatch", stage.place)
        passed = read_passed(cloudwatch, stage.stream_name, start_ms=start_ms, end_ms=end_ms)
        if passed is None:
            return None
        return compare(
            passed,
            read_actions(stage.results, since_ms=start_ms),
            shards=stage.stream.summary().open_shards,
            retention_hours=stage.stream_retention_hours,
            table=price_table(),
        )

    found = keep_comparison(
        stage.results,
        made,
        now_ms=now_ms,
        tell=lambda one: tell(*suggestion_of(stage.name, stage.stream_name, one)),
    )
    if found is not None:
        logger.info("price", extra={"provisioned": found.provisioned_usd, "on_demand": found.on_demand_usd})


def _teller(stage: Stage, topic_arn: str | None) -> Callable[[str, str], object]:
    """Return what publishes a message to the topic of the alarms; what does nothing if the stage has none."""
    if topic_arn is None:
        return lambda _subject, _text: None
    sns = client("sns", stage.place)
    return lambda subject, text: sns.publish(TopicArn=topic_arn, Subject=subject[:SUBJECT_CHARACTERS_MAX], Message=text)
