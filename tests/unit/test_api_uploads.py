"""The paths by which gateways upload, and what uses them: who is refused and why, and that nothing is there twice."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import pytest

from analytics.api.endpoints import Endpoints
from analytics.api.tokens import BadToken, Grant, TokenCheck
from analytics.api.upload_forms import PATH, RECEIPT_PATH, SIGNED_SECONDS
from analytics.api.uploads import UploadEndpoints
from analytics.web import hosted
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.test_api import ask
from tests.uploading import BUCKET, UploadsInMemory
from windrow.aws.clients import Place
from windrow.aws.uploads import SignedUpload, checksum_of
from windrow.errors import UsageError, WindrowError
from windrow.lake.gateway_api import GatewayApi, GatewayCredentials, read_credentials
from windrow.lake.gateways import SCOPE, Gateway
from windrow.lake.layout import gateway_key
from windrow.lake.receipt import Receipt
from windrow.lake.uploads import UPLOAD_BYTES_MAX
from windrow.stage import Stage
from windrow.window import Window
from windrow_operations.gateway_uploading import receipts, upload
from windrow_operations.gateways import check_gateway
from windrow_operations.uploading import plan_uploads

ROOF = Gateway(name="roof", client="client7", sensors=("site-7/", "dach-ü"))
BODY = b'{"sensor_id":"site-7/a","event_time":0,"temperature":1}'
ASKED = {"bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest(), "content_type": "application/x-ndjson"}
KEY = f"uploads/gateways/roof/{ASKED['sha256'][:32]}"  # type: ignore[index]


class Tokens:
    """The token names its client, and the scopes behind a colon."""

    def grant_of(self, authorization: str) -> Grant:
        client, _, scopes = authorization.removeprefix("Bearer ").partition(":")
        if not client:
            raise BadToken("there is no token")
        return Grant(client, frozenset(scopes.split()), frozenset(), 0)


class World:
    """A stage with one gateway; signed requests are remembered, and stored as S3 would by what was signed."""

    def __init__(self) -> None:
        self.bucket = UploadsInMemory()
        self.lake = SimulatedStore(S3State().apply, "lake")
        self.lake.put(gateway_key(ROOF.client), ROOF.to_json())
        self.signed: dict[str, Mapping[str, Any]] = {}
        self.tokens_given = 0
        self.stage = SimpleNamespace(
            place=Place("embedded", "http://127.0.0.1:1", "us-east-1"),
            lake=self.lake,
            uploads=self.bucket,
            upload_client=self,
        )
        endpoints = UploadEndpoints(cast("Stage", self.stage), cast("TokenCheck", Tokens()))
        no_questions = SimpleNamespace(routes=list)
        self.app = hosted(cast("Endpoints", no_questions), endpoints.routes())

    def sign(self, key: str, **asked: Any) -> SignedUpload:
        url = f"https://bucket/{key}?{len(self.signed)}"
        self.signed[url] = {"key": key, **asked}
        return SignedUpload(method="PUT", url=url, headers={"x": "y"}, seconds=asked["seconds"])

    def write_receipt(self, key: str, **fields: Any) -> None:
        stored = next(one for one in self.bucket.stored if one.key == key)
        receipt = Receipt(
            bucket=BUCKET,
            key=key,
            version=stored.version,
            written_ms=0,
            size_bytes=stored.size_bytes,
            **{"form": "lines", "readings": 1, "duplicates": 0, "rejected": {}, "windows": (Window(0),)} | fields,
        )
        self.lake.put(receipt.lake_key, receipt.to_json())

    def send(self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], **_: Any) -> Any:
        """Answer as the pool, the API and the bucket do."""
        if url.endswith("/oauth2/token"):
            self.tokens_given += 1
            answer = (
                {"access_token": f"client7:{SCOPE}"}
                if b"uploads%2Fwrite" in (body or b"")
                else {"error": "invalid_scope"}
            )
            return SimpleNamespace(status=200, data=json.dumps(answer).encode(), headers={})
        if url in self.signed:
            signed = self.signed[url]
            if any(one.key == signed["key"] for one in self.bucket.stored):
                return SimpleNamespace(status=412, data=b"", headers={})
            is_it = checksum_of(body or b"") == signed["checksum"]
            if is_it:
                self.bucket.put(signed["key"], body or b"", at_ms=0)
                self.write_receipt(signed["key"])
            return SimpleNamespace(status=200 if is_it else 403, data=b"", headers={"ETag": '"e"'} if is_it else {})
        parts = urlsplit(url)
        status, _, answer = ask(self.app, parts.path, parts.query, method=method, body=body or b"", **headers)
        return SimpleNamespace(status=status, data=json.dumps(answer).encode(), headers={})


def post(world: World, asked: Any = None, *, token: str = f"client7:{SCOPE}") -> tuple[int, dict[str, str], Any]:
    body = asked if isinstance(asked, bytes) else json.dumps(ASKED if asked is None else asked).encode()
    return ask(world.app, PATH, method="POST", body=body, Authorization=f"Bearer {token}")


def test_a_gateway_gets_a_request_for_one_object_of_its_sensors() -> None:
    """Its key, its length, its checksum and type, and for which sensors; for minutes, and kept by nobody."""
    world = World()

    status, headers, answer = post(world)

    assert (status, headers["cache-control"]) == (200, "no-store")
    assert (answer["key"], answer["method"], answer["headers"]) == (KEY, "PUT", {"x": "y"})
    assert world.signed[answer["url"]] == {
        "key": KEY,
        "length": len(BODY),
        "checksum": checksum_of(BODY),
        "content_type": "application/x-ndjson",
        "seconds": SIGNED_SECONDS,
        "metadata": {"sensors": "site-7/,dach-%C3%BC"},
    }


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("", 401),
        ("client7:", 403),
        ("client7:results/read uploads/writes", 403),
        (f"client8:{SCOPE}", 403),
        (f"../receipts/x:{SCOPE}", 403),
    ],
)
def test_who_is_no_gateway_gets_nothing(token: str, status: int) -> None:
    """No token, another scope, a client that is none of the gateways, or a name that would be another key."""
    world = World()

    answered, headers, problem = post(world, token=token)

    assert answered == problem["status"] == status
    assert ("www-authenticate" in headers) == (status == 401)
    assert world.signed == {}


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"[" * 4_000,
        b" " * 5_000 + json.dumps(ASKED).encode(),
        [],
        {},
        ASKED | {"key": "uploads/other"},
        *(ASKED | {"bytes": one} for one in (0, -1, True, 1.0, "5", UPLOAD_BYTES_MAX + 1)),
        *(ASKED | {"sha256": one} for one in (None, "", "A" * 64, "a" * 63, "g" * 64)),
        *(ASKED | {"content_type": one} for one in (None, "", " a", "a ", "a\r\nb: c", "é", "a" * 101)),
    ],
    ids=lambda asked: str(asked)[:40],
)
def test_what_is_announced_wrongly_is_not_signed(asked: Any) -> None:
    """The problem names the field; nothing that a gateway says is a key."""
    world = World()

    status, _, problem = post(world, asked)

    assert (status, world.signed) == (400, {})
    assert problem["detail"]


@pytest.mark.parametrize(("path", "allowed"), [(PATH, "POST"), (RECEIPT_PATH, "GET, HEAD")])
def test_another_method_is_told_which_there_are(path: str, allowed: str) -> None:
    """In a fixed order, as problem documents of other paths."""
    status, headers, problem = ask(World().app, path, method="PUT", body=b"{}")

    assert (status, headers["allow"], problem["status"]) == (405, allowed, 405)


def test_a_receipt_is_for_the_gateway_that_sent_the_object() -> None:
    """Until it is there, it may be asked for again; another gateway's key is refused, whether there is one or not."""
    world = World()

    def receipt(key: str) -> tuple[int, Any]:
        status, _, answer = ask(
            world.app, RECEIPT_PATH, urlencode({"key": key}), method="GET", Authorization=f"Bearer client7:{SCOPE}"
        )
        return status, answer

    assert receipt(KEY)[0] == 404
    world.bucket.put(KEY, BODY, at_ms=0)
    world.bucket.put(KEY + "x", BODY, at_ms=0)
    world.write_receipt(KEY + "x", readings=7)
    assert receipt(KEY)[0] == 404
    world.write_receipt(KEY)
    assert receipt(KEY)[1]["readings"] == 1
    world.bucket.put("uploads/gateways/roof-2/a", BODY, at_ms=0)
    for foreign in ("uploads/gateways/roof-2/a", "uploads/gateways/roof", "uploads/a", "", "receipts/a"):
        assert receipt(foreign)[0] == 403
    assert ask(world.app, RECEIPT_PATH, "", method="GET")[0] == 401


CREDENTIALS = GatewayCredentials(
    name="roof",
    url="https://api",
    token_url="https://pool/oauth2/token",
    client_id="client7",
    client_secret="s",
    sensors=ROOF.sensors,
)


def test_a_file_is_uploaded_once_and_its_receipt_found(tmp_path: Path) -> None:
    """Also by who lost the answer: the second time it is there. The token is kept, and renewed when it is refused."""
    world = World()
    file = tmp_path / "a.jsonl"
    file.write_bytes(BODY)
    (planned,) = plan_uploads([file], name="files")
    uploads = GatewayApi(CREDENTIALS, send=world.send)

    assert upload(uploads, planned) == (KEY, True)
    assert upload(uploads, planned) == (KEY, False)
    assert receipts(uploads, {file: KEY}, seconds_max=0)[file].readings == 1
    assert world.tokens_given == 1
    uploads._token = ":"  # as if it were expired
    assert upload(uploads, planned) == (KEY, False)
    assert world.tokens_given == 2
    file.write_bytes(BODY + b"\n")
    with pytest.raises(UsageError, match="has changed"):
        upload(uploads, planned)


def test_a_refusal_is_told_in_the_stages_words(tmp_path: Path) -> None:
    """A gateway that was removed, and a bucket that takes something else than was announced."""
    world = World()
    file = tmp_path / "a.jsonl"
    file.write_bytes(BODY)
    (planned,) = plan_uploads([file], name="files")
    world.lake.delete(gateway_key(ROOF.client))
    with pytest.raises(WindrowError, match="of no gateway of this stage"):
        upload(GatewayApi(CREDENTIALS, send=world.send), planned)
    world.lake.put(gateway_key(ROOF.client), ROOF.to_json())

    def cutting(method: str, url: str, **request: Any) -> Any:
        return world.send(method, url, **request | ({"body": b"cut"} if method == "PUT" else {}))

    with pytest.raises(WindrowError, match=r"a\.jsonl: 55 bytes were not stored: status 403"):
        upload(GatewayApi(CREDENTIALS, send=cutting), planned)


def test_a_page_of_somebody_else_is_no_answer() -> None:
    """A portal that asks for a sign-in says 200 to everything, also in place of the bucket alone."""
    world = World()

    def portal(*methods: str) -> Any:
        page = SimpleNamespace(status=200, data=b"<html>", headers={})
        return lambda method, url, **request: page if method in methods else world.send(method, url, **request)

    for methods in (("PUT", "POST"), ("PUT",)):
        with pytest.raises(WindrowError, match="something else than"):
            GatewayApi(CREDENTIALS, send=portal(*methods)).put_once("", BODY, content_type="text/csv")
    assert world.bucket.stored == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"name": "roof"}',
        '{"name": 1, "url": "", "token_url": "", "client_id": "", "client_secret": "", "sensors": ["a"]}',
        '{"name": "a", "url": "", "token_url": "", "client_id": "", "client_secret": "", "sensors": []}',
        '{"name": "a", "url": "", "token_url": "", "client_id": "", "client_secret": "", "sensors": [1]}',
        '{"name": "a", "url": "", "token_url": "", "client_id": "", "client_secret": "", "sensors": "a"}',
    ],
)
def test_a_file_without_credentials_is_refused(tmp_path: Path, text: str) -> None:
    """Before anything is sent; what it holds is not shown."""
    path = tmp_path / "roof.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="has no credentials of a gateway"):
        read_credentials(path)


@pytest.mark.parametrize(
    ("name", "sensors"),
    [
        *((name, ["a"]) for name in ("", "a/b", "..", "ü", "a" * 65, "a\n")),
        *(("a", sensors) for sensors in ([], [""], ["a\n"], ["a" * 65], ["a"] * 17, ["ü" * 64] * 8)),
    ],
)
def test_a_gateway_has_a_name_and_prefixes(name: str, sensors: list[str]) -> None:
    """Which fit into a key and into an object's metadata."""
    with pytest.raises(UsageError):
        check_gateway(name, sensors)


def test_a_gateway_is_kept_as_it_is_and_nothing_else_is_one() -> None:
    """One without prefixes would hold nobody back."""
    check_gateway(ROOF.name, ROOF.sensors)
    assert Gateway.from_json(ROOF.to_json()) == ROOF
    good = json.loads(ROOF.to_json())
    wrong = [{"sensors": []}, {"sensors": [""]}, {"sensors": [1]}, {"sensors": None}, {"name": "a/b"}, {"client": 1}]
    for body in (b"", b"[]", b"{}", *(json.dumps(good | one).encode() for one in wrong)):
        with pytest.raises(ValueError, match=r"not a gateway|Expecting"):
            Gateway.from_json(body)
