"""A deterministic S3 in memory: every request is a value, and one function answers it.

    stage code -> SimulatedStore -> perform(operation) -> S3State.apply(operation)

`perform` is the seam: wrap it to count, crash, lose an acknowledgement, refuse, or suspend. An operation is one HTTP
request, so a listing is one operation for each page, and other parties may act between the pages.

Semantics, after the Amazon S3 user guide (data consistency model; conditional requests; listing object keys): reads and
listings are strongly consistent; a put replaces the whole object; `If-None-Match: *` answers 412 where an object is
there; `If-Match` answers 412 on another ETag and 404 on a missing key, both of which reach the caller as
PreconditionFailed; keys are listed in the order of their UTF-8 octets, at most 1,000 keys and common prefixes a page;
the ETag of a single-part upload is the MD5 of its bytes under SSE-S3 and an arbitrary value under SSE-KMS.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from windrow.lake.store import LIST_KEYS_MAX, Body, ListedObject, PreconditionFailed, StoredObject, StoreError


@dataclass(frozen=True, slots=True)
class Get:
    """GetObject."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Put:
    """PutObject, with at most one condition."""

    bucket: str
    key: str
    body: bytes = field(repr=False)
    if_match: str | None = None
    if_absent: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """DeleteObject."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """ListObjectsV2: the page of `prefix` that follows `after` (a key or common prefix; "" for the first page)."""

    bucket: str
    prefix: str
    delimiter: str
    after: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; `resume_after` is None on the last one."""

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    resume_after: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """412, or 404 for If-Match on a missing key."""

    key: str


Operation = Get | Put | Delete | ListPage
Answer = StoredObject | str | Page | Refused | None
Perform = Callable[[Operation], Answer]


class S3State:
    """All buckets at one instant. `apply` is the only thing that changes it."""

    def __init__(self, *, page_keys: int = LIST_KEYS_MAX, is_kms: bool = False) -> None:
        """Start empty; small pages make listings take several operations; KMS gives every write its own ETag."""
        self.page_keys = page_keys
        self.is_kms = is_kms
        self.writes = 0
        self.buckets: dict[str, dict[str, StoredObject]] = {}

    def copy(self) -> "S3State":
        """An independent state with the same objects."""
        other = S3State(page_keys=self.page_keys, is_kms=self.is_kms)
        other.writes = self.writes
        other.buckets = {bucket: dict(objects) for bucket, objects in self.buckets.items()}
        return other

    def fingerprint(self) -> frozenset[tuple[str, str, str]]:
        """Equal for equal contents: every (bucket, key, ETag)."""
        return frozenset(
            (bucket, key, stored.etag) for bucket, objects in self.buckets.items() for key, stored in objects.items()
        )

    def apply(self, operation: Operation) -> Answer:
        """Carry out one request and answer it."""
        objects = self.buckets.setdefault(operation.bucket, {})
        if isinstance(operation, Get):
            return objects.get(operation.key)
        if isinstance(operation, Put):
            return self._put(objects, operation)
        if isinstance(operation, Delete):
            objects.pop(operation.key, None)
            return None
        return self._list(objects, operation)

    def _put(self, objects: dict[str, StoredObject], put: Put) -> Answer:
        there = objects.get(put.key)
        if put.if_absent and there is not None:
            return Refused(put.key)
        if put.if_match is not None and (there is None or there.etag != put.if_match):
            return Refused(put.key)
        self.writes += 1
        salt = str(self.writes).encode() if self.is_kms else b""
        etag = hashlib.md5(put.body + salt, usedforsecurity=False).hexdigest()
        objects[put.key] = StoredObject(put.body, etag)
        return etag

    def _list(self, objects: dict[str, StoredObject], listing: ListPage) -> Page:
        listed: list[ListedObject] = []
        prefixes: list[str] = []
        last = listing.after
        for key in sorted((key for key in objects if key.startswith(listing.prefix)), key=str.encode):
            rest = key[len(listing.prefix) :]
            folded = bool(listing.delimiter) and listing.delimiter in rest
            entry = listing.prefix + rest.split(listing.delimiter, 1)[0] + listing.delimiter if folded else key
            if entry.encode() <= last.encode():
                continue
            if len(listed) + len(prefixes) == self.page_keys:
                return Page(tuple(listed), tuple(prefixes), last)
            if folded:
                prefixes.append(entry)
            else:
                listed.append(ListedObject(key, objects[key].etag, len(objects[key].body)))
            last = entry
        return Page(tuple(listed), tuple(prefixes), None)


class SimulatedStore:
    """One bucket behind `perform`; implements windrow.lake.store.ObjectStore."""

    def __init__(self, perform: Perform, bucket: str) -> None:
        """Send every request of `bucket` to `perform`."""
        self._perform = perform
        self._bucket = bucket

    def get(self, key: str) -> StoredObject | None:
        """GetObject."""
        answer = self._perform(Get(self._bucket, key))
        assert answer is None or isinstance(answer, StoredObject)
        return answer

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """PutObject."""
        if not isinstance(body, bytes):
            body.seek(0)
            body = body.read()
        if if_match is not None and if_absent:
            raise ValueError("if_match and if_absent exclude each other")
        answer = self._perform(Put(self._bucket, key, body, if_match, if_absent))
        if isinstance(answer, Refused):
            raise PreconditionFailed(key)
        assert isinstance(answer, str)
        return answer

    def delete(self, key: str) -> None:
        """DeleteObject."""
        self._perform(Delete(self._bucket, key))

    def delete_all(self, keys: Iterable[str]) -> None:
        """DeleteObjects, which is not atomic: an operation for each key."""
        for key in keys:
            self.delete(key)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """ListObjectsV2, page by page."""
        for page in self._pages(prefix, delimiter=""):
            yield from page.objects

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        """ListObjectsV2 with a delimiter, page by page."""
        for page in self._pages(prefix, delimiter=delimiter):
            yield from page.prefixes

    def _pages(self, prefix: str, *, delimiter: str) -> Iterator[Page]:
        after: str | None = ""
        while after is not None:
            page = self._perform(ListPage(self._bucket, prefix, delimiter, after))
            assert isinstance(page, Page)
            yield page
            after = page.resume_after


class Crash(BaseException):
    """The process is gone; no `except Exception` on the way may notice."""


def crashing(perform: Perform, *, at: int, after: bool) -> Perform:
    """`perform` that dies at operation number `at` (0-based), before it or `after` it took effect."""
    done = 0

    def dying(operation: Operation) -> Answer:
        nonlocal done
        if done == at and not after:
            raise Crash
        answer = perform(operation)
        if done == at:
            raise Crash
        done += 1
        return answer

    return dying


def recording(perform: Perform, operations: list[Operation]) -> Perform:
    """`perform` that appends every operation to `operations`."""

    def noting(operation: Operation) -> Answer:
        operations.append(operation)
        return perform(operation)

    return noting


def losing_acknowledgement(perform: Perform, *, at: int) -> Perform:
    """`perform` whose put number `at` (0-based) is stored, not acknowledged, and sent again by the SDK.

    A conditional write so retried is refused because of its own first attempt.
    """
    puts = 0

    def resending(operation: Operation) -> Answer:
        nonlocal puts
        answer = perform(operation)
        if isinstance(operation, Put):
            if puts == at:
                answer = perform(operation)
            puts += 1
        return answer

    return resending


def unavailable(perform: Perform, *, at: int) -> Perform:
    """`perform` that fails for good at operation number `at` (0-based), as the adapter does beyond its retries."""
    done = 0

    def failing(operation: Operation) -> Answer:
        nonlocal done
        done += 1
        if done == at + 1:
            raise StoreError(f"503 SlowDown at {operation!r}")
        return perform(operation)

    return failing
