"""The paths by which gateways upload: a token is exchanged for a request that stores one object, and for its receipt.

POST /v1/uploads {"bytes": 18211, "sha256": "<hex>", "content_type": "text/csv"}  ->  method, url, headers, key
GET /v1/uploads/receipt?key=<key>                                                 ->  the receipt, or 404
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from analytics.api.problems import problem
from analytics.api.tokens import BadToken, TokenCheck
from analytics.api.upload_forms import (
    ANNOUNCEMENT,
    CONTENT_TYPE,
    PATH,
    RECEIPT_PATH,
    REQUEST_BYTES_MAX,
    SHA256,
    SIGNED_SECONDS,
)
from windrow.aws.clients import readable_errors
from windrow.errors import WindrowError
from windrow.lake.gateways import SCOPE, Gateway
from windrow.lake.layout import gateway_key
from windrow.lake.receipt import key_of_receipt
from windrow.lake.uploads import SENSORS_METADATA, UPLOAD_BYTES_MAX, sensors_metadata
from windrow.stage import Stage

_FIELDS = set(ANNOUNCEMENT["properties"])
_SHA256 = re.compile(SHA256, re.ASCII)
_CONTENT_TYPE = re.compile(CONTENT_TYPE, re.ASCII)
_CLIENT = re.compile(r"[A-Za-z0-9_+]{1,128}", re.ASCII)
_DIGEST_CHARACTERS = 32
_EXAMPLE = '{"bytes": 18211, "sha256": "<64 hexadecimal digits>", "content_type": "application/x-ndjson"}'


class _RefusalError(Exception):
    """A request that is answered with a problem."""

    def __init__(self, status: int, detail: str, hint: str = "", *, is_worth_retrying: bool = False) -> None:
        super().__init__(detail)
        self.response = problem(status, detail, hint, is_worth_retrying=is_worth_retrying)


@dataclass(frozen=True, slots=True)
class _Announced:
    """The object that a gateway is about to upload."""

    size_bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class UploadEndpoints:
    """The routes over one stage with an uploads bucket; `tokens` checks who asks."""

    stage: Stage
    tokens: TokenCheck

    def routes(self) -> list[Route]:
        """Return the two routes."""
        return [
            Route(PATH, self._endpoint(self._sign), methods=["POST"]),
            Route(RECEIPT_PATH, self._endpoint(self._receipt), methods=["GET"]),
        ]

    def _endpoint(self, answer: Callable[[Request, bytes], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            return await run_in_threadpool(self._answered, answer, request, body)

        return endpoint

    def _answered(self, answer: Callable[[Request, bytes], Response], request: Request, body: bytes) -> Response:
        try:
            with readable_errors(self.stage.place):
                return answer(request, body)
        except BadToken as error:
            response = problem(401, str(error))
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        except _RefusalError as refused:
            return refused.response
        except WindrowError as error:
            return problem(503, error.message, error.hint, is_worth_retrying=True)

    def _gateway(self, request: Request) -> Gateway:
        """Return the gateway whose token came with the request."""
        grant = self.tokens.grant_of(request.headers.get("authorization", ""))
        if SCOPE not in grant.scopes:
            raise _RefusalError(403, f"the token lacks the scope {SCOPE}")
        stored = self.stage.lake.get(gateway_key(grant.client)) if _CLIENT.fullmatch(grant.client) else None
        if stored is None:
            raise _RefusalError(403, "the token is of no gateway of this stage", "windrow gateways list shows them")
        return Gateway.from_json(stored.body)

    def _sign(self, request: Request, body: bytes) -> Response:
        gateway = self._gateway(request)
        announced = _parsed(body)
        key = f"{gateway.prefix}{announced.sha256[:_DIGEST_CHARACTERS]}"
        signed = self.stage.upload_client.sign(
            key,
            length=announced.size_bytes,
            checksum=base64.b64encode(bytes.fromhex(announced.sha256)).decode("ascii"),
            content_type=announced.content_type,
            seconds=SIGNED_SECONDS,
            metadata={SENSORS_METADATA: sensors_metadata(gateway.sensors)},
        )
        return _json({"key": key, **asdict(signed)})

    def _receipt(self, request: Request, _: bytes) -> Response:
        gateway = self._gateway(request)
        key = request.query_params.get("key", "")
        if not key.startswith(gateway.prefix):
            raise _RefusalError(
                403, f"{key[:200]!r} is not of the gateway {gateway.name}", f"its keys begin with {gateway.prefix}"
            )
        for one in self.stage.uploads.versions(key):
            stored = self.stage.lake.get(key_of_receipt(one.location)) if one.key == key else None
            if stored is not None:
                return _json(json.loads(stored.body))
        raise _RefusalError(
            404,
            f"{key[:200]!r} has no receipt yet",
            "it was not uploaded, or waits for its batch; then ask again",
            is_worth_retrying=True,
        )


def _parsed(body: bytes) -> _Announced:
    """Return what a gateway announces; the refusal names the field that is wrong."""
    try:
        fields = json.loads(body) if len(body) <= REQUEST_BYTES_MAX else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise _RefusalError(
            400, f"the request is not an object of {', '.join(sorted(_FIELDS))}", f"for example {_EXAMPLE}"
        )
    size_bytes, sha256, content_type = fields["bytes"], fields["sha256"], fields["content_type"]
    if type(size_bytes) is not int or not 1 <= size_bytes <= UPLOAD_BYTES_MAX:
        raise _RefusalError(
            400, f"bytes is not from 1 to {UPLOAD_BYTES_MAX}", "cut what is larger, or pack it with gzip"
        )
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise _RefusalError(400, "sha256 is not 64 small hexadecimal digits")
    if not isinstance(content_type, str) or not _CONTENT_TYPE.fullmatch(content_type):
        raise _RefusalError(400, "content_type is not 1 to 100 printable characters of ASCII")
    return _Announced(size_bytes, sha256, content_type)


def _json(answer: Any) -> Response:
    body = json.dumps(answer, separators=(",", ":"))
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type="application/json", headers=headers)
