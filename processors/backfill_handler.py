"""The Lambda function of backfills: the steps of the stage's state machine, each of which may be repeated."""

import json
import os
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from processors.backfill import all_rolled
    from processors.backfill_part import IDLE_TICKS_MAX, BackfillReport, BackfillRun, keep_plan, report_of, stored_plan
    from processors.backfill_plan import backfill_id, plan_parts
    from processors.backfill_source import ObjectsOfBucket
    from processors.batch import reader_of
    from windrow.aws.clients import client
    from windrow.aws.functions import LambdaFunction
    from windrow.errors import WindrowError
    from windrow.lake.layout import backfill_items_key, backfill_report_key
    from windrow.stage import Stage
    from windrow.timestamps import format_rfc3339

_ROLLED = "rolled"
"""An outcome of windows, as the dispatcher's report spells it."""

logger = Logger()


@logger.inject_lambda_context
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Do one step of a backfill of objects in `bucket`; what cannot be read or written is raised."""
    steps = {"plan": _plan, "part": _part, "report": _report, "roll": _roll}
    answer = steps[str(event["step"])](event)
    logger.info("step", extra={"step": event["step"], **answer})
    return answer


def _plan(event: dict[str, Any]) -> dict[str, Any]:
    """Plan the backfill of what is at `paths`, unless it is, and write its parts down as the map's items."""
    stage, bucket = _stage(), str(event["bucket"])
    source = ObjectsOfBucket(client("s3", stage.place), bucket)
    found = [file for path in event["paths"] for file in source.find(str(path))]
    files = list({file.key: file for file in found}.values())
    digest = backfill_id(source, files, contract=stage.payload_contract)
    plan = stored_plan(stage.lake, digest)
    if plan is None:
        plan = keep_plan(stage.lake, digest, plan_parts(source, files, rolled=all_rolled(stage.results)))
    key = backfill_items_key(digest)
    items = [{"digest": digest, "bucket": bucket, "number": number} for number in range(len(plan.parts))]
    stage.lake.put(key, json.dumps(items, separators=(",", ":")).encode())
    return {
        "digest": digest,
        "bucket": bucket,
        "parts": len(items),
        "items_bucket": stage.lake_bucket,
        "items_key": key,
    }


def _part(event: dict[str, Any]) -> dict[str, Any]:
    return {"number": _run_of(event).part(int(event["number"])).number}


def _report(event: dict[str, Any]) -> dict[str, Any]:
    return _told(report_of(_run_of(event)), idle=0)


def _roll(event: dict[str, Any]) -> dict[str, Any]:
    """Run a tick of the function `dispatcher`, and report; `idle` is how many before it rolled nothing."""
    now_ms = time.time_ns() // 1_000_000
    tick = {"source": "windrow.backfill", "time": format_rfc3339(now_ms), "detail": {"late_rolls_now": True}}
    function = LambdaFunction.at(_stage().place, str(event["dispatcher"]), repeats=True)
    returned = function.invoke(json.dumps(tick).encode())
    answer = json.loads(returned.payload)
    if returned.is_error:
        raise WindrowError(f"{function.name} failed: {str(answer.get('errorMessage'))[:300]}")
    return _told(report_of(_run_of(event)), idle=idle_after(answer, int(event["idle"])))


def _told(report: BackfillReport, *, idle: int) -> dict[str, Any]:
    """Store a report, and return what the state machine decides by."""
    _stage().lake.put(backfill_report_key(report.digest), json.dumps(report.to_fields()).encode())
    return next_step(report, idle=idle)


def idle_after(tick: Mapping[str, Any], idle: int) -> int:
    """Return how many ticks in a row have rolled nothing, after one with this report, if it were `idle` before it."""
    rolled = sum(one["outcome"] == _ROLLED for one in tick["windows"]) + tick["unlisted"].get(_ROLLED, 0)
    return 0 if rolled else idle + 1


def next_step(report: BackfillReport, *, idle: int) -> dict[str, Any]:
    """Return what the state machine decides by: whether it runs another tick, and whether all is well in the end."""
    return {
        "digest": report.digest,
        "markers_left": report.unrolled,
        "goes_on": report.unrolled > 0 and idle < IDLE_TICKS_MAX,
        "idle": idle,
        "is_whole": report.adds_up and not report.unrolled,
    }


def _run_of(event: dict[str, Any]) -> BackfillRun:
    return _opened(str(event["digest"]), str(event["bucket"]))


@lru_cache(maxsize=4)
def _opened(digest: str, bucket: str) -> BackfillRun:
    stage = _stage()
    plan = stored_plan(stage.lake, digest)
    if plan is None:
        raise WindrowError(f"the backfill {digest} has no plan: it expired, or never was")
    source = ObjectsOfBucket(client("s3", stage.place), bucket)
    return BackfillRun(digest=digest, plan=plan, source=source, lake=stage.lake, reader=reader_of(stage))


@cache
def _stage() -> Stage:
    """Return the stage that this function belongs to."""
    return Stage.of_function(os.environ)
