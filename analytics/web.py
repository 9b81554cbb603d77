"""The dashboard's server: an ASGI application for the loopback interface, which only answers GET.

The work of a request that the browser has given up ends at its next step (analytics.abandon).
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from analytics.abandon import Abandoned, Check
from analytics.dashboard import Dashboard
from analytics.page import FILES, served_page, served_policy, text_of
from windrow.aws.clients import Place, readable_errors
from windrow.errors import UsageError, WindrowError
from windrow.quantities import Quantity

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""The hosts that a request may name. This stops another site whose domain resolves to loopback."""
PAGE_SENSORS = 25
WATCH_SECONDS = 0.1
"""How often it is looked whether the browser still waits for an answer."""
_TYPES = {".js": "text/javascript", ".css": "text/css"}

Json = dict[str, Any]
Answer = Callable[[Dashboard, Request, Check], Json]


def application(dashboard: Dashboard, place: Place) -> Starlette:
    """Return the application: the page, its files, and the answers of `dashboard` under api/.

    An error becomes JSON with a message and a hint, including what boto3 raises at `place`.
    """

    def answering(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        def work(request: Request, check: Check) -> Response:
            try:
                with readable_errors(place):
                    return _json(answer(_chosen(dashboard, request), request, check), 200)
            except UsageError as error:
                return _json({"error": error.message, "hint": error.hint}, 400)
            except WindrowError as error:
                return _json({"error": error.message, "hint": error.hint}, 503)

        async def endpoint(request: Request) -> Response:
            given_up = threading.Event()

            def check() -> None:
                if given_up.is_set():
                    raise Abandoned

            watch = asyncio.create_task(_watch(request, given_up))
            try:
                return await run_in_threadpool(work, request, check)
            finally:
                watch.cancel()

        return endpoint

    def page(_: Request) -> Response:
        return _page(dashboard.quantity)

    routes = [
        Route("/", page),
        Route("/static/{name:path}", _file),
        *(Route(f"/api/{name}", answering(answer)) for name, answer in _ANSWERS.items()),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)])


async def _watch(request: Request, given_up: threading.Event) -> None:
    """Set `given_up` when the browser closes the connection before it has its answer."""
    while not await request.is_disconnected():
        await asyncio.sleep(WATCH_SECONDS)
    given_up.set()


def _page(quantity: Quantity) -> Response:
    headers = {
        "Content-Security-Policy": served_policy(),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return Response(served_page(quantity), media_type="text/html", headers=headers)


def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        return Response("not found", status_code=404, media_type="text/plain")
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return Response(text_of(name), media_type=_TYPES[name[name.rindex(".") :]], headers=headers)


def _json(answer: Json, status: int) -> Response:
    body = json.dumps(answer, separators=(",", ":"), allow_nan=False)
    return Response(body, status, media_type="application/json", headers={"Cache-Control": "no-store"})


def _chosen(dashboard: Dashboard, request: Request) -> Dashboard:
    """Return the dashboard of the quantity that the request names, or the one that is served."""
    query = request.query_params
    name = query.get("quantity")
    return dashboard.about(name, query.get("unit", "")) if name else dashboard


def _range(request: Request) -> tuple[str | None, str | None]:
    query = request.query_params
    return query.get("from") or None, query.get("to") or None


def _overview(dashboard: Dashboard, request: Request, check: Check) -> Json:
    return dashboard.overview(*_range(request), check=check)


def _panel(name: str) -> Answer:
    """Return the answer for one panel of the overview, with its range and quantity."""

    def answer(dashboard: Dashboard, request: Request, check: Check) -> Json:
        overview = _overview(dashboard, request, check)
        return {part: overview[part] for part in ("stage", "range", "quantity", name)}

    return answer


def _heatmap(dashboard: Dashboard, request: Request, check: Check) -> Json:
    query = request.query_params
    return dashboard.heatmap(
        *_range(request),
        search=query.get("search", ""),
        sort=query.get("sort", "name"),
        page=_number(query.get("page"), 0),
        per_page=_number(query.get("per_page"), PAGE_SENSORS),
        check=check,
    )


def _number(text: str | None, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{text[:20]!r} is not a page number", hint="use digits")
    return int(text)


def _history(dashboard: Dashboard, request: Request, check: Check) -> Json:
    return dashboard.history(*_range(request), sensor_id=request.query_params.get("sensor", ""), check=check)


_ANSWERS: dict[str, Answer] = {
    "overview": _overview,
    **{name: _panel(name) for name in ("silent", "fleet", "completeness", "movers")},
    "heatmap": _heatmap,
    "history": _history,
    "quantities": lambda dashboard, _request, check: dashboard.quantities(check=check),
    "progress": lambda dashboard, *_: dashboard.progress(),
}
"""The answers by their names in the URL, as docs/query.md lists them."""
