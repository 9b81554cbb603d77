"""The operations as endpoints of Starlette: access, parameters, the work in a thread, and what becomes of its answer.

Work ends at its next step once nobody waits for it, or once its time is up (analytics.abandon).
"""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from analytics.abandon import Abandoned, Check, TimeIsUp
from analytics.api import document
from analytics.api.groups import OPERATOR
from analytics.api.operations import OPERATIONS, Operation
from analytics.api.parameters import Arguments, arguments_of
from analytics.api.problems import problem
from analytics.dashboard import Dashboard
from windrow.aws.clients import Place, readable_errors
from windrow.errors import NotFound, UsageError, WindrowError

WATCH_SECONDS = 0.1
"""How often it is looked whether the caller still waits for an answer."""
FINAL_SECONDS = 86_400
"""How long an answer about final windows may be kept without asking: a day, because rows may be set to expire."""
_PASSING = frozenset({"made_ms"})
"""What differs from answer to answer though nothing has changed."""

Json = dict[str, Any]
Groups = Callable[[Request], frozenset[str] | None]


def everybody(_: Request) -> None:
    """Be the groups of a server that knows no users: whoever reaches it may ask everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The routes of the API over one dashboard.

    `groups` tells the groups of the user who asks, or None if there are no users. Work ends after `seconds_max`, if
    given. Errors of boto3 at `place` become one-line ones.
    """

    dashboard: Dashboard
    place: Place
    groups: Groups = everybody
    seconds_max: float | None = None
    clock: Callable[[], float] = time.monotonic

    def routes(self) -> list[Route]:
        """Return a route for each operation, and one for the document that describes them."""
        own = Route(document.PATH, lambda _: _answered(document.openapi(), is_fixed=False))
        return [own, *(Route(one.path, self._endpoint(one)) for one in OPERATIONS)]

    def _endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            given_up = threading.Event()
            until = None if self.seconds_max is None else self.clock() + self.seconds_max

            def check() -> None:
                if given_up.is_set():
                    raise Abandoned
                if until is not None and self.clock() > until:
                    raise TimeIsUp

            watch = asyncio.create_task(_watch(request, given_up))
            try:
                return await run_in_threadpool(self._work, operation, request, check)
            finally:
                watch.cancel()

        return endpoint

    def _work(self, operation: Operation, request: Request, check: Check) -> Response:
        if (refused := self._refusal(operation, request)) is not None:
            return refused
        try:
            arguments = arguments_of(operation.parameters, request.query_params.multi_items())
            with readable_errors(self.place):
                answer = operation.answer(self._chosen(operation, arguments), arguments, check)
        except UsageError as error:
            return problem(400, error.message, error.hint)
        except NotFound as error:
            return problem(404, error.message, error.hint)
        except TimeIsUp as error:
            return problem(503, error.message, error.hint, is_worth_retrying=True)
        except WindrowError as error:
            return problem(503, error.message, error.hint)
        is_fixed = bool(answer.get("is_final")) and _is_absolute(arguments)
        return _answered(answer, is_fixed=is_fixed, known=request.headers.get("if-none-match", ""))

    def _refusal(self, operation: Operation, request: Request) -> Response | None:
        """Return the answer to a user who may not ask; None if this one may."""
        groups = self.groups(request)
        if groups is None or OPERATOR in groups or operation.group in groups:
            return None
        hint = f"an administrator can do that: windrow users add EMAIL --group {operation.group}"
        return problem(403, f"{operation.name} is for users of the group {operation.group}", hint)

    def _chosen(self, operation: Operation, arguments: Arguments) -> Dashboard:
        """Return the dashboard of the quantity that the request names, or the one that is served."""
        name = arguments.text("quantity") if operation.is_about_one else ""
        return self.dashboard.about(name, arguments.text("unit")) if name else self.dashboard


async def _watch(request: Request, given_up: threading.Event) -> None:
    """Set `given_up` when the caller closes the connection before it has its answer."""
    while not await request.is_disconnected():
        await asyncio.sleep(WATCH_SECONDS)
    given_up.set()


def _is_absolute(arguments: Arguments) -> bool:
    """Whether the request names both ends of its range by fixed times, so that tomorrow it means the same."""
    return all(end is not None and end[:1].isdigit() for end in arguments.range)


def _answered(answer: Json, *, is_fixed: bool, known: str = "") -> Response:
    """Return the answer with a tag of its content; without a body if the caller's `known` tags have it."""
    content = {name: value for name, value in answer.items() if name not in _PASSING}
    tag = f'W/"{hashlib.sha256(_body(content)).hexdigest()[:32]}"'
    kept = f"private, max-age={FINAL_SECONDS}, immutable" if is_fixed else "private, no-cache"
    headers = {"Cache-Control": kept, "ETag": tag, "X-Content-Type-Options": "nosniff"}
    if known.strip() == "*" or tag in [one.strip() for one in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(_body(answer), media_type="application/json", headers=headers)


def _body(answer: Json) -> bytes:
    return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()
