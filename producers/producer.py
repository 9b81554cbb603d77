"""The producer for gateways: takes readings from any thread, and keeps them until the stream has them.

    put ──▶ (spool) ──▶ pending ──▶ sender thread: aggregate by shard, write, retry ──▶ stream

Without a spool, readings wait in memory, up to a bound at which `put` blocks. With a spool, every reading is on local
disk before `put` returns and until the stream has it. While the stream is away, readings are kept on disk only; a later
attempt, or the next process with the same spool, sends them. A reading may then be sent twice; its identity makes it
count once.

The sender thread works in passes. A pass sends all that is pending and serves every `flush` called before it began:
when it ends, each of these flushes learns whether everything is in the stream.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from producers import blocks
from producers.courier import Courier, Transport
from producers.outage import PROBE_SECONDS_MIN
from producers.reading_of import checked_readings, reading_of
from producers.sender import Sender, Wire
from producers.spool import SPOOL_BYTES_MAX, Spool
from producers.termination import Termination, close_at_exit
from producers.uploader import Uploader
from producers.writer import WriterCounters
from windrow.aws.clients import DEFAULT_REGION, Place
from windrow.aws.kinesis import KinesisStream
from windrow.aws.uploads import UploadClient
from windrow.errors import PermanentError, UsageError, WindrowError
from windrow.installation import refuse_both
from windrow.lake.gateways import foreign_sensor
from windrow.reading import BadReading, Reading, Readings, Reason

# A reading waits at most this long before it is sent.
LINGER_SECONDS = 1.0
# A thousand objects cost a cent, with their receipts; so gateways wait longer for one to fill.
UPLOAD_SECONDS = 300.0
# Back-pressure: about 20 MB.
PENDING_READINGS_MAX = 200_000

_logger = logging.getLogger("windrow.producers")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


@dataclass(slots=True, eq=False)
class _Flush:
    """A call of `flush`, waiting for the pass that serves it."""

    is_done: bool = False
    is_complete: bool = False
    error: WindrowError | None = None


class Producer:
    """A sender of readings to a Kinesis stream, aggregated by shard. Thread-safe; a context manager.

        from windrow import Producer

        with Producer.to_stream("windrow-dev", region="eu-central-1", spool="/var/lib/gateway/spool") as producer:
            for sensor_id, celsius in measure():
                producer.put(sensor_id, celsius)

    Leaving the block sends everything. So does SIGTERM, if the block is in the main thread and the program does not
    handle that signal itself, and so does the end of a program that never closes its producer. Without a spool, `put`,
    `flush` and `close` raise WindrowError when the stream keeps refusing; what was taken stays in memory and is tried
    again. A producer belongs to the process that made it: after a fork it raises WindrowError in the child.

    The logger `windrow.producers` warns once when the stream goes away, with the cause, and once when it is back.
    """

    def __init__(
        self,
        make_sender: Callable[[], Transport],
        *,
        spool: Spool | None = None,
        linger_seconds: float = LINGER_SECONDS,
        pending_readings_max: int = PENDING_READINGS_MAX,
        probe_seconds_min: float = PROBE_SECONDS_MIN,
        contacts_stream: bool = False,
        sensors: Sequence[str] | None = None,
    ) -> None:
        """Start the sender thread. Usually called by `to_stream`.

        make_sender: called when there is something to send. contacts_stream: call it now; if that raises
        PermanentError, no thread is started, and the spool is closed. sensors: prefixes of the only ids that it takes.
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
        self._sensors = sensors
        self._flushes: list[_Flush] = []
        self._error: WindrowError | None = None  # of a failed pass, for the next put to raise
        self._failure: BaseException | None = None  # what ended the sender thread
        self._close_error: WindrowError | None = None
        self._is_closed = False  # no more readings are taken
        self._is_ended = False  # the sender thread is to end, or has ended
        self._termination = Termination()
        if contacts_stream:
            self._contact()
        self._thread = threading.Thread(target=self._run, name="windrow-producer", daemon=True)
        self._thread.start()
        self._forget_at_exit = close_at_exit(self)

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
        """Make a producer to the stream `name`, and ask the stream for its shards.

        Raises PermanentError if no later try can succeed: no credentials, no right to write, no such stream in the
        region, no libraries for this `wire`. If the stream just does not answer, the producer starts all the same, as
        if the stream had gone away.

        Credentials are found as boto3 finds them. endpoint_url: of a stand-in for AWS. spool: a folder that no other
        process uses. spool_is_synced: `put` returns once the disk itself has the reading, so it survives a loss of
        power. for_kcl: after a reshard, send again what a KCL consumer would skip. contacts_stream: False to start
        without asking; a permanent cause is then logged and in `last_error`, and readings wait.
        """
        refuse_both()
        if Wire(wire) is Wire.BLOCKS:
            blocks.require("wire='blocks' cannot be sent")
        stream = KinesisStream.at(Place("producer", endpoint_url, region, profile), name)
        make_sender = partial(Sender.to_stream, stream, wire=Wire(wire), resends_strays=for_kcl)
        kept = _spool_in(spool, bytes_max=spool_bytes_max, is_synced=spool_is_synced)
        return cls(make_sender, spool=kept, linger_seconds=linger_seconds, contacts_stream=contacts_stream)

    @classmethod
    def to_uploads(
        cls,
        bucket: str,
        *,
        name: str,
        region: str = DEFAULT_REGION,
        endpoint_url: str | None = None,
        profile: str | None = None,
        wire: Wire | str = Wire.JSON,
        spool: Path | str | None = None,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        spool_is_synced: bool = False,
        upload_seconds: float = UPLOAD_SECONDS,
    ) -> Self:
        """Make a producer that uploads objects into a stage's uploads bucket, in place of a stream.

        The promises are those of `to_stream`; what is acknowledged is in the bucket. name: of this gateway, a part of
        each key: letters, digits, `_`, `.` and `-`. upload_seconds: a reading waits at most so long to be uploaded; it
        is uploaded sooner if many wait, and by `flush`. Raises PermanentError if blocks cannot be written here. Whether
        the bucket takes objects is seen with the first one: `last_error` and the log have the cause.
        """
        refuse_both()
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name for a gateway", hint="letters, digits, _ . and -, at most 100")
        if Wire(wire) is Wire.BLOCKS:
            blocks.require("wire='blocks' cannot be sent")
        place = Place("producer", endpoint_url, region, profile)

        def make_uploader() -> Uploader:
            return Uploader(UploadClient.at(place, bucket), name=name, wire=Wire(wire))

        kept = _spool_in(spool, bytes_max=spool_bytes_max, is_synced=spool_is_synced)
        return cls(make_uploader, spool=kept, linger_seconds=upload_seconds)

    @classmethod
    def to_uploads_by_token(
        cls,
        credentials: Path | str,
        *,
        wire: Wire | str = Wire.JSON,
        spool: Path | str | None = None,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        spool_is_synced: bool = False,
        upload_seconds: float = UPLOAD_SECONDS,
    ) -> Self:
        """Make a producer that uploads as `to_uploads` does, but over HTTPS and without credentials of AWS.

        credentials: the file with what `windrow gateways add` printed; UsageError for another one. `put` and
        `put_readings` raise BadReading for a sensor that the gateway may not write for. A gateway that was removed is
        seen with the first object: `last_error` and the log have the cause, and readings wait.
        """
        # urllib3 takes 50 ms of CPU to import, for which only this way has a use.
        from windrow.lake.gateway_api import GatewayApi, read_credentials  # noqa: PLC0415

        refuse_both()
        if Wire(wire) is Wire.BLOCKS:
            blocks.require("wire='blocks' cannot be sent")
        own = read_credentials(Path(credentials))

        def make_uploader() -> Uploader:
            return Uploader(GatewayApi(own), name=own.name, wire=Wire(wire))

        kept = _spool_in(spool, bytes_max=spool_bytes_max, is_synced=spool_is_synced)
        return cls(make_uploader, spool=kept, linger_seconds=upload_seconds, sensors=own.sensors)

    def put(
        self,
        sensor_id: str,
        value: float | Decimal,
        *,
        event_time: datetime | int | None = None,
        sequence: int = 0,
        quantity: str = "temperature",
        unit: str | None = None,
    ) -> None:
        """Take one reading. Raises BadReading, a ValueError, for one that could not count.

        value: of a temperature in degrees Celsius; of any other `quantity` in its `unit`, such as "%": always the same
        one, because values in two units are two series. event_time: an aware datetime or epoch milliseconds; default:
        now. A sensor that measures a quantity twice in a millisecond must number its readings by `sequence`.
        """
        when = time.time_ns() // 1_000_000 if event_time is None else event_time
        self._take(reading_of(sensor_id, value, event_time=when, sequence=sequence, quantity=quantity, unit=unit))

    def put_readings(self, readings: Readings) -> None:
        """Take many readings, as columns, or none: BadReading names the first row that could not count."""
        own = checked_readings(readings)
        if len(own):
            self._take(own)

    def flush(self) -> bool:
        """Wait until everything put before is in the stream, and return True.

        Return False if some of it is on local disk only, or if this process has found damage in its spool, so that
        something that was put may never arrive (`counters.damaged`). Without a spool, raise WindrowError instead.
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
        """Flush and stop. What the stream did not take is in the spool; without one the error is raised, each time."""
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
        """Return the counts of what was sent, retried and kept on disk, as of now; see `WriterCounters`."""
        return self._courier.counters

    @property
    def is_away(self) -> bool:
        """Return whether the stream cannot be reached; with a spool, readings then go to local disk only."""
        return self._courier.is_away

    @property
    def is_of_this_process(self) -> bool:
        """Return whether the calling process made the producer; False in a child of a fork."""
        return os.getpid() == self._process_id

    @property
    def last_error(self) -> WindrowError | None:
        """Return why the last attempt to send failed; None if it succeeded or there was none."""
        return self._courier.last_error

    def __enter__(self) -> Self:
        """Make SIGTERM leave the block."""
        self._termination.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an error in closing does not hide an exception of the block."""
        try:
            self.close()
        except WindrowError:
            if kind is None:
                raise
        finally:
            self._termination.end()

    # ---- on the callers' threads -------------------------------------------------------------------------------------

    def _take(self, readings: Reading | Readings) -> None:
        self._refuse_fork()
        self._refuse_foreign(readings)
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

    def _refuse_foreign(self, readings: Reading | Readings) -> None:
        """Raise for a sensor that is not this producer's: the stage would refuse all that is in an object with it."""
        if self._sensors is None:
            return
        if isinstance(readings, Reading):
            foreign = None if readings.sensor_id.startswith(tuple(self._sensors)) else readings.sensor_id
        else:
            foreign = foreign_sensor(readings, self._sensors)
        if foreign is not None:
            allowed = ", ".join(f"{prefix}*" for prefix in self._sensors)
            raise BadReading(Reason.SENSOR_ID, f"{foreign[:200]!r} is none of this gateway's sensors, {allowed}")

    def _stops_waiting(self) -> bool:
        """Return whether there is room for a reading, or a reason not to wait for it."""
        return self._courier.has_room or self._error is not None or self._is_closed or self._is_ended

    def _raise_failure(self) -> None:
        """Raise, at each call, if an error has ended the sender thread: nothing is sent any more."""
        if self._failure is not None:
            why = f"the producer has stopped after an error: {type(self._failure).__name__}: {self._failure}"
            hint = "what was put is in the spool" if self._spool is not None else "what was not flushed is lost"
            raise WindrowError(why, hint=hint) from self._failure

    def _refuse_fork(self) -> None:
        """Raise in a child of a fork, before taking any lock: a thread that is not in the child may hold it."""
        if not self.is_of_this_process:
            message = f"the producer belongs to process {self._process_id}, and this is a forked child of it"
            raise WindrowError(message, hint="make a producer, with a spool of its own, after the fork")

    def _close(self) -> None:
        self._close_error = WindrowError(
            "the producer was interrupted while closing: some readings may not have been sent"
        )
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
        except BaseException as error:  # whatever it is, everyone who puts or flushes must learn of it
            self._failure = error
            _logger.critical("the producer has stopped after an error: nothing is sent any more", exc_info=error)
        with self._changed:  # nobody may wait for this thread for ever
            self._is_ended = True
            for flush in self._flushes:
                flush.is_done = True
            self._changed.notify_all()

    def _pass(self) -> bool:
        """Wait until a pass is due, and run it; False once the thread is to end."""
        with self._changed:
            while not self._is_due():
                self._changed.wait(self._courier.wait_seconds())
            if self._is_ended and not self._flushes:
                return False
            flushes = list(self._flushes)
            shipment = self._courier.next_shipment()
            self._changed.notify_all()  # there is room again
        error = self._courier.send(shipment)
        with self._changed:
            self._answer(flushes, error)
            self._changed.notify_all()
        return True

    def _is_due(self) -> bool:
        return self._is_ended or bool(self._flushes) or self._courier.wait_seconds() == 0.0

    def _answer(self, flushes: list[_Flush], error: WindrowError | None) -> None:
        """Answer the flushes that the pass served; without a spool an error is raised by them, or by the next put."""
        raised = error if self._spool is None else None
        for flush in flushes:
            flush.error = raised
            flush.is_complete = error is None and not self._courier.has_lost
            flush.is_done = True
            self._flushes.remove(flush)
        self._error = None if flushes else raised


def _spool_in(folder: Path | str | None, *, bytes_max: int, is_synced: bool) -> Spool | None:
    return None if folder is None else Spool(Path(folder), bytes_max=bytes_max, is_synced=is_synced)
