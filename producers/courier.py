"""Readings on their way from `put` to the stream, kept in memory or on local disk until the stream has them.

    state      put goes to          a pass sends
    present    pending, and spool   what is pending; then removes the spool's segments with the same readings
    away       spool only           the spool, segment by segment; then, present again, what was put meanwhile
    away       pending (no spool)   what the sender still has, then what is pending; then present again

A segment is removed if and only if the stream has acknowledged all of it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from producers.outage import Outage
from producers.pending import Pending, count_of, joined, readings_of, spool_entries
from producers.spool import Spool
from producers.writer import WriterCounters
from windrow.errors import PermanentError, WindrowError
from windrow.reading import BadReading, Reading, Readings

# The name that docs/producing.md tells users to watch.
_logger = logging.getLogger("windrow.producers")


class Transport(Protocol):
    """What sends readings: `producers.sender.Sender` to a stream, `producers.uploader.Uploader` as objects."""

    @property
    def counters(self) -> WriterCounters:
        """The counts of what was sent."""
        ...

    def send(self, readings: Readings) -> None:
        """Take readings, and perhaps send some; WindrowError if the other side refuses."""
        ...

    def flush(self) -> None:
        """Send everything ever taken; WindrowError if the other side refuses."""
        ...

    def discard(self) -> int:
        """Forget what is not known to have arrived; return how many readings that is."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Shipment:
    """What one pass sends: `batches`, or the spool if the stream was away when the pass began.

    segments: the sealed segments of the spool that hold the readings of `batches` and nothing else. `batches` is
    emptied as the sender takes them.
    """

    batches: list[Readings]
    segments: list[int]
    is_away: bool


class Courier:
    """Keeps readings until the stream has them. "Under the lock": call it while holding `lock`, which is reentrant.

    make_sender: called when there is something to send, until it succeeds.
    """

    def __init__(
        self,
        make_sender: Callable[[], Transport],
        *,
        spool: Spool | None,
        lock: AbstractContextManager[object],
        linger_seconds: float,
        pending_readings_max: int,
        probe_seconds_min: float,
    ) -> None:
        """Start as if the stream were away if the spool is not empty: what is in it is sent before anything new."""
        self.spool = spool
        self.last_error: WindrowError | None = None
        self._make_sender = make_sender
        self._sender: Transport | None = None
        self._lock = lock
        self._linger_seconds = linger_seconds
        self._pending_readings_max = pending_readings_max
        self._pending = Pending()
        self._spooled = 0
        self._is_warned = False
        is_left = spool is not None and bool(spool.seal())
        self._outage = Outage(is_away=is_left, probe_seconds_min=probe_seconds_min, now_seconds=time.monotonic())

    @property
    def is_away(self) -> bool:
        """Return whether the last attempt failed, or the spool may still hold readings to send."""
        return self._outage.is_away

    @property
    def has_lost(self) -> bool:
        """Return whether the spool lost an accepted entry to damage, so that the stream will never have it."""
        return self.spool is not None and self.spool.lost > 0

    @property
    def counters(self) -> WriterCounters:
        """Return the counters of the sender and the spool, as of now."""
        sent = WriterCounters() if self._sender is None else self._sender.counters
        return replace(sent, spooled=self._spooled, damaged=self.spool.damaged if self.spool is not None else 0)

    @property
    def has_room(self) -> bool:
        """Return whether another `take` stays within the bound on memory. Under the lock."""
        is_on_disk_alone = self.spool is not None and self.is_away
        return is_on_disk_alone or self._pending.count < self._pending_readings_max

    def take(self, readings: Reading | Readings, entries: list[bytes]) -> bool:
        """Keep readings; `entries` are the same readings for the spool. Return whether a pass may now be due earlier.

        WindrowError if the spool cannot keep them; then they are not taken. Under the lock.
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
        """Encode `readings` for the spool; no entries without a spool."""
        return [] if self.spool is None else list(spool_entries(readings))

    def wait_seconds(self) -> float | None:
        """Return the time until a pass is due by the clock; None for never. Under the lock."""
        now_seconds = time.monotonic()
        if self.is_away:
            return self._outage.wait_seconds(now_seconds)
        if not self._pending.count:
            return None
        if self._is_half_full:
            return 0.0
        return max(0.0, self._pending.began_seconds + self._linger_seconds - now_seconds)

    def next_shipment(self) -> Shipment:
        """Return what the next pass is to send. Under the lock, so segments and batches hold the same readings."""
        if self.spool is not None and self.is_away:
            return Shipment([], [], is_away=True)
        segments = [] if self.spool is None else self.spool.seal()
        return Shipment(self._pending.take(), segments, is_away=self.is_away)

    def send(self, shipment: Shipment) -> WindrowError | None:
        """Send a shipment; return the error if the stream did not take all of it. Without the lock."""
        try:
            if self.spool is not None and shipment.is_away:
                self._resend(self.spool)
            else:
                self._deliver(shipment)
        except WindrowError as error:
            self._failed(error, shipment)
            return error
        self._succeeded()
        return None

    def contact(self) -> None:
        """Ask the stream for its shards. Raises PermanentError; any other WindrowError starts an outage."""
        try:
            self._ready_sender()
        except PermanentError:
            raise
        except WindrowError as error:
            self._failed(error, Shipment([], [], is_away=True))

    def _deliver(self, shipment: Shipment) -> None:
        sender = self._ready_sender()
        if shipment.is_away:  # first what the sender still has: otherwise it would hold more with every pass
            sender.flush()
        while shipment.batches:
            sender.send(shipment.batches.pop(0))
        sender.flush()
        self._remove(shipment.segments)
        with self._lock:
            self._outage.end()

    def _resend(self, spool: Spool) -> None:
        """Send what the spool holds now; then end the outage, and send what was put meanwhile."""
        with self._lock:
            segments = spool.seal()
        self._send_segments(spool, segments)
        with self._lock:  # whatever is put from here on is pending too
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
        """Yield the readings of a segment. An intact entry that is not a reading is refused, and stays on disk."""
        for entry in spool.entries(segment):
            try:
                readings, refused = readings_of(entry)
            except BadReading as error:
                spool.refuse(segment, str(error))
                continue
            if refused:
                spool.refuse(segment, f"{refused} readings of a block are outside the limits of a reading")
            yield readings

    def _failed(self, error: WindrowError, shipment: Shipment) -> None:
        """Schedule another attempt; leave everything to the spool or, without one, take back unsent batches."""
        with self._lock:
            if self.spool is None:
                self._pending.put_back(shipment.batches)
            else:
                discarded = 0 if self._sender is None else self._sender.discard()
                self._spooled += sum(map(len, self._pending.take()))
                if not shipment.is_away:
                    self._spooled += discarded + sum(map(len, shipment.batches))
            self._outage.record_failure(time.monotonic())
            self.last_error = error
            is_first, self._is_warned = not self._is_warned, True
        if is_first:
            where = "in memory" if self.spool is None else "in the spool"
            _logger.warning("the stream is away, readings wait %s: %s", where, error)

    def _succeeded(self) -> None:
        self.last_error = None
        was_warned, self._is_warned = self._is_warned, False
        if was_warned:
            _logger.warning("the stream is back, it takes readings again")

    def _ready_sender(self) -> Transport:
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
