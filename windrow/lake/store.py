"""One bucket of objects, as the stages see it: the small protocol that the S3 adapter and the simulation implement.

The semantics are those of Amazon S3: reads and listings are strongly consistent, single writes are atomic,
nothing spans two keys, and a write may carry one condition.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol, TypeVar

from windrow.errors import WindrowError

Entry = TypeVar("Entry")

Body = bytes | IO[bytes]
"""What an object is to hold: bytes, or a seekable file, which is sent whole and stays open."""

LIST_KEYS_MAX = 1000
"""Keys (or common prefixes) in one page of a listing, the limit of S3."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as one GET returned it: the ETag (without quotes) belongs to exactly these bytes."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing names it; the ETag is without quotes, as everywhere in windrow."""

    key: str
    etag: str
    size_bytes: int


class PreconditionFailed(Exception):  # noqa: N818 - S3's own name for it
    """A conditional write found another state than the one it named.

    The caller cannot tell a competitor from itself: when an acknowledgement is lost, the retry of a write that was
    stored fails on its own earlier success. Under a key that names its content that is success; anywhere
    else the answer is to observe again and start over.
    """

    def __init__(self, key: str) -> None:
        """Name the key whose condition failed."""
        super().__init__(key)
        self.key = key


class StoreError(WindrowError):
    """The store refused a call for good, or stayed unavailable beyond the bound on retries."""


class ObjectStore(Protocol):
    """One bucket."""

    def get(self, key: str) -> StoredObject | None:
        """Read one object; None when the key is missing."""

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write one object whole and return its new ETag.

        `if_match` demands that the object there carries this ETag, `if_absent` that no object is there; at most one
        of the two. PreconditionFailed when it is otherwise (so also when `if_match` meets a missing key).
        """

    def delete(self, key: str) -> None:
        """Remove one object; a missing key is no error."""

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """Every object whose key begins with `prefix`, ascending by key; pages are fetched as one reads on."""

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        """The distinct continuations of `prefix` up to and including the next "/", ascending."""


def etag_of(store: ObjectStore, key: str) -> str | None:
    """The ETag now under a key, None when it is missing; costs one LIST and no transfer of the body.

    A key sorts before every longer key that begins with it, so only the first object listed can be the one.
    """
    first = next(iter(store.list_objects(key)), None)
    return first.etag if first is not None and first.key == key else None


class CountingStore:
    """A store that counts the requests it passes on, by kind: get, put, delete, list (one per page)."""

    def __init__(self, store: ObjectStore) -> None:
        """Count what goes to `store`; safe for several threads."""
        self._store = store
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def get(self, key: str) -> StoredObject | None:
        """Read, counted."""
        self._count("get", 1)
        return self._store.get(key)

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write, counted."""
        self._count("put", 1)
        return self._store.put(key, body, if_match=if_match, if_absent=if_absent)

    def delete(self, key: str) -> None:
        """Remove, counted."""
        self._count("delete", 1)
        self._store.delete(key)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """List, one count for each page begun."""
        return self._paged(self._store.list_objects(prefix))

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        """List with delimiter, one count for each page begun."""
        return self._paged(self._store.list_prefixes(prefix))

    def _paged(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        self._count("list", 1)
        for position, entry in enumerate(entries):
            if position and position % LIST_KEYS_MAX == 0:
                self._count("list", 1)
            yield entry

    def _count(self, kind: str, requests: int) -> None:
        with self._lock:
            self.calls[kind] += requests
