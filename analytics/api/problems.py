"""Errors as problem documents (RFC 9457): the status's own title, what happened, and what to do as `hint`."""

import http
import json

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1


def problem(
    status: int, detail: str, hint: str = "", *, allowed: str = "", is_worth_retrying: bool = False
) -> Response:
    """Return the response. Its type is about:blank: the problem is no more than its status says, and its detail.

    `allowed` are the methods there are, for the status 405.
    """
    document = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {"Cache-Control": "no-store"}
    if allowed:
        headers["Allow"] = allowed
    if is_worth_retrying:
        headers["Retry-After"] = str(RETRY_SECONDS)
    body = json.dumps(document | ({"hint": hint} if hint else {}), separators=(",", ":"))
    return Response(body, status, media_type=MEDIA_TYPE, headers=headers)
