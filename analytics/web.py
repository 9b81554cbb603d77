"""The dashboard's servers as ASGI applications, which only answer GET: one for the loopback interface, one hosted.

Both have the API (analytics.api) under /v1. The hosted page itself lies in a bucket, so its server has nothing else.
"""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from analytics.api.endpoints import Endpoints
from analytics.api.operations import BY_NAME
from analytics.api.problems import problem
from analytics.dashboard import Dashboard
from analytics.page import FILES, MEDIA_TYPES, page_headers, served_page, text_of
from windrow.aws.clients import Place
from windrow.likely import likely
from windrow.quantities import Quantity

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""The hosts that a request may name. This stops another site whose domain resolves to loopback."""
COMPRESSED_BYTES_MIN = 1_000
"""From this size on a hosted answer is compressed, if the caller takes that."""


def application(dashboard: Dashboard, place: Place) -> Starlette:
    """Return the application for this machine: the page, its files, and the API of `dashboard`, at `place`."""

    def page(_: Request) -> Response:
        return _page(dashboard.quantity)

    routes = [Route("/", page), Route("/static/{name:path}", _file)]
    return _starlette(
        [*routes, *Endpoints(dashboard=dashboard, place=place).routes()],
        [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
    )


def hosted(endpoints: Endpoints, more: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application for a function: the API alone. Who may ask is decided before it, and by `endpoints`.

    `more` are routes that decide it by themselves.
    """
    return _starlette([*endpoints.routes(), *more], [Middleware(GZipMiddleware, minimum_size=COMPRESSED_BYTES_MIN)])


def _starlette(routes: Sequence[BaseRoute], middleware: Sequence[Middleware]) -> Starlette:
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


def _page(quantity: Quantity) -> Response:
    return Response(served_page(quantity), media_type="text/html", headers=page_headers())


def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        return Response("not found", status_code=404, media_type="text/plain")
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return Response(text_of(name), media_type=MEDIA_TYPES[name[name.rindex(".") :]], headers=headers)


def _refused(request: Request, error: Exception) -> Response:
    """Answer for a path or a method that there is not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        given = (getattr(error, "headers", None) or {}).get("Allow", "GET, HEAD")
        allowed = ", ".join(sorted(given.split(", ")))  # Starlette has them in any order
        only = f"it only answers {allowed}" if "POST" in allowed else "every path only answers GET"
        return problem(405, f"{request.method} is not allowed: {only}", allowed=allowed)
    name = request.url.path.rpartition("/")[2]
    meant = [BY_NAME[one].path for one in likely(name, BY_NAME)]
    return problem(status, f"there is no {request.url.path[:100]!r}", f"there is {', '.join(meant)}" if meant else "")


def _failed(request: Request, _: Exception) -> Response:
    """Answer for a defect of ours; the error itself goes to the log, not to the caller."""
    return problem(500, f"windrow failed at {request.url.path[:100]!r}", "the server's log says why")
