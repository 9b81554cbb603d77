"""Cutting records of an event into chunks that fit into one synchronous invocation."""

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

# Lambda: "Invocation payload (request and response): 6 MB each for request and response (synchronous)".
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; in decimal megabytes, the smaller reading.
INVOKE_PAYLOAD_BYTES_MAX = 6_000_000
# The most records that Lambda's Kinesis mapping puts into one event.
EVENT_RECORDS_MAX = 10_000

_ENVELOPE_BYTES = len(EVENT_HEAD) + len(EVENT_TAIL) - len(RECORD_SEPARATOR)


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """One record of an event as JSON, with the number that names it in its shard."""

    sequence_number: str
    encoded: bytes

    @property
    def size_bytes(self) -> int:
        """What the record takes within an event, its separator included."""
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
        """The first record's number that is among `sequence_numbers`; the chunk's first when one is not ours.

        A function that reports a record it was not given cannot be trusted about the others.
        """
        reported = set(sequence_numbers)
        ours = [record.sequence_number for record in self.records]
        if not reported <= set(ours):
            return self.first
        return next(number for number in ours if number in reported)


def encoded_records(event: object) -> list[EncodedRecord]:
    """The records of a parsed event, as they are; NotAKinesisEvent when it has none."""
    return [EncodedRecord(sequence_number_of(raw), encode_raw_record(raw)) for raw in raw_records(event)]


def fill(
    records: Iterable[EncodedRecord],
    *,
    bytes_max: int = INVOKE_PAYLOAD_BYTES_MAX,
    records_max: int = EVENT_RECORDS_MAX,
) -> Iterator[Chunk]:
    """Chunks in order, each as full as the limits allow.

    A record that is longer than `bytes_max` by itself makes a chunk of its own, which the caller must expect
    to be refused.
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
    """Chunks in order whose bytes are as equal as record boundaries allow: as many as the target asks for.

    A record belongs to the share that its middle byte lies in, so a chunk exceeds an equal share by at most one
    record; where that is more than `bytes_max`, the chunk is cut again.
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
