"""The producer for gateways: takes readings from any thread, and answers for them until the stream has them.

    put ──▶ (spool) ──▶ pending ──▶ sender thread: aggregate by shard, write, retry ──▶ stream

Without a spool, what waits is in memory, bounded, and `put` waits when there is too much of it. With a spool every
reading is on local disk before `put` returns, until the stream has it. While the stream is away readings stay on disk
alone; a later attempt, or the next process with the same spool, sends them. A reading may then be sent twice; its
identity makes it count once.

The sender thread works in passes. A pass takes all that is pending and every `flush` that was asked for before it
began; when it ends, each of those flushes learns whether all of it is in the stream.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from producers.courier import Courier
from producers.outage import PROBE_SECONDS_MIN
from producers.reading_of import checked, reading_of
from producers.sender import Sender, Wire
from producers.spool import SPOOL_BYTES_MAX, Spool
from producers.termination import Termination, closed_at_exit
from producers.writer import WriterCounters
from windrow.aws.clients import DEFAULT_REGION, Place
from windrow.aws.kinesis import KinesisStream
from windrow.errors import PermanentError, WindrowError
from windrow.reading import Reading, Readings

# How long a reading waits at most before it is sent.
LINGER_SECONDS = 1.0
# Back-pressure: about 20 MB.
PENDING_READINGS_MAX = 200_000

_logger = logging.getLogger("windrow.producers")


@dataclass(slots=True, eq=False)
class _Flush:
    """A call of `flush` that waits for the pass that serves it."""

    is_done: bool = False
    is_complete: bool = False
    error: WindrowError | None = None


class Producer:
    """Sends readings to a Kinesis stream, aggregated by shard. Thread-safe; a context manager.

        from windrow import Producer

        with Producer.to_stream("windrow-dev", region="eu-central-1", spool="/var/lib/gateway/spool") as producer:
            for sensor_id, celsius in measure():
                producer.put(sensor_id, celsius)

    Leaving the block sends everything; so does SIGTERM, if the block is in the main thread and the program does not
    handle that signal itself; so does the end of a program that never closes its producer. Without a spool `put`,
    `flush` and `close` raise WindrowError when the stream keeps refusing; what was taken stays in memory and is tried
    again. A producer belongs to the process that made it: after a fork it raises WindrowError in the child.

    The logger `windrow.producers` tells once when the stream goes away, and why, and once when it is back.
    """

    def __init__(
        self,
        make_sender: Callable[[], Sender],
        *,
        spool: Spool | None = None,
        linger_seconds: float = LINGER_SECONDS,
        pending_readings_max: int = PENDING_READINGS_MAX,
        probe_seconds_min: float = PROBE_SECONDS_MIN,
        contacts_stream: bool = False,
    ) -> None:
        """`to_stream` is the usual way. `make_sender` is called when there is something to send.

        contacts_stream: call it now, and let PermanentError out: then nothing is begun, and the spool is closed.
        """
        self._process_id = os.getpid()
        self._changed = threading.Condition()
        self._courier = Courier(
            make_sender,
            spool=spool,
            lock=self._changed,
            linger_seconds=linger_seconds,
            pending_readings_max=pending_readings_max,
            probe_seconds_min=probe_seconds_min,
        )
        self._spool = spool
        self._flushes: list[_Flush] = []
        self._error: WindrowError | None = None  # what a failed pass has to tell the next put
        self._failure: BaseException | None = None  # what ended the sender thread
        self._close_error: WindrowError | None = None
        self._is_closed = False  # nothing is taken any more
        self._is_ended = False  # the sender thread is to end, or has failed
        self._termination = Termination()
        if contacts_stream:
            self._contact()
        self._thread = threading.Thread(target=self._run, name="windrow-producer", daemon=True)
        self._thread.start()
        self._forget_at_exit = closed_at_exit(self)

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
        spool_is_synced: bool = False,
        linger_seconds: float = LINGER_SECONDS,
        for_kcl: bool = False,
        contacts_stream: bool = True,
    ) -> Self:
        """A producer to the stream `name`, which is asked for its shards at once.

        PermanentError when no later try can succeed: no credentials, no right to write, no such stream in the region.
        When merely nothing answers the producer starts all the same, as one whose stream is away.

        Credentials are found as boto3 finds them. endpoint_url: of a stand-in for AWS. spool: a folder for this
        process alone; spool_is_synced: every `put` waits until the disk itself has the reading, so that it survives
        a loss of power. for_kcl: after a reshard, send again what a KCL consumer would drop. contacts_stream: False
        to start without asking; such a cause is then logged, and is in `last_error`, and readings wait.
        """
        stream = KinesisStream.at(Place("producer", endpoint_url, region, profile), name)
        make_sender = partial(Sender.to_stream, stream, wire=Wire(wire), resends_strays=for_kcl)
        kept = None
        if spool is not None:
            kept = Spool(Path(spool), bytes_max=spool_bytes_max, is_synced=spool_is_synced)
        return cls(make_sender, spool=kept, linger_seconds=linger_seconds, contacts_stream=contacts_stream)

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
        """Take many readings, as columns; BadReading names the first row that could not count, and none is taken."""
        own = checked(readings)
        if len(own):
            self._take(own)

    def flush(self) -> bool:
        """Wait until everything put before is in the stream: True.

        False if some of it is on local disk alone instead, or if this process has found damage in its spool, so that
        something that was put may never arrive (`counters.damaged`). Without a spool, WindrowError.
        """
        self._refuse_fork()
        flush = _Flush()
        with self._changed:
            if self._is_ended:
                self._raise_failure()
                raise WindrowError("the producer is closed")
            self._flushes.append(flush)
            self._changed.notify_all()
            self._changed.wait_for(lambda: flush.is_done)
            self._raise_failure()
        if flush.error is not None:
            raise flush.error
        return flush.is_complete

    def close(self) -> None:
        """Flush, and stop. What the stream did not take is in the spool, or the error is raised, by later calls too."""
        self._refuse_fork()
        with self._changed:
            is_first, self._is_closed = not self._is_closed, True
        if is_first:
            self._close()
        self._thread.join()
        if self._close_error is not None:
            raise self._close_error

    @property
    def counters(self) -> WriterCounters:
        """What was sent, retried, throttled, ambiguous, put on local disk alone, and damaged there, as of now."""
        return self._courier.counters

    @property
    def is_away(self) -> bool:
        """Whether the stream does not answer, or not yet again; with a spool readings then go to local disk alone."""
        return self._courier.is_away

    @property
    def is_of_this_process(self) -> bool:
        """Whether no fork lies between the making of the producer and this process."""
        return os.getpid() == self._process_id

    @property
    def last_error(self) -> WindrowError | None:
        """Why the last attempt to send did not succeed; None if it did, or if there was none."""
        return self._courier.last_error

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

    # ---- on the threads of whoever puts ------------------------------------------------------------------------------

    def _take(self, readings: Reading | Readings) -> None:
        self._refuse_fork()
        entries = self._courier.entries(readings)
        with self._changed:
            self._changed.wait_for(self._stops_waiting)
            self._raise_failure()
            error, self._error = self._error, None
            if error is not None:
                raise error
            if self._is_closed:
                raise WindrowError("the producer is closed")
            if self._courier.take(readings, entries):
                self._changed.notify_all()

    def _stops_waiting(self) -> bool:
        """Whether there is room for a reading, or a reason not to wait for it."""
        return self._courier.has_room or self._error is not None or self._is_closed or self._is_ended

    def _raise_failure(self) -> None:
        """Tell, again and again, that the sender thread has ended by an error: nothing is sent any more."""
        if self._failure is not None:
            why = f"the producer has ended by an error: {type(self._failure).__name__}: {self._failure}"
            hint = "what was put is in the spool" if self._spool is not None else "what was not flushed is lost"
            raise WindrowError(why, hint=hint) from self._failure

    def _refuse_fork(self) -> None:
        """Before any lock is asked for: in a child it may be held by a thread that does not exist there."""
        if not self.is_of_this_process:
            message = f"the producer belongs to process {self._process_id}, which was forked: this is its child"
            raise WindrowError(message, hint="make a producer, with a spool of its own, after the fork")

    def _close(self) -> None:
        self._close_error = WindrowError("the producer was interrupted while it closed: not everything may be sent")
        try:
            self.flush()
            self._close_error = None
        except WindrowError as error:
            self._close_error = error
        finally:
            with self._changed:
                self._is_ended = True
                self._changed.notify_all()
            self._thread.join()
            self._forget_at_exit()
            if self._spool is not None:
                self._spool.close()

    def _contact(self) -> None:
        try:
            self._courier.contact()
        except PermanentError:
            if self._spool is not None:
                self._spool.close()
            raise

    # ---- on the sender thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._pass():
                pass
        except BaseException as error:  # whatever it is, everybody who puts or flushes must learn of it
            self._failure = error
            _logger.critical("the producer has ended by an error: nothing is sent any more", exc_info=error)
        with self._changed:  # nobody must wait for this thread for ever
            self._is_ended = True
            for flush in self._flushes:
                flush.is_done = True
            self._changed.notify_all()

    def _pass(self) -> bool:
        """Wait until there is something to do, and do it; False at the end."""
        with self._changed:
            while not self._is_due():
                self._changed.wait(self._courier.wait_seconds())
            if self._is_ended and not self._flushes:
                return False
            flushes = list(self._flushes)
            load = self._courier.load()
            self._changed.notify_all()  # there is room again
        error = self._courier.send(load)
        with self._changed:
            self._answer(flushes, error)
            self._changed.notify_all()
        return True

    def _is_due(self) -> bool:
        return self._is_ended or bool(self._flushes) or self._courier.wait_seconds() == 0.0

    def _answer(self, flushes: list[_Flush], error: WindrowError | None) -> None:
        """Tell those who flushed before the pass began how it ended; without a spool, or else the next who puts."""
        told = error if self._spool is None else None
        for flush in flushes:
            flush.error = told
            flush.is_complete = error is None and not self._courier.has_lost
            flush.is_done = True
            self._flushes.remove(flush)
        self._error = None if flushes else told
