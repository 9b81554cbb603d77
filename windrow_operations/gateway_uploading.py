"""Uploading by a gateway's token, over HTTPS and without credentials of AWS: what `windrow upload --gateway` does."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from windrow.errors import UsageError, WindrowError
from windrow.lake.gateways import SCOPE
from windrow.lake.receipt import Receipt
from windrow_operations.gateways import GatewayCredentials
from windrow_operations.uploading import FileUpload

REQUEST_SECONDS_MAX = 60.0
TRIES_MAX = 4
POLL_SECONDS = 2.0
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


def read_credentials(path: Path) -> GatewayCredentials:
    """Return what `windrow gateways add` printed into a file; UsageError if it is something else."""
    names = set(GatewayCredentials.__slots__)
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} has no credentials of a gateway: {error}") from error
    if (
        not isinstance(fields, dict)
        or fields.keys() != names
        or not all(isinstance(one, str) for one in fields.values())
    ):
        hint = "it is what windrow gateways add printed"
        raise UsageError(f"{path} has no credentials of a gateway: not {', '.join(sorted(names))}", hint=hint)
    return GatewayCredentials(**fields)


class GatewayUploads:
    """One gateway's uploads. A token is asked for when it is needed, and kept until it is refused."""

    def __init__(self, credentials: GatewayCredentials, *, send: Send = urllib3.request) -> None:
        """Use `send`, which makes a request as `urllib3.request` does."""
        self._credentials = credentials
        self._send = send
        self._token = ""

    def upload(self, one: FileUpload) -> tuple[str, bool]:
        """Upload a planned file; return its key, and whether it is new. WindrowError says what was refused."""
        body = one.path.read_bytes()
        digest = hashlib.sha256(body)
        if base64.b64encode(digest.digest()).decode("ascii") != one.checksum:
            raise UsageError(f"{one.path} has changed while it was read", hint="upload it when nobody writes to it")
        asked = {"bytes": len(body), "sha256": digest.hexdigest(), "content_type": one.content_type}
        signed = self._asked("POST", "/v1/uploads", body=json.dumps(asked).encode())
        status, answer = self._request(signed["method"], signed["url"], body=body, headers=signed["headers"])
        if status not in {_OK, _TAKEN}:
            raise WindrowError(f"{one.path} was not stored: status {status}: {answer[:300].decode(errors='replace')}")
        return str(signed["key"]), status == _OK

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of an object; None if there is none yet."""
        path = f"/v1/uploads/receipt?{urlencode({'key': key})}"
        found = self._asked("GET", path, absent=_NOT_FOUND)
        return None if found is None else Receipt.from_json(json.dumps(found).encode())

    def receipts(
        self,
        keys: Mapping[Path, str],
        *,
        seconds_max: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> dict[Path, Receipt]:
        """Return the receipts of objects, by file, when all are there, or those that are when the time is up."""
        found: dict[Path, Receipt] = {}
        deadline = clock() + seconds_max
        while True:
            for path in keys.keys() - found.keys():
                receipt = self.receipt(keys[path])
                if receipt is not None:
                    found[path] = receipt
            if len(found) == len(keys) or clock() >= deadline:
                return found
            sleep(POLL_SECONDS)

    def _asked(self, method: str, path: str, *, body: bytes | None = None, absent: int = 0) -> Any:
        """Return the answer of the stage's API, None for the status `absent`; a token that is refused is renewed."""
        for is_again in (False, True):
            self._token = self._token or self._new_token()
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            status, answer = self._request(method, self._credentials.url + path, body=body, headers=headers)
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
        status, answer = self._request("POST", own.token_url, body=form, headers=headers)
        return str(_parsed(status, answer, "a token").get("access_token", ""))

    def _request(self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            answer = self._send(
                method, url, body=body, headers=dict(headers), timeout=REQUEST_SECONDS_MAX, retries=_AGAIN
            )
        except urllib3.exceptions.HTTPError as error:
            raise WindrowError(f"no answer: {error}", hint="check the network; then upload again") from error
        return int(answer.status), bytes(answer.data)


def _parsed(status: int, body: bytes, what: str) -> Any:
    """Return a JSON answer; WindrowError says why the stage refused, in its own words."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    if status != _OK:
        said = answer.get("detail") or answer.get("error") or answer.get("message") or "no reason given"
        raise WindrowError(f"{what} is refused, status {status}: {said}", hint=str(answer.get("hint", "")))
    return answer
