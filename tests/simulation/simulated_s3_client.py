"""The part of boto3's `s3` client that windrow uses, in front of the simulated S3, with the SDK's own retries.

Semantics, after the Amazon S3 user guide ("Conditional requests", "Best practices for performance": 503 SlowDown) and
the SDK's documentation of the standard retry mode:

- the SDK repeats 5xx, throttling and broken connections, four attempts in all, and says nothing of it: a conditional
  put whose acknowledgement was lost is refused with 412 because of its own first attempt;
- 409 ConditionalRequestConflict is not repeated by the SDK;
- `If-Match` on a missing key answers 404; a body may break off while it is read, which the SDK cannot repeat.
"""

from collections.abc import Callable
from typing import IO, Any

from botocore.exceptions import ClientError, IncompleteReadError

from tests.simulation.faults import Chance
from tests.simulation.process import Process
from tests.simulation.simulated_s3 import Delete as _Delete
from tests.simulation.simulated_s3 import Get, ListPage, Operation, Page, Put, Refused, S3State
from windrow.aws.clients import ATTEMPTS_MAX
from windrow.lake.store import DELETE_KEYS_MAX, StoredObject

LATENCY_MS = 20
SLOW_MS = 1_000
BACKOFF_MS = 200
_UNDONE, _UNHEARD = object(), object()


class _Body:
    def __init__(self, body: bytes, *, is_broken: bool) -> None:
        self._body = body
        self._is_broken = is_broken

    def read(self) -> bytes:
        if self._is_broken:
            raise IncompleteReadError(actual_bytes=len(self._body) // 2, expected_bytes=len(self._body))
        return self._body


class SimulatedS3Client:
    """boto3's client as one process has it; `is_down` says whether S3 refuses everything now."""

    def __init__(
        self, state: S3State, process: Process, chance: Chance, *, is_down: Callable[[], bool] = lambda: False
    ) -> None:
        self._state = state
        self._process = process
        self._chance = chance
        self._is_down = is_down

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """GetObject."""
        stored = self._send(Get(Bucket, Key), "GetObject")
        if stored is None:
            raise _error("GetObject", "NoSuchKey", 404)
        body = _Body(stored.body, is_broken=self._chance.happens("s3_body_broken"))
        return {"Body": body, "ETag": f'"{stored.etag}"'}

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes | IO[bytes],  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        """PutObject."""
        if_match = None if IfMatch is None else IfMatch.strip('"')
        is_conditional = if_match is not None or IfNoneMatch is not None
        if is_conditional and self._chance.happens("s3_conflict"):
            self._process.call(lambda: None, latency_ms=LATENCY_MS)
            raise _error("PutObject", "ConditionalRequestConflict", 409)
        body = Body if isinstance(Body, bytes) else Body.read()
        answer = self._send(Put(Bucket, Key, body, if_match, IfNoneMatch == "*"), "PutObject")
        if isinstance(answer, Refused):
            is_missing = if_match is not None and Key not in self._state.buckets.get(Bucket, {})
            code, status = ("NoSuchKey", 404) if is_missing else ("PreconditionFailed", 412)
            raise _error("PutObject", code, status)
        return {"ETag": f'"{answer}"'}

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """DeleteObject."""
        self._send(_Delete(Bucket, Key), "DeleteObject")
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        """DeleteObjects: one request that is not atomic; keys that were not deleted are named in the answer."""
        keys = [one["Key"] for one in Delete["Objects"]]
        assert 1 <= len(keys) <= DELETE_KEYS_MAX
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self._process.sleep_seconds(BACKOFF_MS * 2**attempt / 1_000)
            left = self._process.call(lambda: self._delete_some(Bucket, keys), latency_ms=self._latency_ms())
            if left is not None:
                return {"Errors": [{"Key": key, "Code": "InternalError"} for key in left]} if left else {}
        raise _error("DeleteObjects", "SlowDown", 503)

    def _delete_some(self, bucket: str, keys: list[str]) -> list[str] | None:
        """Delete, and return the keys that are left; None if there is no answer."""
        if self._is_down() or self._chance.happens("s3_unavailable"):
            return None
        done = self._chance.random.randrange(len(keys)) if self._chance.happens("s3_unavailable") else len(keys)
        for key in keys[:done]:
            self._state.apply(_Delete(bucket, key))
        return None if self._chance.happens("s3_ack_lost") else keys[done:]

    def list_objects_v2(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        MaxKeys: int,  # noqa: N803
        Delimiter: str = "",  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        """ListObjectsV2; the bucket's own page size counts when it is less than `MaxKeys`."""
        assert self._state.page_keys <= MaxKeys
        page = self._send(ListPage(Bucket, Prefix, Delimiter, ContinuationToken), "ListObjectsV2")
        assert isinstance(page, Page)
        contents = [{"Key": one.key, "ETag": f'"{one.etag}"', "Size": one.size_bytes} for one in page.objects]
        answer: dict[str, Any] = {"IsTruncated": page.resume_after is not None, "Contents": contents}
        answer["CommonPrefixes"] = [{"Prefix": prefix} for prefix in page.prefixes]
        return answer | ({} if page.resume_after is None else {"NextContinuationToken": page.resume_after})

    def _send(self, operation: Operation, name: str) -> Any:
        """The answer to a request, after as many attempts as the SDK makes."""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self._process.sleep_seconds(BACKOFF_MS * 2**attempt / 1_000)
            answer = self._process.call(lambda: self._attempt(operation), latency_ms=self._latency_ms())
            if answer is not _UNDONE and answer is not _UNHEARD:
                return answer
        raise _error(name, "SlowDown", 503)

    def _attempt(self, operation: Operation) -> StoredObject | str | Page | Refused | object:
        if self._is_down() or self._chance.happens("s3_unavailable"):
            return _UNDONE
        answer = self._state.apply(operation)
        if (
            isinstance(operation, Put | _Delete)
            and not isinstance(answer, Refused)
            and self._chance.happens("s3_ack_lost")
        ):
            return _UNHEARD
        return answer

    def _latency_ms(self) -> int:
        return self._chance.latency_ms(SLOW_MS if self._chance.happens("s3_slow") else LATENCY_MS)


def _error(operation: str, code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "simulated"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
