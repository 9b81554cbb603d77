"""The Lambda function of the hosted API: HTTP API events to the ASGI application and back, by Mangum.

It reads rows straight from the results bucket into its local disk, as the dashboard on a machine does. What it has read
it keeps for its next events.
"""

import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from windrow.cold_start import importing

with importing():
    from mangum import Mangum
    from starlette.requests import Request
    from starlette.routing import Route

    from analytics.api.endpoints import Endpoints
    from analytics.api.groups import OPERATOR, VIEWER
    from analytics.api.pool import token_check
    from analytics.api.problems import MEDIA_TYPE
    from analytics.api.uploads import UploadEndpoints
    from analytics.cache import ObjectCache
    from analytics.dashboard import Dashboard
    from analytics.local import LocalEngine
    from analytics.open_windows import LOOK_MS_MIN, OpenWindows
    from analytics.stage_rules import rules_reader
    from analytics.web import hosted
    from windrow.stage import Stage

ANSWER_SECONDS_MAX = 20.0
"""When work ends that takes too long, at its next step: an HTTP API waits for 30 seconds, and the function for 29."""
CACHE_BYTES_MAX = 1536 * 1024**2
"""Rows on the local disk, of 2 GB that the template gives it."""
TEXT_TYPES = ["text/", "application/json", MEDIA_TYPE]


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one event of an HTTP API in the payload format 2.0."""
    return _adapter()(event, context)


def groups_of(request: Request) -> frozenset[str]:
    """Return which of the groups the user is in, by the claims that the gateway has checked; none without claims.

    An HTTP API writes the list of groups as one text: `[operator viewer]`.
    """
    context = request.scope.get("aws.event", {}).get("requestContext", {})
    claims = context.get("authorizer", {}).get("jwt", {}).get("claims", {})
    said = claims.get("cognito:groups", "")
    names = said if isinstance(said, list) else str(said).strip("[]").replace(",", " ").split()
    return frozenset(names) & {VIEWER, OPERATOR}


@cache
def _adapter() -> Mangum:
    """Return what answers all events of this execution environment."""
    stage = Stage.of_function(os.environ)
    cache_folder = Path(tempfile.gettempdir()) / f"windrow-{stage.name}-rows"
    engine = LocalEngine(
        lake=stage.lake, results=stage.results, cache=ObjectCache(cache_folder, bytes_max=CACHE_BYTES_MAX)
    )
    dashboard = Dashboard(
        engine=engine,
        results=stage.results,
        stage=stage.name,
        clock_ms=_now_ms,
        open_windows=OpenWindows(lake=stage.lake, results=stage.results, look_ms_min=LOOK_MS_MIN)
        if stage.is_live
        else None,
        rules=rules_reader(stage),
    )
    endpoints = Endpoints(dashboard=dashboard, place=stage.place, groups=groups_of, seconds_max=ANSWER_SECONDS_MAX)
    return Mangum(hosted(endpoints, _of_gateways(stage)), lifespan="off", text_mime_types=TEXT_TYPES)


def _of_gateways(stage: Stage) -> list[Route]:
    """Return the routes by which gateways upload; none if the stage has no bucket for that, or no pool."""
    if not stage.uploads_bucket or not stage.token_issuer:
        return []
    return UploadEndpoints(stage, token_check(stage)).routes()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
