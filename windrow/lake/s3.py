"""The ObjectStore for Amazon S3 and services with its protocol, through boto3.

ETags are passed without their quotes. A put is one PutObject, so an ETag names one whole write. Errors that remain
after the SDK's own retries are retried here within a bound: 409 (two conditional writes raced, S3 asks to try again),
5xx, SlowDown, and bodies that break off while they are read, which the SDK cannot retry.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from windrow.lake.store import (
    DELETE_KEYS_MAX,
    LIST_KEYS_MAX,
    Body,
    ListedObject,
    PreconditionFailed,
    StoredObject,
    StoreError,
)

Answer = TypeVar("Answer")

ROUNDS_MAX = 5
"""Calls to the SDK for one request; each makes several attempts (windrow.aws.clients.ATTEMPTS_MAX)."""
PAUSE_SECONDS = 0.1
"""The pause before the second round; doubles with each further one: 1.5 s in all."""

CONFLICT = 409
PRECONDITION_FAILED = 412
NOT_FOUND = 404
SLOW_DOWN_CODES = frozenset({"SlowDown", "Throttling", "RequestTimeout"})
# What S3 answers for single keys of a request to delete several; the request itself has succeeded.
KEY_ERRORS_THAT_PASS = SLOW_DOWN_CODES | {"InternalError", "ServiceUnavailable"}
CONTENT_TYPES = {".svg": "image/svg+xml", ".csv": "text/csv; charset=utf-8"}
"""What browsers must be told of objects that people open, by the end of the key."""
BROKEN_BODY = (IncompleteReadError, ResponseStreamingError)


class S3Store:
    """One bucket of S3; implements windrow.lake.store.ObjectStore and is safe for several threads."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        *,
        page_keys: int = LIST_KEYS_MAX,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Use a boto3 S3 `client`; `page_keys` and `sleep` are parameters for tests."""
        self._client = client
        self._bucket = bucket
        self._page_keys = page_keys
        self._sleep = sleep

    def get(self, key: str) -> StoredObject | None:
        """Read one object; None if the key is missing."""

        def read() -> StoredObject:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            return StoredObject(answer["Body"].read(), _bare(answer["ETag"]))

        try:
            return self._call("GetObject", key, read)
        except ClientError as error:
            # A missing bucket answers 404 too, and must not look like a missing object.
            if _status(error) == NOT_FOUND and _code(error) != "NoSuchBucket":
                return None
            raise self._failed("GetObject", key, error) from error

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write one whole object and return its new ETag; PreconditionFailed as in the protocol."""
        if if_match is not None and if_absent:
            raise ValueError("if_match and if_absent exclude each other")
        condition = {"IfNoneMatch": "*"} if if_absent else {} if if_match is None else {"IfMatch": f'"{if_match}"'}

        def write() -> str:
            if not isinstance(body, bytes):
                body.seek(0)
            answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **condition, **_type_of(key))
            return _bare(answer["ETag"])

        try:
            return self._call("PutObject", key, write)
        except ClientError as error:
            missing = _status(error) == NOT_FOUND and _code(error) != "NoSuchBucket"
            if _status(error) == PRECONDITION_FAILED or (if_match is not None and missing):
                raise PreconditionFailed(key) from error
            raise self._failed("PutObject", key, error) from error

    def delete(self, key: str) -> None:
        """Remove one object; a missing key is no error."""
        try:
            self._call("DeleteObject", key, lambda: self._client.delete_object(Bucket=self._bucket, Key=key))
        except ClientError as error:
            raise self._failed("DeleteObject", key, error) from error

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove many objects; StoreError names the first that S3 did not delete."""
        named = list(keys)
        for start in range(0, len(named), DELETE_KEYS_MAX):
            left = named[start : start + DELETE_KEYS_MAX]
            for round_number in range(1, ROUNDS_MAX + 1):
                errors = self._delete_some(left)
                if not errors:
                    break
                left = [error["Key"] for error in errors]
                if round_number == ROUNDS_MAX or errors[0].get("Code") not in KEY_ERRORS_THAT_PASS:
                    code = errors[0].get("Code", "no code")
                    raise StoreError(f"DeleteObjects s3://{self._bucket}/{left[0]}: {code}")
                self._sleep(PAUSE_SECONDS * 2 ** (round_number - 1))

    def _delete_some(self, keys: list[str]) -> list[dict[str, str]]:
        """Send one request for 1 to DELETE_KEYS_MAX `keys`; return those that S3 did not delete."""

        def send() -> list[dict[str, str]]:
            request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            errors: list[dict[str, str]] = self._client.delete_objects(Bucket=self._bucket, Delete=request).get(
                "Errors", []
            )
            return errors

        try:
            return self._call("DeleteObjects", keys[0], send)
        except ClientError as error:
            raise self._failed("DeleteObjects", keys[0], error) from error

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """Yield every object whose key begins with `prefix`, ascending by key, page by page."""
        for page in self._pages(prefix, {}):
            for entry in page.get("Contents", []):
                yield ListedObject(entry["Key"], _bare(entry["ETag"]), entry["Size"])

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        """Yield the distinct continuations of `prefix` up to and including the next `delimiter`, ascending."""
        for page in self._pages(prefix, {"Delimiter": delimiter}):
            for entry in page.get("CommonPrefixes", []):
                yield entry["Prefix"]

    def _pages(self, prefix: str, delimiter: dict[str, str]) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": self._page_keys, **delimiter}

        def read() -> dict[str, Any]:
            page: dict[str, Any] = self._client.list_objects_v2(**request)
            return page

        while True:
            try:
                page = self._call("ListObjectsV2", prefix, read)
            except ClientError as error:
                raise self._failed("ListObjectsV2", prefix, error) from error
            yield page
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, operation: str, key: str, request: Callable[[], Answer]) -> Answer:
        """Return the answer of `request`, tried ROUNDS_MAX times; a final ClientError is left to the caller."""
        for round_number in range(1, ROUNDS_MAX + 1):
            try:
                return request()
            except ClientError as error:
                if not _is_passing(error) or round_number == ROUNDS_MAX:
                    raise
            except BROKEN_BODY as error:
                if round_number == ROUNDS_MAX:
                    raise self._failed(operation, key, error) from error
            except BotoCoreError as error:
                raise self._failed(operation, key, error) from error
            self._sleep(PAUSE_SECONDS * 2 ** (round_number - 1))
        raise AssertionError("the last round returns or raises")

    def _failed(self, operation: str, key: str, error: Exception) -> StoreError:
        reason = " ".join(str(error).split())
        return StoreError(f"{operation} s3://{self._bucket}/{key}: {reason}")


def _type_of(key: str) -> dict[str, str]:
    """Return the content type of what people open in a browser; S3's default is kept for all else."""
    suffix = key[key.rfind(".") :]
    return {"ContentType": CONTENT_TYPES[suffix]} if suffix in CONTENT_TYPES else {}


def _bare(etag: str) -> str:
    return etag.strip('"')


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_passing(error: ClientError) -> bool:
    return _status(error) == CONFLICT or _status(error) >= 500 or _code(error) in SLOW_DOWN_CODES
