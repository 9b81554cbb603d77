"""Bookmarks: how far the writing of a slice came that touches more windows than one run can write.

A key names its content, so a repeated delivery writes nothing twice; but asking S3 about an object takes as long as
writing it. A slice of thousands of windows that cannot be written within one run would begin anew with every delivery.
So a run that is out of time notes what it has written in one object, and the next run leaves that out.

The object is named after the slice's first record, from which the next delivery begins. It says where the slice ended,
because other records would make other objects. Whatever a bookmark says, every object it names has been written.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from processors.consumer import BatchPlan, PlannedObject, WrittenPlan, act
from processors.puts import Deadline, OutOfTime, Puts
from windrow.lake.layout import bookmark_key
from windrow.lake.store import ObjectStore, PreconditionFailed

WRITING_SHARE = 0.75
"""The share of a run's time for writing the slice; the rest is for its bookmark.

A request may take a sixth of a run, and every delivery still gets on: one makes the bookmark, one reads it, two write
the first partial and its marker within this share, and one notes that.
"""
_NAME_BYTES = 16


class _Place(Protocol):
    """A record, as far as its place in the stream goes."""

    @property
    def stream(self) -> str: ...

    @property
    def shard(self) -> str: ...

    @property
    def sequence_number(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The last record of the slice that was begun, "" if none was, and the names of its writes that are done."""

    last: str = ""
    done: frozenset[str] = frozenset()

    def to_json(self) -> bytes:
        """Encode it, the same way every time."""
        return json.dumps({"last": self.last, "done": sorted(self.done)}, separators=(",", ":")).encode("ascii")

    @classmethod
    def of_json(cls, body: bytes) -> "Bookmark":
        """Decode it; what is none says nothing, so the slice is written from its beginning."""
        try:
            fields = json.loads(body)
            return cls(last=str(fields["last"]), done=frozenset(map(str, fields["done"])))
        except (ValueError, KeyError, TypeError):
            return cls()

    def rest_of(self, planned: BatchPlan) -> BatchPlan:
        """Return the plan without the writes that are done."""
        return replace(planned, writes=tuple(write for write in planned.writes if name_of(write) not in self.done))


def name_of(write: Sequence[PlannedObject]) -> str:
    """Return the name of a write: a digest of its keys, in order."""
    keys = "\n".join(planned.key for planned in write)
    return hashlib.blake2b(keys.encode(), digest_size=_NAME_BYTES).hexdigest()


def begun_by(bookmark: Bookmark, cut: Sequence[_Place]) -> int:
    """Return how many of the records of `cut` make the slice that was begun: all of them unless it was shorter."""
    numbers = [record.sequence_number for record in cut]
    return numbers.index(bookmark.last) + 1 if bookmark.last in numbers else len(cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookmarkedWriter:
    """Writes plans of many objects, a part in each delivery if need be."""

    lake: ObjectStore
    puts: Puts
    deadline: Deadline

    def open(self, first: _Place) -> Bookmark:
        """Return the bookmark of the slice that begins with this record, and make one if there is none.

        Made before it is read: a function without the right to list would be refused a missing object.
        """
        key = _key_of(first)

        def read(key: str) -> Bookmark:
            try:
                self.lake.put(key, b"", if_absent=True)
            except PreconditionFailed:
                stored = self.lake.get(key)
                return Bookmark() if stored is None else Bookmark.of_json(stored.body)
            return Bookmark()

        (bookmark,) = self.puts.until(self.deadline)(read, [key])
        return bookmark

    def write(self, planned: BatchPlan, cut: Sequence[_Place], bookmark: Bookmark) -> WrittenPlan:
        """Carry out what `bookmark` leaves of the plan of `cut`; OutOfTime, once it is noted what was written."""
        rest = bookmark.rest_of(planned)
        try:
            written = act(rest, store=self.lake, run=self.puts.until(self.deadline, share=WRITING_SHARE))
        except OutOfTime as error:
            done = frozenset(name_of(rest.writes[place]) for place in error.done)
            if done:
                self._note(cut, Bookmark(cut[-1].sequence_number, done | bookmark.done))
            raise
        if bookmark.done:
            # A replay must find that objects are there, not that they were: somebody may have deleted one.
            self._note(cut, Bookmark())
        return replace(written, plan=planned)

    def _note(self, cut: Sequence[_Place], bookmark: Bookmark) -> None:
        def put(key: str) -> str:
            return self.lake.put(key, bookmark.to_json())

        with suppress(OutOfTime):  # the next delivery finds the bookmark as it was, which is still true
            self.puts.until(self.deadline)(put, [_key_of(cut[0])])


def _key_of(first: _Place) -> str:
    return bookmark_key(stream=first.stream, shard=first.shard, first=int(first.sequence_number))
