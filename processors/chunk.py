"""Chunks: the records of an event, cut so that each chunk fits into one synchronous invocation."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from processors.event import (
    EVENT_HEAD,
    EVENT_TAIL,
    RECORD_SEPARATOR,
    encode_raw_record,
    join_records,
    raw_records,
    sequence_number_of,
)

INVOKE_PAYLOAD_BYTES_MAX = 6_000_000
"""Lambda: "Invocation payload (request and response): 6 MB each for request and response (synchronous)".

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; taken as decimal megabytes, to be safe.
"""
EVENT_RECORDS_MAX = 10_000
"""The most records that Lambda's Kinesis mapping puts into one event."""

_ENVELOPE_BYTES = len(EVENT_HEAD) + len(EVENT_TAIL) - len(RECORD_SEPARATOR)


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """One record of an event as JSON, with its sequence number."""

    sequence_number: str
    encoded: bytes

    @property
    def size_bytes(self) -> int:
        """The bytes the record takes within an event, its separator included."""
        return len(self.encoded) + len(RECORD_SEPARATOR)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one shard, at least one."""

    records: tuple[EncodedRecord, ...]

    def event(self) -> bytes:
        """The event that holds exactly these records."""
        return join_records(record.encoded for record in self.records)

    @property
    def size_bytes(self) -> int:
        """The length of `event()`."""
        return _ENVELOPE_BYTES + sum(record.size_bytes for record in self.records)

    @property
    def first(self) -> str:
        """The sequence number of the first record."""
        return self.records[0].sequence_number

    @property
    def last(self) -> str:
        """The sequence number of the last record."""
        return self.records[-1].sequence_number

    def lowest_of(self, sequence_numbers: Iterable[str]) -> str:
        """Return the number of the first record that is among `sequence_numbers`, or of the chunk's first record.

        The latter if one of the numbers is not in the chunk: a function that reports a record it was not given cannot
        be trusted about the others.
        """
        reported = set(sequence_numbers)
        ours = [record.sequence_number for record in self.records]
        if not reported <= set(ours):
            return self.first
        return next(number for number in ours if number in reported)


def encoded_records(event: object) -> list[EncodedRecord]:
    """Return the records of a parsed event, undecoded; NotAKinesisEvent if it has no list of them."""
    return [EncodedRecord(sequence_number_of(raw), encode_raw_record(raw)) for raw in raw_records(event)]


def fill(
    records: Iterable[EncodedRecord],
    *,
    bytes_max: int = INVOKE_PAYLOAD_BYTES_MAX,
    records_max: int = EVENT_RECORDS_MAX,
) -> Iterator[Chunk]:
    """Cut `records` into chunks, in order, each as full as the limits allow.

    A record that is longer than `bytes_max` is a chunk of its own, which Lambda refuses.
    """
    chunk: list[EncodedRecord] = []
    size_bytes = _ENVELOPE_BYTES
    for record in records:
        if chunk and (size_bytes + record.size_bytes > bytes_max or len(chunk) == records_max):
            yield Chunk(tuple(chunk))
            chunk, size_bytes = [], _ENVELOPE_BYTES
        chunk.append(record)
        size_bytes += record.size_bytes
    if chunk:
        yield Chunk(tuple(chunk))


def balance(
    records: Sequence[EncodedRecord], *, bytes_target: int, bytes_max: int = INVOKE_PAYLOAD_BYTES_MAX
) -> list[Chunk]:
    """Cut `records` into chunks, in order, as equal in bytes as record boundaries allow; `bytes_target` sets how many.

    A record belongs to the share that its middle byte lies in, so a chunk exceeds an equal share by at most one
    record. A chunk of more than `bytes_max` is cut again.
    """
    bytes_total = sum(record.size_bytes for record in records)
    count = max(1, -(-bytes_total // bytes_target))
    shares: list[list[EncodedRecord]] = [[] for _ in range(count)]
    before = 0
    for record in records:
        middle = before + record.size_bytes // 2
        shares[middle * count // bytes_total].append(record)
        before += record.size_bytes
    return [chunk for share in shares for chunk in fill(share, bytes_max=bytes_max)]
