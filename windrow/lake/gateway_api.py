"""A stage's uploads as a gateway sees them: over HTTPS, by the token of its client, without credentials of AWS."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from windrow.errors import UsageError, WindrowError
from windrow.lake.gateways import SCOPE

REQUEST_SECONDS_MAX = 60.0
TRIES_MAX = 4
_OK, _UNAUTHORIZED, _NOT_FOUND, _TAKEN = 200, 401, 404, 412
_PASSING = frozenset({429, 500, 502, 503, 504})
_AGAIN = urllib3.Retry(
    total=TRIES_MAX - 1,
    redirect=0,
    backoff_factor=0.5,
    status_forcelist=_PASSING,
    allowed_methods=None,  # each of these requests may be repeated: an upload finds itself there
    raise_on_status=False,
)
Send = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayCredentials:
    """All that a gateway needs to upload; the secret is shown once.

    sensors: prefixes, one of which the id of each of its sensors begins with: the stage refuses an object with others.
    """

    name: str
    url: str
    token_url: str
    client_id: str
    client_secret: str
    sensors: tuple[str, ...]


def read_credentials(path: Path) -> GatewayCredentials:
    """Return what `windrow gateways add` printed into a file; UsageError if it is something else."""
    names = set(GatewayCredentials.__slots__)
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} has no credentials of a gateway: {error}") from error
    if (
        isinstance(fields, dict)
        and fields.keys() == names
        and isinstance(fields["sensors"], list)
        and fields["sensors"]
    ):
        sensors = tuple(fields.pop("sensors"))
        if all(isinstance(one, str) for one in (*fields.values(), *sensors)):
            return GatewayCredentials(**fields, sensors=sensors)
    hint = "it is what windrow gateways add printed"
    raise UsageError(f"{path} has no credentials of a gateway: not {', '.join(sorted(names))}", hint=hint)


class GatewayApi:
    """One gateway's way into its stage. A token is asked for when it is needed, and kept until it is refused."""

    def __init__(self, credentials: GatewayCredentials, *, send: Send = urllib3.request) -> None:
        """Use `send`, which makes a request as `urllib3.request` does."""
        self._credentials = credentials
        self._send = send
        self._token = ""

    def put_once(self, key: str, body: bytes, *, content_type: str) -> str | None:  # noqa: ARG002 - as of a bucket
        """Store an object and return its key; None if it was there. WindrowError if neither is known.

        The stage names it after its content, whatever `key` is.
        """
        stored, is_new = self.store(body, content_type=content_type)
        return stored if is_new else None

    def store(self, body: bytes, *, content_type: str) -> tuple[str, bool]:
        """Store an object, and return its key and whether it is new. WindrowError says what was refused."""
        asked = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "content_type": content_type}
        signed = self._asked("POST", "/v1/uploads", body=json.dumps(asked).encode())
        status, answer, answered = self._request(signed["method"], signed["url"], body=body, headers=signed["headers"])
        if status not in {_OK, _TAKEN}:
            said = answer[:300].decode(errors="replace")
            raise WindrowError(f"{len(body):,} bytes were not stored: status {status}: {said}")
        if status == _OK and "ETag" not in answered:
            hint = "check the network: a portal may ask for a sign-in"
            raise WindrowError(f"{len(body):,} bytes: something else than S3 has answered", hint=hint)
        return str(signed["key"]), status == _OK

    def receipt(self, key: str) -> dict[str, Any] | None:
        """Return the fields of the receipt of an object (windrow.lake.receipt); None if there is none yet."""
        found: dict[str, Any] | None = self._asked(
            "GET", f"/v1/uploads/receipt?{urlencode({'key': key})}", absent=_NOT_FOUND
        )
        return found

    def _asked(self, method: str, path: str, *, body: bytes | None = None, absent: int = 0) -> Any:
        """Return the answer of the stage's API, None for the status `absent`; a token that is refused is renewed."""
        for is_again in (False, True):
            self._token = self._token or self._new_token()
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            status, answer, _ = self._request(method, self._credentials.url + path, body=body, headers=headers)
            if status == _UNAUTHORIZED and not is_again:
                self._token = ""
                continue
            if status == absent:
                return None
            return _parsed(status, answer, f"{method} {path.partition('?')[0]}")
        raise AssertionError("the second round returns")

    def _new_token(self) -> str:
        own = self._credentials
        pair = base64.b64encode(f"{own.client_id}:{own.client_secret}".encode()).decode("ascii")
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
        form = urlencode({"grant_type": "client_credentials", "scope": SCOPE}).encode()
        status, answer, _ = self._request("POST", own.token_url, body=form, headers=headers)
        return str(_parsed(status, answer, "a token").get("access_token", ""))

    def _request(
        self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Return the status, the body and the headers of an answer; WindrowError if there is none."""
        try:
            answer = self._send(
                method, url, body=body, headers=dict(headers), timeout=REQUEST_SECONDS_MAX, retries=_AGAIN
            )
        except urllib3.exceptions.HTTPError as error:
            raise WindrowError(f"no answer: {error}", hint="check the network; then upload again") from error
        return int(answer.status), bytes(answer.data), answer.headers


def _parsed(status: int, body: bytes, what: str) -> dict[str, Any]:
    """Return a JSON answer; WindrowError says why the stage refused, in its own words."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        if status == _OK:  # a portal's page
            raise WindrowError(f"{what}: something else than the stage has answered", hint="check the network")
        answer = {}
    if status != _OK:
        said = answer.get("detail") or answer.get("error") or answer.get("message") or "no reason given"
        raise WindrowError(f"{what} is refused, status {status}: {said}", hint=str(answer.get("hint", "")))
    return answer
