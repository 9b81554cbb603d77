"""The records that wait for one shard, and how fast they may go: token buckets, and pauses after failures."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from windrow.aws.stream import OutgoingRecord

BACKOFF_BASE_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The bytes and records that a shard accepts per second; bytes include partition keys."""

    bytes_per_second: float
    records_per_second: float


# "Quotas and limits", Kinesis Data Streams developer guide; in decimal megabytes, the smaller reading.
SHARD_RATE_LIMIT = RateLimit(bytes_per_second=1_000_000, records_per_second=1_000)


# One wait for a bucket lets in at least this much; shorter waits would make tiny requests.
_FILL_SECONDS = 0.02


class TokenBucket:
    """A level that rises at a constant rate up to one second's worth; taking from it may push it below 0."""

    def __init__(self, per_second: float, *, now_seconds: float) -> None:
        """Start with a full bucket."""
        self._per_second = per_second
        self._level = per_second
        self._at_seconds = now_seconds

    def level(self, now_seconds: float) -> float:
        """Return the level; 0 or less while the bucket is overdrawn."""
        self._level = min(self._per_second, self._level + (now_seconds - self._at_seconds) * self._per_second)
        self._at_seconds = now_seconds
        return self._level

    def ready_seconds(self, now_seconds: float) -> float:
        """Return in how many seconds something may be taken; 0 for now."""
        level = self.level(now_seconds)
        return 0.0 if level > 0 else -level / self._per_second + _FILL_SECONDS

    def take(self, amount: float) -> None:
        """Lower the level by `amount`, whatever it is."""
        self._level -= amount


class ShardQueue:
    """The records that wait for one shard, in order, and when the next may go."""

    def __init__(self, rate_limit: RateLimit | None, *, now_seconds: float) -> None:
        """Start an empty queue; without a rate limit only failures make it pause."""
        self.waiting: deque[OutgoingRecord] = deque()
        self.attempts_in_vain = 0
        """Consecutive requests that stored nothing of this shard."""
        self._resumes_seconds = now_seconds
        rates = () if rate_limit is None else (rate_limit.bytes_per_second, rate_limit.records_per_second)
        self._buckets = [TokenBucket(rate, now_seconds=now_seconds) for rate in rates]

    def ready_seconds(self, now_seconds: float) -> float:
        """Return in how many seconds the next record may go; 0 for now."""
        waits = [bucket.ready_seconds(now_seconds) for bucket in self._buckets]
        return max(0.0, self._resumes_seconds - now_seconds, *waits)

    def allowed(self, now_seconds: float) -> Iterator[OutgoingRecord]:
        """Yield the records that may go now, in order, without taking them."""
        if self._resumes_seconds > now_seconds:
            return
        levels = [bucket.level(now_seconds) for bucket in self._buckets]
        for record in self.waiting:
            if any(level <= 0 for level in levels):
                return
            yield record
            levels = [level - amount for level, amount in zip(levels, (record.size_bytes, 1), strict=False)]

    def take(self, count: int) -> list[OutgoingRecord]:
        """Remove and return the next `count` records."""
        records = [self.waiting.popleft() for _ in range(count)]
        for bucket, amount in zip(self._buckets, (sum(one.size_bytes for one in records), count), strict=False):
            bucket.take(amount)
        return records

    def give_back(self, records: list[OutgoingRecord]) -> None:
        """Put records that are not known to be stored back at the front."""
        self.waiting.extendleft(reversed(records))

    def answered(self, records: list[OutgoingRecord], unsent: list[OutgoingRecord]) -> None:
        """Put the unsent ones of `records` back at the front, and count the attempt if none was stored."""
        self.give_back(unsent)
        self.attempts_in_vain = self.attempts_in_vain + 1 if len(unsent) == len(records) else 0

    def pause(self, now_seconds: float, *, uniform: float) -> None:
        """Wait for a random part (`uniform`, 0 to 1: full jitter) of a ceiling that doubles while nothing is stored."""
        ceiling_seconds = min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2**self.attempts_in_vain)
        self._resumes_seconds = now_seconds + uniform * ceiling_seconds
