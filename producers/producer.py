"""The producer for gateways: takes readings from any thread, and answers for them until the stream has them.

    put ──▶ (spool) ──▶ pending ──▶ sender thread: aggregate by shard, write, retry ──▶ stream

Without a spool, what waits is in memory, bounded, and `put` waits when there is too much of it. With a spool every
reading is on local disk before `put` returns, until the stream has it. While the stream is away readings stay on disk
alone; a later attempt, or the next process with the same spool, sends them. A reading may then be sent twice; its
identity makes it count once.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from producers.absence import PROBE_SECONDS_MIN, Absence
from producers.pending import Pending, count_of, spool_entries, spooled_readings
from producers.reading_of import reading_of
from producers.sender import Sender, Wire
from producers.spool import SPOOL_BYTES_MAX, Spool
from producers.termination import Termination
from producers.writer import WriterCounters
from windrow.aws import DEFAULT_REGION, Place
from windrow.errors import WindrowError
from windrow.kinesis import KinesisStream
from windrow.reading import Reading, Readings

# How long a reading waits at most before it is sent.
LINGER_SECONDS = 1.0
# Back-pressure: about 20 MB.
PENDING_READINGS_MAX = 200_000


class Producer:
    """Sends readings to a Kinesis stream, aggregated by shard. Thread-safe; a context manager.

        from producers import Producer

        with Producer.to_stream("windrow-dev", region="eu-central-1", spool="/var/lib/gateway/spool") as producer:
            for sensor_id, celsius in measure():
                producer.put(sensor_id, celsius)

    Leaving the block sends everything; so does SIGTERM, if the block is in the main thread and the program does not
    handle that signal itself. Without a spool `put`, `flush` and `close` raise WindrowError when the stream keeps
    refusing; what was taken stays in memory, and is sent by a later `flush`.
    """

    def __init__(
        self,
        make_sender: Callable[[], Sender],
        *,
        spool: Spool | None = None,
        linger_seconds: float = LINGER_SECONDS,
        pending_readings_max: int = PENDING_READINGS_MAX,
        probe_seconds_min: float = PROBE_SECONDS_MIN,
    ) -> None:
        """`to_stream` is the usual way. `make_sender` is called when there is something to send."""
        self._make_sender = make_sender
        self._sender: Sender | None = None
        self._spool = spool
        self._linger_seconds = linger_seconds
        self._pending_readings_max = pending_readings_max
        self._changed = threading.Condition()
        self._pending = Pending()
        self._flushes_asked = self._flushes_done = 0
        self._error: WindrowError | None = None
        self._is_closed = False  # nothing is taken any more
        self._is_ended = False  # the sender thread has nothing to do any more, or has failed
        is_away = spool is not None and bool(spool.seal())
        self._absence = Absence(is_away=is_away, probe_seconds_min=probe_seconds_min, now_seconds=time.monotonic())
        self._spooled = 0
        self._termination = Termination()
        self._thread = threading.Thread(target=self._run, name="windrow-producer", daemon=True)
        self._thread.start()

    @classmethod
    def to_stream(
        cls,
        name: str,
        *,
        region: str = DEFAULT_REGION,
        endpoint_url: str | None = None,
        profile: str | None = None,
        wire: Wire | str = Wire.JSON,
        spool: Path | str | None = None,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        linger_seconds: float = LINGER_SECONDS,
        for_kcl: bool = False,
    ) -> Self:
        """A producer to the stream `name`, which is asked when there is something to send, not before.

        Credentials are found as boto3 finds them. endpoint_url: of a stand-in for AWS. spool: a folder for this
        process alone. for_kcl: after a reshard, send again what a KCL consumer would drop.
        """
        stream = KinesisStream.at(Place("producer", endpoint_url, region, profile), name)

        make_sender = partial(Sender.to_stream, stream, wire=Wire(wire), resends_strays=for_kcl)
        kept = None if spool is None else Spool(Path(spool), bytes_max=spool_bytes_max)
        return cls(make_sender, spool=kept, linger_seconds=linger_seconds)

    def put(
        self,
        sensor_id: str,
        temperature_c: float | Decimal,
        *,
        event_time: datetime | int | None = None,
        sequence: int = 0,
    ) -> None:
        """Take one reading; BadReading, a ValueError, for one that could not count.

        event_time: an aware datetime or epoch milliseconds; now, when it is left out. A sensor that measures twice in
        a millisecond must number its readings by `sequence`.
        """
        when = time.time_ns() // 1_000_000 if event_time is None else event_time
        self._take(reading_of(sensor_id, temperature_c, event_time=when, sequence=sequence))

    def put_readings(self, readings: Readings) -> None:
        """Take many readings, as columns."""
        if len(readings):
            self._take(readings)

    def flush(self) -> bool:
        """Wait until the stream has everything put before; False if some of it is on local disk alone instead."""
        with self._changed:
            self._flushes_asked += 1
            ticket = self._flushes_asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._flushes_done >= ticket or self._is_ended)
            self._raise_error()
            return not self._absence.is_away

    def close(self) -> None:
        """Flush, and stop. What the stream did not take is in the spool, or the error is raised."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
        try:
            self.flush()
        finally:
            with self._changed:
                self._is_ended = True
                self._changed.notify_all()
            self._thread.join()
            if self._spool is not None:
                self._spool.close()

    @property
    def counters(self) -> WriterCounters:
        """What was sent, retried, throttled, ambiguous, and put on local disk alone, as of now."""
        sent = WriterCounters() if self._sender is None else self._sender.counters
        return replace(sent, spooled=self._spooled)

    @property
    def is_away(self) -> bool:
        """Whether the stream does not answer, or not yet again, and readings go to local disk alone."""
        return self._absence.is_away

    def __enter__(self) -> Self:
        """From here SIGTERM leaves the block."""
        self._termination.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an exception of the block's own is not hidden by one of closing."""
        try:
            self.close()
        except WindrowError:
            if kind is None:
                raise
        finally:
            self._termination.end()

    def _take(self, readings: Reading | Readings) -> None:
        entries = [] if self._spool is None else list(spool_entries(readings))
        with self._changed:
            self._changed.wait_for(self._takes)
            self._raise_error()
            if self._is_closed or self._is_ended:
                raise WindrowError("the producer is closed")
            for entry in entries:
                self._spool.append(entry)  # type: ignore[union-attr]  # there are entries
            if self._absence.is_away:
                self._spooled += count_of(readings)
                return
            self._pending.add(readings, now_seconds=time.monotonic())
            if self._pending.count == count_of(readings) or self._pending.count >= self._pending_readings_max // 2:
                self._changed.notify_all()

    def _takes(self) -> bool:
        """Whether there is room for a reading, or a reason to stop waiting for it."""
        has_room = self._pending.count < self._pending_readings_max or self._absence.is_away
        return has_room or self._error is not None or self._is_closed or self._is_ended

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            while self._send_once():
                pass
        finally:  # whatever happened, nobody must wait for this thread for ever
            with self._changed:
                self._is_ended = True
                self._changed.notify_all()

    def _send_once(self) -> bool:
        """Wait until there is something to do, and do it; False at the end."""
        with self._changed:
            while not self._is_due():
                self._changed.wait(self._wait_seconds())
            if self._is_ended:
                return False
            ticket, batches, is_away = self._flushes_asked, self._pending.take(), self._absence.is_away
            segments = [] if self._spool is None or is_away else self._spool.seal()
            self._changed.notify_all()
        try:
            if is_away:
                self._resend()
            else:
                self._deliver(batches, segments)
        except WindrowError as error:
            self._failed(error, batches)
        with self._changed:
            self._flushes_done = ticket
            self._changed.notify_all()
        return True

    def _is_due(self) -> bool:
        return self._is_ended or self._flushes_asked > self._flushes_done or self._wait_seconds() == 0.0

    def _wait_seconds(self) -> float | None:
        """Until there is something to do by the clock; None for never."""
        now_seconds = time.monotonic()
        if self._absence.is_away:
            return self._absence.wait_seconds(now_seconds)
        if not self._pending.count:
            return None
        if self._pending.count >= self._pending_readings_max // 2:
            return 0.0
        return max(0.0, self._pending.began_seconds + self._linger_seconds - now_seconds)

    def _deliver(self, batches: list[Readings], segments: list[int]) -> None:
        """Send `batches`, which are emptied as they are taken; `segments` hold all that is not known to be stored."""
        sender = self._ready_sender()
        while batches:
            sender.send(batches.pop(0))
        sender.flush()
        self._remove(segments)

    def _resend(self) -> None:
        """Send what is on local disk, until there is no more of it: then the stream is back."""
        while True:
            with self._changed:
                segments = self._spool.seal() if self._spool is not None else []
                if not segments:
                    self._absence.end()
                    return
            sender = self._ready_sender()
            for segment in segments:
                for readings in spooled_readings(self._spool.entries(segment)):  # type: ignore[union-attr]
                    sender.send(readings)
                sender.flush()
                self._remove([segment])

    def _failed(self, error: WindrowError, batches: list[Readings]) -> None:
        """With a spool, leave everything to it and try again later; without, keep it and tell who puts or flushes."""
        with self._changed:
            if self._spool is None:
                self._pending.put_back(batches)
                self._error = error
                return
            discarded = 0 if self._sender is None else self._sender.discard()
            if not self._absence.is_away:
                self._spooled += discarded + sum(map(len, [*batches, *self._pending.take()]))
            self._absence.go_on(time.monotonic())

    def _ready_sender(self) -> Sender:
        if self._sender is None:
            self._sender = self._make_sender()
        return self._sender

    def _remove(self, segments: list[int]) -> None:
        if self._spool is None:
            return
        with self._changed:
            for segment in segments:
                self._spool.remove(segment)
