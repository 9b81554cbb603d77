"""A bucket of objects as the stages see it: the small protocol that the S3 adapter and the simulation implement.

The semantics are those of Amazon S3: reads and listings are strongly consistent, single writes are atomic, nothing
spans two keys, and a write may carry one condition.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol, TypeVar

from windrow.errors import WindrowError

Entry = TypeVar("Entry")
Argument = TypeVar("Argument")
Value = TypeVar("Value")

Body = bytes | IO[bytes]
"""The content of an object to write: bytes, or a seekable file, which is sent whole and stays open."""

LIST_KEYS_MAX = 1000
"""Keys (or common prefixes) in one page of a listing, the limit of S3."""
DELETE_KEYS_MAX = 1000
"""Keys in one request to delete several objects, the limit of S3."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as one GET returned it; the ETag (without quotes) belongs to exactly these bytes."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing returns it; the ETag is without quotes, as everywhere in windrow."""

    key: str
    etag: str
    size_bytes: int


class PreconditionFailed(Exception):  # noqa: N818 - S3's own name for it
    """A conditional write did not find the state that it required.

    The cause may be another writer or the caller itself: if an acknowledgement is lost, the retry of a stored write
    fails on its own earlier success. For a key that names its content, that is success; for all others, observe again
    and start over.
    """

    def __init__(self, key: str) -> None:
        """Store the key whose condition failed."""
        super().__init__(key)
        self.key = key


class StoreError(WindrowError):
    """A call that the store refused for good, or that failed beyond the bound on retries."""


class ObjectStore(Protocol):
    """One bucket of objects."""

    def get(self, key: str) -> StoredObject | None:
        """Read one object; None if the key is missing."""

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write one whole object and return its new ETag.

        `if_match` requires that the existing object has this ETag, `if_absent` that there is no object; at most one of
        the two. PreconditionFailed otherwise, also if `if_match` is given and the key is missing.
        """

    def delete(self, key: str) -> None:
        """Remove one object; a missing key is no error."""

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove many objects, DELETE_KEYS_MAX with a request; missing keys are no error.

        Nothing is atomic: if StoreError is raised, any of them may be gone.
        """

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """Yield every object whose key begins with `prefix`, ascending by key; pages are fetched lazily."""

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        """Yield the distinct continuations of `prefix` up to and including the next `delimiter`, ascending."""


def etag_of(store: ObjectStore, key: str) -> str | None:
    """Return the current ETag of a key, None if it is missing; costs one LIST, without reading the body.

    A key sorts before all longer keys that begin with it, so only the first object listed can be the right one.
    """
    first = next(iter(store.list_objects(key)), None)
    return first.etag if first is not None and first.key == key else None


def put_if_unchanged(store: ObjectStore, key: str, body: Body, *, observed_etag: str | None) -> str:
    """Write an object and return its new ETag, provided that the key holds what was observed: this ETag, or nothing.

    PreconditionFailed if somebody wrote in between: observe again and start over.
    """
    if observed_etag is None:
        return store.put(key, body, if_absent=True)
    return store.put(key, body, if_match=observed_etag)


class Mapper(Protocol):
    """The builtin `map`, or one that calls in parallel: how several requests to a store are made."""

    def __call__(self, function: Callable[[Argument], Value], arguments: Iterable[Argument], /) -> Iterable[Value]:
        """Return the results in the order of `arguments`; what `function` raises is raised."""


class CountingStore:
    """A store that counts the requests it forwards, by kind: get, put, delete, list (one per page)."""

    def __init__(self, store: ObjectStore) -> None:
        """Count the requests to `store`; safe for several threads."""
        self._store = store
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def get(self, key: str) -> StoredObject | None:
        """Read one object, counted."""
        self._count("get", 1)
        return self._store.get(key)

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write one object, counted."""
        self._count("put", 1)
        return self._store.put(key, body, if_match=if_match, if_absent=if_absent)

    def delete(self, key: str) -> None:
        """Remove one object, counted."""
        self._count("delete", 1)
        self._store.delete(key)

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove many objects, counted once for each request."""
        named = list(keys)
        self._count("delete", -(-len(named) // DELETE_KEYS_MAX))
        self._store.delete_all(named)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """List objects, counted once for each page begun."""
        return self._paged(self._store.list_objects(prefix))

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        """List prefixes, counted once for each page begun."""
        return self._paged(self._store.list_prefixes(prefix, delimiter=delimiter))

    def _paged(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        self._count("list", 1)
        for position, entry in enumerate(entries):
            if position and position % LIST_KEYS_MAX == 0:
                self._count("list", 1)
            yield entry

    def _count(self, kind: str, requests: int) -> None:
        with self._lock:
            self.calls[kind] += requests
