"""How fast one shard may be written to: token buckets, and pauses after failures."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from windrow.aws.stream import OutgoingRecord

BACKOFF_BASE_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a shard takes in a second, keys included."""

    bytes_per_second: float
    records_per_second: float


# "Quotas and limits", Kinesis Data Streams developer guide; in decimal megabytes, the smaller reading.
SHARD_PACE = Pace(bytes_per_second=1_000_000, records_per_second=1_000)


# How much one wait for a bucket lets in at least, so that requests do not become tiny.
_FILL_SECONDS = 0.02


class Bucket:
    """Fills at a constant rate up to one second's worth; may be overdrawn by what is taken while it is not empty."""

    def __init__(self, per_second: float, *, now_seconds: float) -> None:
        """A full bucket."""
        self._per_second = per_second
        self._level = per_second
        self._at_seconds = now_seconds

    def level(self, now_seconds: float) -> float:
        """What is in it; not above 0 when it is overdrawn."""
        self._level = min(self._per_second, self._level + (now_seconds - self._at_seconds) * self._per_second)
        self._at_seconds = now_seconds
        return self._level

    def ready_seconds(self, now_seconds: float) -> float:
        """In how many seconds something may be taken; 0 for now."""
        level = self.level(now_seconds)
        return 0.0 if level > 0 else -level / self._per_second + _FILL_SECONDS

    def take(self, amount: float) -> None:
        """Take it, whatever is there."""
        self._level -= amount


class Lane:
    """The records that wait for one shard, in order, and when the next may go."""

    def __init__(self, pace: Pace | None, *, now_seconds: float) -> None:
        """Without a pace only failures make it pause."""
        self.waiting: deque[OutgoingRecord] = deque()
        self.attempts_in_vain = 0
        """Requests in a row that stored nothing of this shard."""
        self._resumes_seconds = now_seconds
        rates = () if pace is None else (pace.bytes_per_second, pace.records_per_second)
        self._buckets = [Bucket(rate, now_seconds=now_seconds) for rate in rates]

    def ready_seconds(self, now_seconds: float) -> float:
        """In how many seconds the next record may go; 0 for now."""
        waits = [bucket.ready_seconds(now_seconds) for bucket in self._buckets]
        return max(0.0, self._resumes_seconds - now_seconds, *waits)

    def allowed(self, now_seconds: float) -> Iterator[OutgoingRecord]:
        """The records that may go now, in their order; they stay here."""
        if self._resumes_seconds > now_seconds:
            return
        levels = [bucket.level(now_seconds) for bucket in self._buckets]
        for record in self.waiting:
            if any(level <= 0 for level in levels):
                return
            yield record
            levels = [level - amount for level, amount in zip(levels, (record.size_bytes, 1), strict=False)]

    def take(self, count: int) -> list[OutgoingRecord]:
        """The next records, which now go."""
        records = [self.waiting.popleft() for _ in range(count)]
        for bucket, amount in zip(self._buckets, (sum(one.size_bytes for one in records), count), strict=False):
            bucket.take(amount)
        return records

    def give_back(self, records: list[OutgoingRecord]) -> None:
        """Let records that went, and are not known to be stored, wait again, before all others."""
        self.waiting.extendleft(reversed(records))

    def answered(self, records: list[OutgoingRecord], unsent: list[OutgoingRecord]) -> None:
        """Of `records`, which went, take back those unsent."""
        self.give_back(unsent)
        self.attempts_in_vain = self.attempts_in_vain + 1 if len(unsent) == len(records) else 0

    def pause(self, now_seconds: float, *, uniform: float) -> None:
        """Full jitter: a part, `uniform` from 0 up to 1, of a ceiling that doubles while nothing is stored."""
        ceiling_seconds = min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2**self.attempts_in_vain)
        self._resumes_seconds = now_seconds + uniform * ceiling_seconds
