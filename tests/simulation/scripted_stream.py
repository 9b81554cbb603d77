"""A stream in memory whose failures are scripted; implements producers.writer.RecordStream.

Routing follows the Kinesis API reference: a record goes to the open shard whose range holds the explicit hash key or,
without one, the MD5 of the partition key.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from windrow.kinesis import HASH_KEY_MAX, Answers, OutgoingRecord, Refused, Shard, Stored, Unanswered


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the stream holds it."""

    shard_id: str
    sequence_number: int
    record: OutgoingRecord


def even_shards(count: int) -> list[Shard]:
    """`count` open shards that share the hash keys evenly, as CreateStream makes them."""
    step = (HASH_KEY_MAX + 1) // count
    firsts = [number * step for number in range(count)]
    lasts = [first - 1 for first in firsts[1:]] + [HASH_KEY_MAX]
    return [
        Shard(shard_id=f"shardId-{number:012}", first_hash_key=first, last_hash_key=last)
        for number, (first, last) in enumerate(zip(firsts, lasts, strict=True))
    ]


class ScriptedStream:
    """Takes every record but those that the script refuses.

    refuse: (request number, position in the request) -> error code, or None to store it; unanswered: request number ->
    whether it is stored although no answer comes. Requests are numbered from 0.
    """

    name = "scripted"

    def __init__(
        self,
        shards: Sequence[Shard] = (),
        *,
        refuse: Callable[[int, int], str | None] = lambda _request, _position: None,
        unanswered: Mapping[int, bool] | None = None,
    ) -> None:
        self.shards = list(shards or even_shards(1))
        self.requests: list[list[OutgoingRecord]] = []
        self.stored: list[StoredRecord] = []
        self._refuse = refuse
        self._unanswered = unanswered or {}

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """One request."""
        number = len(self.requests)
        self.requests.append(list(records))
        if number in self._unanswered:
            if self._unanswered[number]:
                for record in records:
                    self._store(record)
            raise Unanswered("read timeout")
        return Answers(tuple(self._answer(number, position, record) for position, record in enumerate(records)))

    def _answer(self, number: int, position: int, record: OutgoingRecord) -> Stored | Refused:
        code = self._refuse(number, position)
        return self._store(record) if code is None else Refused(code, "by the script")

    def _store(self, record: OutgoingRecord) -> Stored:
        hash_key = hash_key_of(record)
        shard = next(shard for shard in self.shards if shard.first_hash_key <= hash_key <= shard.last_hash_key)
        # From 7 up, so that the order of numbers is soon not that of their digits.
        sequence_number = len(self.stored) + 7
        self.stored.append(StoredRecord(shard.shard_id, sequence_number, record))
        return Stored(shard.shard_id, str(sequence_number))


def hash_key_of(record: OutgoingRecord) -> int:
    """The hash key that decides the shard of `record`."""
    if record.explicit_hash_key is not None:
        return int(record.explicit_hash_key)
    return int(hashlib.md5(record.partition_key.encode(), usedforsecurity=False).hexdigest(), 16)
