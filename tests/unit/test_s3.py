"""The S3 adapter when S3 is slow, fails, or loses an answer: moto, with some answers replaced."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError, IncompleteReadError
from moto import mock_aws

from windrow.lake.s3 import ROUNDS_MAX, S3Store
from windrow.lake.store import PreconditionFailed, StoreError


class Hesitation:
    """A client of moto's S3 whose answers to the next requests of an operation are replaced by errors."""

    def __init__(self) -> None:
        """Begin without replaced answers, and with one attempt per call: every retry seen is the adapter's."""
        self.client: Any = boto3.session.Session().client(
            "s3", region_name="us-east-1", config=Config(retries={"total_max_attempts": 1, "mode": "standard"})
        )
        self.client.create_bucket(Bucket="bucket")
        self.requests = 0
        self.pauses: list[float] = []
        self.store = S3Store(self.client, "bucket", sleep=self.pauses.append)

    def answer(self, operation: str, *answers: tuple[int, str]) -> None:
        """Answer the next requests with these statuses and codes; each is carried out all the same."""
        left = list(answers)

        def between(request: Any, **_: object) -> AWSResponse | None:
            self.requests += 1
            if not left:
                return None
            status, code = left.pop(0)
            return response(request.url, status, code)

        self.client.meta.events.register_first(f"before-send.s3.{operation}", between)


class Raw:
    """A body as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        """Hold `body`."""
        self._body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        """The body at once."""
        yield self._body


def response(url: str, status: int, code: str) -> AWSResponse:
    """An error of S3 as it comes over the wire."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode()
    return AWSResponse(url, status, {"content-type": "application/xml"}, Raw(body))


@pytest.fixture
def hesitation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hesitation]:
    """An S3 whose next answers can be replaced."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield Hesitation()


PASSING = [(409, "ConditionalRequestConflict"), (500, "InternalError"), (503, "SlowDown"), (503, "ServiceUnavailable")]

REQUESTS: dict[str, Callable[[S3Store], object]] = {
    "PutObject": lambda store: store.put("k", b"x"),
    "GetObject": lambda store: store.get("k"),
    "DeleteObject": lambda store: store.delete("k"),
    "ListObjectsV2": lambda store: list(store.list_objects("k")),
}


@pytest.mark.slow
@pytest.mark.parametrize("operation", REQUESTS)
def test_passing_failures_are_retried_with_growing_pauses(hesitation: Hesitation, operation: str) -> None:
    """409, 5xx and SlowDown are temporary; the request is sent again after growing pauses."""
    hesitation.answer(operation, *PASSING)
    REQUESTS[operation](hesitation.store)
    assert hesitation.requests == len(PASSING) + 1
    assert hesitation.pauses == [0.1, 0.2, 0.4, 0.8]


@pytest.mark.slow
@pytest.mark.parametrize("operation", REQUESTS)
def test_retries_end(hesitation: Hesitation, operation: str) -> None:
    """A store that stays unavailable is an error that names the object and the reason."""
    hesitation.answer(operation, *[(503, "SlowDown")] * 100)
    with pytest.raises(StoreError, match=r"s3://bucket/k: .*SlowDown"):
        REQUESTS[operation](hesitation.store)
    assert hesitation.requests == ROUNDS_MAX


@pytest.mark.slow
@pytest.mark.parametrize("operation", REQUESTS)
def test_refusal_is_not_retried(hesitation: Hesitation, operation: str) -> None:
    """Access denied is final; it is not a missing object, although S3 answers 403 for those if listing is denied."""
    hesitation.answer(operation, *[(403, "AccessDenied")] * 100)
    with pytest.raises(StoreError, match=r"s3://bucket/k: .*AccessDenied"):
        REQUESTS[operation](hesitation.store)
    assert hesitation.requests == 1


@pytest.mark.slow
def test_lost_race_is_not_retried(hesitation: Hesitation) -> None:
    """412 is an answer, not a failure: somebody else wrote."""
    hesitation.answer("PutObject", *[(412, "PreconditionFailed")] * 100)
    with pytest.raises(PreconditionFailed):
        hesitation.store.put("k", b"x", if_absent=True)
    assert hesitation.requests == 1


@pytest.mark.slow
def test_write_whose_answer_is_lost_meets_itself(hesitation: Hesitation) -> None:
    """A stored write that looked failed is sent again and refused: the adapter says so and claims nothing."""
    hesitation.answer("PutObject", (500, "InternalError"))
    with pytest.raises(PreconditionFailed):
        hesitation.store.put("k", b"x", if_absent=True)
    stored = hesitation.store.get("k")
    assert stored is not None
    assert stored.body == b"x"


@pytest.mark.slow
def test_body_that_breaks_off_is_read_again(hesitation: Hesitation) -> None:
    """The SDK retries a request, not the reading of its body; half an object is no object."""
    hesitation.store.put("k", b"whole")
    original = hesitation.client.get_object
    broken = []

    class Breaking:
        def read(self) -> bytes:
            broken.append(1)
            raise IncompleteReadError(actual_bytes=2, expected_bytes=5)

    def get_object(**request: Any) -> Any:
        answer = original(**request)
        return answer if len(broken) == 2 else answer | {"Body": Breaking()}

    hesitation.client.get_object = get_object
    stored = hesitation.store.get("k")
    assert stored is not None
    assert stored.body == b"whole"
    broken.clear()
    hesitation.client.get_object = lambda **request: original(**request) | {"Body": Breaking()}
    with pytest.raises(StoreError, match="s3://bucket/k"):
        hesitation.store.get("k")
    assert len(broken) == ROUNDS_MAX


@pytest.mark.slow
def test_dead_endpoint_is_one_line(hesitation: Hesitation) -> None:
    """After the SDK has given up, the adapter does not retry for minutes."""
    calls = []

    def get_object(**request: Any) -> Any:
        calls.append(request)
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    hesitation.client.get_object = get_object
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1") as raised:
        hesitation.store.get("k")
    assert "\n" not in str(raised.value)
    assert len(calls) == 1
