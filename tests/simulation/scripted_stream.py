"""A stream in memory whose failures are scripted; implements producers.writer.RecordStream.

After the Kinesis API reference, PutRecords: a record goes to the open shard whose range holds the explicit hash key or,
without one, the MD5 of the partition key; a request has from 1 to 500 records and at most 5 MiB, a record 1 MiB, all
with their partition keys; and the order of records in the stream need not be that of the request.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from windrow.aws.stream import HASH_KEY_MAX, Answers, OutgoingRecord, Refused, Shard, Stored, Unanswered

# Spelled here once more: a model that took the product's numbers would follow each of its mistakes.
RECORDS_MAX = 500
BYTES_MAX = 5 * 1024 * 1024
RECORD_BYTES_MAX = 1024 * 1024
PARTITION_KEY_CHARACTERS_MAX = 256


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


class InvalidRequest(AssertionError):  # noqa: N818 - what PutRecords answers
    """Kinesis would answer ValidationException or InvalidArgumentException: whoever sends this has a bug."""


class ScriptedStream:
    """Takes every record but those that the script refuses, the last of a request first.

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
        """One request; raises InvalidRequest for one that is beyond Kinesis's limits."""
        check_request(records)
        number = len(self.requests)
        self.requests.append(list(records))
        if number in self._unanswered:
            if self._unanswered[number]:
                for record in reversed(records):
                    self._store(record)
            raise Unanswered("read timeout")
        backwards = [self._answer(number, at, records[at]) for at in reversed(range(len(records)))]
        return Answers(tuple(reversed(backwards)))

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


def check_request(records: Sequence[OutgoingRecord]) -> None:
    """Raise InvalidRequest for what PutRecords does not take."""
    sizes = [len(record.body) + len(record.partition_key.encode()) for record in records]
    if not 1 <= len(records) <= RECORDS_MAX:
        raise InvalidRequest(f"a request of {len(records)} records")
    if sum(sizes) > BYTES_MAX:
        raise InvalidRequest(f"a request of {sum(sizes)} bytes")
    if max(sizes) > RECORD_BYTES_MAX:
        raise InvalidRequest(f"a record of {max(sizes)} bytes")
    if not all(1 <= len(record.partition_key) <= PARTITION_KEY_CHARACTERS_MAX for record in records):
        raise InvalidRequest("a partition key of no length, or too long")


def hash_key_of(record: OutgoingRecord) -> int:
    """The hash key that decides the shard of `record`."""
    if record.explicit_hash_key is not None:
        return int(record.explicit_hash_key)
    return int(hashlib.md5(record.partition_key.encode(), usedforsecurity=False).hexdigest(), 16)
