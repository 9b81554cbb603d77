"""Many small puts: what the SDK would send, signed as S3 checks it, and the SDK itself for all that goes wrong."""

import hashlib
import hmac
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.awsrequest import AWSResponse
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

from windrow.aws import clients, many_puts
from windrow.aws.clients import AWS, EMBEDDED, LOCALSTACK, Place, credentials_at
from windrow.aws.many_puts import ManyPuts
from windrow.lake.s3 import S3Store
from windrow.lake.store import PreconditionFailed, StoreError

KEY = "partials/dt=2026-11-20/hour=10/1005-back fill-unknown-0-0~é.parquet"


class S3:
    """A server that keeps objects, checks signatures by itself, and notes who sent each put: the SDK, or we."""

    def __init__(self) -> None:
        self.forget()
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                owner.put(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.place = Place(EMBEDDED, f"http://127.0.0.1:{self.server.server_address[1]}", "eu-central-1")

    def forget(self) -> None:
        """Begin anew."""
        self.objects: dict[str, bytes] = {}
        self.by_sdk: list[str] = []
        self.by_us: list[str] = []
        self.answers: list[int] = []
        self.secret = "test"

    def put(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one put: the next of `answers` (0 breaks the connection), or as S3 does."""
        body = request.rfile.read(int(request.headers["Content-Length"]))
        key = unquote(request.path.removeprefix("/bucket/"))
        with self._lock:
            (self.by_sdk if "Botocore" in request.headers.get("User-Agent", "") else self.by_us).append(key)
            planned = self.answers.pop(0) if self.answers else 200
            if planned == 200 and not self._is_signed(request, body):
                planned = 403
            elif planned == 200 and request.headers["If-None-Match"] == "*" and key in self.objects:
                planned = 412
            elif planned == 200:
                self.objects[key] = body
        if planned == 0:
            request.close_connection = True
            return
        request.send_response(planned)
        request.send_header("ETag", f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _is_signed(self, request: BaseHTTPRequestHandler, body: bytes) -> bool:
        """Check Signature Version 4 as its specification has it, for our own puts; the SDK's are its own affair."""
        if "Botocore" in request.headers.get("User-Agent", ""):
            return True
        if request.headers["X-Amz-Content-SHA256"] != hashlib.sha256(body).hexdigest():
            return False
        said = dict(part.split("=", 1) for part in request.headers["Authorization"].split(" ", 1)[1].split(", "))
        names = said["SignedHeaders"].split(";")
        assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names)
        lines = "".join(f"{name}:{request.headers[name]}\n" for name in names)
        canonical = (
            f"PUT\n{request.path}\n\n{lines}\n{said['SignedHeaders']}\n{request.headers['X-Amz-Content-SHA256']}"
        )
        scope = said["Credential"].split("/", 1)[1]
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        text = f"AWS4-HMAC-SHA256\n{request.headers['X-Amz-Date']}\n{scope}\n"
        text += hashlib.sha256(canonical.encode()).hexdigest()
        right = hmac.new(key, text.encode(), "sha256").hexdigest()
        return scope.split("/")[1:] == ["eu-central-1", "s3", "aws4_request"] and said["Signature"] == right


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """One server on loopback for all tests, because making the SDK's client costs more than all that they do."""
    found = S3()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def s3(server: S3) -> S3:
    """The server, with nothing in it."""
    server.forget()
    return server


@pytest.fixture
def store(s3: S3) -> Iterator[S3Store]:
    """The store of one bucket, whose first put is done."""
    with ManyPuts(s3.place, "bucket") as puts:
        made = S3Store(puts, "bucket", sleep=lambda _: None)
        made.put("first", b"1")
        s3.by_sdk.clear()
        yield made


def test_all_but_the_first_are_sent_without_the_sdk_and_signed_as_s3_checks_it(s3: S3) -> None:
    """With any characters in the key, from many threads; the first shows where the bucket is."""
    keys = [f"{KEY}-{n}" for n in range(40)]
    with ManyPuts(s3.place, "bucket") as puts, ThreadPoolExecutor(8) as threads:
        store = S3Store(puts, "bucket")
        etags = list(threads.map(lambda key: store.put(key, key.encode(), if_absent=True), keys))
    assert etags == [hashlib.md5(key.encode(), usedforsecurity=False).hexdigest() for key in keys]
    assert s3.objects == {key: key.encode() for key in keys}
    assert len(s3.by_sdk) == 1
    assert sorted(s3.by_sdk + s3.by_us) == sorted(keys)


def test_an_object_that_is_there_is_refused_as_by_the_sdk(s3: S3, store: S3Store) -> None:
    """The condition is sent; the refusal is the SDK's own, of its own put."""
    store.put("a", b"1", if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.put("a", b"2", if_absent=True)
    assert s3.objects["a"] == b"1"
    assert (s3.by_us[-2:], s3.by_sdk) == (["a", "a"], ["a"])


@pytest.mark.parametrize("answer", [0, 301, 403, 500, 503])
def test_what_goes_wrong_once_is_left_to_the_sdk(s3: S3, store: S3Store, answer: int) -> None:
    """A broken connection, a redirection, a refusal, a fault: the object is there in the end, and the next is ours."""
    s3.answers = [answer]
    store.put("a", b"1")
    assert (s3.objects["a"], s3.by_sdk) == (b"1", ["a"])
    store.put("b", b"2")
    assert (s3.objects["b"], s3.by_sdk) == (b"2", ["a"])


def test_what_stays_wrong_is_told_in_the_words_of_the_sdk(s3: S3, store: S3Store) -> None:
    """With the operation and the key."""
    s3.answers = [403, 403]
    with pytest.raises(StoreError, match=r"PutObject s3://bucket/a: .*403"):
        store.put("a", b"1")


def test_a_first_put_that_fails_teaches_nothing(s3: S3) -> None:
    """The next one is the first then."""
    with ManyPuts(s3.place, "bucket") as puts:
        store = S3Store(puts, "bucket")
        s3.answers = [403]
        with pytest.raises(StoreError):
            store.put("a", b"1")
        for key in ("a", "b"):
            store.put(key, b"1")
    assert (s3.by_sdk, s3.by_us) == (["a", "a"], ["b"])


def test_files_other_buckets_and_other_options_are_the_sdks(s3: S3, store: S3Store) -> None:
    """What is no put of bytes into its bucket under a condition it knows."""
    store.put("a", io.BytesIO(b"1"))
    puts: Any = store._client
    puts.put_object(Bucket="bucket", Key="b", Body=b"2", ContentType="text/plain")
    puts.put_object(Bucket="other-bucket", Key="c", Body=b"3")
    assert s3.by_us == []
    assert len(s3.by_sdk) == 3


def test_credentials_are_asked_for_at_every_put(s3: S3, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may change while a long backfill runs, and if none can be had, the SDK says so."""
    puts: Any = store._client
    s3.secret = "another"
    monkeypatch.setattr(puts, "_credentials", Credentials("id", "another"))
    store.put("a", b"1")
    assert s3.by_us == ["a"]

    class _None:
        def get_frozen_credentials(self) -> Credentials:
            raise NoCredentialsError

    monkeypatch.setattr(puts, "_credentials", _None())
    store.put("b", b"2")
    assert s3.by_sdk == ["b"]


def test_behind_a_proxy_the_sdk_sends_all(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows how; a stand-in is reached without."""
    monkeypatch.setattr(many_puts, "_has_proxy", lambda _place, _url: True)
    with ManyPuts(s3.place, "bucket") as puts:
        store = S3Store(puts, "bucket")
        for key in "abc":
            store.put(key, b"1")
    assert (s3.by_sdk, s3.by_us) == (["a", "b", "c"], [])


def test_a_proxy_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the SDK: by the scheme, but not for stand-ins."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    url = "https://bucket.s3.eu-central-1.amazonaws.com"
    assert many_puts._has_proxy(Place(AWS, None, "eu-central-1"), url)
    assert not many_puts._has_proxy(Place(EMBEDDED, "http://127.0.0.1:1", "eu-central-1"), url)


@pytest.mark.slow
def test_where_the_keys_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in never gets the user's; AWS gets what the usual chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "users")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(clients, "_clients", {})
    assert credentials_at(Place(EMBEDDED, "http://127.0.0.1:1", "eu-central-1")).access_key == "test"
    assert credentials_at(Place(LOCALSTACK, "http://127.0.0.1:1", "eu-central-1")) is None
    assert credentials_at(Place(AWS, None, "eu-central-1")).access_key == "users"


@pytest.mark.slow
def test_a_bucket_of_aws_is_reached_by_its_own_name_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK's first put shows there: the regional host of the bucket, and the region of the signature."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "users")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(clients, "_clients", {})
    place = Place(AWS, None, "eu-central-1")
    with ManyPuts(place, "some-bucket") as puts:

        def answer(request: Any, **_: Any) -> AWSResponse:
            raw = type("Raw", (), {"stream": lambda *_, **__: iter([b""])})()
            return AWSResponse(request.url, 200, {"ETag": '"e"'}, raw)

        puts.meta.events.register_last(many_puts._EVENT, answer)
        puts.put_object(Bucket="some-bucket", Key="a/dt=1", Body=b"1")
        assert puts._where is not None
        assert (puts._where.url, puts._where.region) == (
            "https://some-bucket.s3.eu-central-1.amazonaws.com",
            "eu-central-1",
        )
        connection = many_puts._connection(place, puts._where.url)
        assert type(connection).__name__ == "HTTPSConnection"
        assert connection._context.check_hostname  # type: ignore[attr-defined]
