"""What waits between `put` and the stream, in memory or on local disk, and how it gets there.

    state      put goes to          a pass sends
    present    pending, and spool   what is pending; then the spool's segments of the same readings are removed
    away       spool alone          the spool, segment by segment; then, present again, what came to it meanwhile
    away       pending (no spool)   what the sender still has, then what is pending: present

A segment is removed when, and only when, the stream has acknowledged all of it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from producers.outage import Outage
from producers.pending import Pending, count_of, joined, readings_of, spool_entries
from producers.sender import Sender
from producers.spool import Spool
from producers.writer import WriterCounters
from windrow.errors import PermanentError, WindrowError
from windrow.reading import BadReading, Reading, Readings

# Named after what its user imports.
_logger = logging.getLogger("windrow.producers")


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What one pass sends: `batches`, or, if the stream was away as it began, what is in the spool.

    segments: the sealed segments of the spool, which hold the readings of `batches` and nothing else. `batches` is
    emptied as the sender takes them.
    """

    batches: list[Readings]
    segments: list[int]
    is_away: bool


class Courier:
    """Keeps readings until the stream has them. Methods that say so are called while `lock` is held; it is reentrant.

    make_sender: called when there is something to send, again and again until it succeeds.
    """

    def __init__(
        self,
        make_sender: Callable[[], Sender],
        *,
        spool: Spool | None,
        lock: AbstractContextManager[object],
        linger_seconds: float,
        pending_readings_max: int,
        probe_seconds_min: float,
    ) -> None:
        """What an earlier process left in the spool makes the stream away: it is sent before anything new."""
        self.spool = spool
        self.last_error: WindrowError | None = None
        self._make_sender = make_sender
        self._sender: Sender | None = None
        self._lock = lock
        self._linger_seconds = linger_seconds
        self._pending_readings_max = pending_readings_max
        self._pending = Pending()
        self._spooled = 0
        self._is_told_away = False
        is_left = spool is not None and bool(spool.seal())
        self._outage = Outage(is_away=is_left, probe_seconds_min=probe_seconds_min, now_seconds=time.monotonic())

    @property
    def is_away(self) -> bool:
        """Whether the last attempt failed, or the spool is not known to be empty."""
        return self._outage.is_away

    @property
    def has_lost(self) -> bool:
        """Whether the spool had something that was accepted and could not be read: the stream will never have it."""
        return self.spool is not None and self.spool.lost > 0

    @property
    def counters(self) -> WriterCounters:
        """What was sent, and what was left to the spool, as of now."""
        sent = WriterCounters() if self._sender is None else self._sender.counters
        return replace(sent, spooled=self._spooled, damaged=self.spool.damaged if self.spool is not None else 0)

    @property
    def has_room(self) -> bool:
        """Whether `take` is within the bound of memory. Under the lock."""
        is_on_disk_alone = self.spool is not None and self.is_away
        return is_on_disk_alone or self._pending.count < self._pending_readings_max

    def take(self, readings: Reading | Readings, entries: list[bytes]) -> bool:
        """Keep readings, of which `entries` is the form in the spool; whether a pass may be due earlier by it.

        WindrowError when the spool cannot keep them; then they are not taken. Under the lock.
        """
        count = count_of(readings)
        if self.spool is not None:
            for entry in entries:
                self.spool.append(entry)
            if self.is_away:
                self._spooled += count
                return False
        self._pending.add(readings, now_seconds=time.monotonic())
        return self._pending.count == count or self._is_half_full

    def entries(self, readings: Reading | Readings) -> list[bytes]:
        """What the spool is to keep of `readings`; nothing without a spool."""
        return [] if self.spool is None else list(spool_entries(readings))

    def wait_seconds(self) -> float | None:
        """Until there is something to do by the clock; None for never. Under the lock."""
        now_seconds = time.monotonic()
        if self.is_away:
            return self._outage.wait_seconds(now_seconds)
        if not self._pending.count:
            return None
        if self._is_half_full:
            return 0.0
        return max(0.0, self._pending.began_seconds + self._linger_seconds - now_seconds)

    def load(self) -> Load:
        """What the next pass is to send. Under the lock, so that segments and batches hold the same readings."""
        if self.spool is not None and self.is_away:
            return Load([], [], is_away=True)
        segments = [] if self.spool is None else self.spool.seal()
        return Load(self._pending.take(), segments, is_away=self.is_away)

    def send(self, load: Load) -> WindrowError | None:
        """Send a load; what kept the stream from having all of it, if anything did. Without the lock."""
        try:
            if self.spool is not None and load.is_away:
                self._resend(self.spool)
            else:
                self._deliver(load)
        except WindrowError as error:
            self._failed(error, load)
            return error
        self._succeeded()
        return None

    def contact(self) -> None:
        """Ask the stream for its shards. Raises PermanentError; of another WindrowError it only takes note."""
        try:
            self._ready_sender()
        except PermanentError:
            raise
        except WindrowError as error:
            self._failed(error, Load([], [], is_away=True))

    def _deliver(self, load: Load) -> None:
        sender = self._ready_sender()
        if load.is_away:  # what it still has comes first, so that it is not given more and more
            sender.flush()
        while load.batches:
            sender.send(load.batches.pop(0))
        sender.flush()
        self._remove(load.segments)
        with self._lock:
            self._outage.end()

    def _resend(self, spool: Spool) -> None:
        """Send what is on local disk as this begins. Then the stream is back: what came meanwhile is sent last."""
        with self._lock:
            segments = spool.seal()
        self._send_segments(spool, segments)
        with self._lock:  # from here on what is put is pending too
            segments = spool.seal()
            self._outage.end()
        self._send_segments(spool, segments)

    def _send_segments(self, spool: Spool, segments: list[int]) -> None:
        sender = self._ready_sender()
        for segment in segments:
            for readings in joined(self._left_in(spool, segment)):
                sender.send(readings)
            sender.flush()
            self._remove([segment])

    def _left_in(self, spool: Spool, segment: int) -> Iterator[Reading | Readings]:
        """The readings of a segment. What is none, though it was kept soundly, stays on disk, and is told."""
        for entry in spool.entries(segment):
            try:
                readings, refused = readings_of(entry)
            except BadReading as error:
                spool.refuse(segment, str(error))
                continue
            if refused:
                spool.refuse(segment, f"{refused} readings of a block are outside the limits of a reading")
            yield readings

    def _failed(self, error: WindrowError, load: Load) -> None:
        """Leave everything to the spool; without one, take back what the sender did not take. Then try again later."""
        with self._lock:
            if self.spool is None:
                self._pending.put_back(load.batches)
            else:
                discarded = 0 if self._sender is None else self._sender.discard()
                self._spooled += sum(map(len, self._pending.take()))
                if not load.is_away:
                    self._spooled += discarded + sum(map(len, load.batches))
            self._outage.record_failure(time.monotonic())
            self.last_error = error
            is_first, self._is_told_away = not self._is_told_away, True
        if is_first:
            where = "in memory" if self.spool is None else "in the spool"
            _logger.warning("the stream takes no readings, they wait %s: %s", where, error)

    def _succeeded(self) -> None:
        self.last_error = None
        was_told, self._is_told_away = self._is_told_away, False
        if was_told:
            _logger.warning("the stream takes readings again")

    def _ready_sender(self) -> Sender:
        if self._sender is None:
            self._sender = self._make_sender()
        return self._sender

    def _remove(self, segments: list[int]) -> None:
        if self.spool is None:
            return
        with self._lock:
            for segment in segments:
                self.spool.remove(segment)

    @property
    def _is_half_full(self) -> bool:
        return self._pending.count >= self._pending_readings_max // 2
