"""Kinesis as typed values: shards, records, answers and limits, shared by the producer and the adapter."""

from dataclasses import dataclass

# Limits of PutRecords and of a record: "Quotas and limits", Kinesis Data Streams developer guide.
REQUEST_RECORDS_MAX = 500
REQUEST_BYTES_MAX = 5 * 1024 * 1024
RECORD_BYTES_MAX = 1024 * 1024
HASH_KEY_MAX = 2**128 - 1

THROTTLED = frozenset(
    {
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
    }
)
# Our own code for a refusal that did not come from the stream: nothing answers at its endpoint.
UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard of the stream: the hash keys from `first_hash_key` to `last_hash_key` inclusive.

    `parents` are the shards that were split or merged into this one: none, one or two; they may have expired.
    """

    shard_id: str
    first_hash_key: int
    last_hash_key: int
    parents: tuple[str, ...] = ()
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """What Kinesis says of a stream as a whole. `created_ms`: epoch milliseconds.

    `ignores_keys`: Kinesis chooses the shard of each record by itself, whatever its partition key and explicit hash key
    are (record distribution strategy AUTO, for streams on demand).
    """

    arn: str
    open_shards: int
    retention_hours: int
    created_ms: int
    ignores_keys: bool = False
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecord:
    """A record to be written. `shard_id` is where the writer expects it to go, `readings` how many it carries."""

    partition_key: str
    body: bytes
    explicit_hash_key: str | None = None
    shard_id: str = ""
    readings: int = 1

    @property
    def size_bytes(self) -> int:
        """The bytes that count against the limits: the body and the partition key."""
        return len(self.body) + len(self.partition_key.encode())


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to a record that the stream took."""

    shard_id: str
    sequence_number: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a record that the stream did not take; another try may succeed."""

    code: str
    message: str

    @property
    def is_throttled(self) -> bool:
        """Whether the shard or the account is over its rate, so that only slowing down helps."""
        return self.code in THROTTLED


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer per record of a request, in order. `repeats`: how often the client itself sent the request again."""

    entries: tuple[Stored | Refused, ...]
    repeats: int = 0


class Unanswered(Exception):  # noqa: N818 - what happened to the request, not an error of the caller
    """The request may or may not have been stored: there was no answer, or one that does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecord:
    """A record read from the stream. `arrival_ms`: when the stream took it, in epoch milliseconds."""

    shard_id: str
    sequence_number: str
    partition_key: str
    arrival_ms: int
    body: bytes
