"""Redrive: what was quarantined or given up is handed to the consumer once more, each payload as it first arrived.

A payload is delivered with its original stream, shard, sequence number, place and arrival time. So it is judged as it
would have been: it becomes a partial named after its content, or the same row of `quarantine` again. Twice is as good
as once. Nothing is deleted or marked: quarantine and failures stay, as a record of what happened, until they expire.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Protocol

from processors.chunk import EncodedRecord
from processors.event import Record, encode_raw_record, encode_record, sequence_number_of
from processors.invoke import Invoker
from processors.iot_message import SHARD as IOT_SHARD
from processors.iot_message import VERBATIM, decode_iot_message, is_iot_key
from processors.on_failure import FailedBatch, UnreadableFailure, decode_failure, shard_of_key
from processors.replay import ReplayResult, deliver, encode_stream_record
from windrow.aws.stream import StreamRecord
from windrow.lake import quarantine_search
from windrow.lake.layout import QuarantineKey
from windrow.lake.quarantine import QuarantinedPayload
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.lake.store import ObjectStore
from windrow.period import DAY_MS
from windrow.reading import Reason
from windrow.window import Window
from windrow.wire.kpl import OUTER_PARTITION_KEY, UserRecord, aggregate

EXPIRY_MARGIN_MS = DAY_MS
"""Between the last redrive and the expiry of the first partial it could join: S3 expires objects in daily runs."""
# Rows that stand for an uploaded object, and have its name in place of its bytes.
_OF_UPLOADS = frozenset(
    {Reason.UPLOAD_UNREADABLE, Reason.UPLOAD_TOO_LARGE, Reason.UPLOAD_FOREIGN, Reason.UPLOAD_PAYLOADS}
)
_NAMES_UPLOAD = "it names an uploaded object: upload that again, as a new one"
_EXPIRED = "so old that partials of its windows may have expired"
# Arrival times in an invocation record are rounded, and arrivals are not strictly in the order of the sequence.
_ARRIVAL_SLACK_MS = 60_000


class ShardReader(Protocol):
    """The stream as a redrive needs it; implemented by `windrow.aws.kinesis.KinesisStream`."""

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """Return the records of one shard with `start_ms <= arrival < end_ms`, in sequence."""
        ...


@dataclass(frozen=True, slots=True)
class SkippedObject:
    """An object, or part of one, that was not redriven: its key, the number of payloads or records, and why."""

    key: str
    count: int
    why: str


@dataclass(slots=True)
class RedriveResult:
    """What a redrive handed to the consumer, how many objects it read for that, and what it skipped."""

    delivered: ReplayResult = field(default_factory=ReplayResult)
    objects: int = 0
    skipped: list[SkippedObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """The parts of a stage that a redrive needs. `oldest_arrival_ms`: see the function of this name.

    `iot_select` is the stage's parameter IotSelect.
    """

    lake: ObjectStore
    failures: ObjectStore
    stream: ShardReader
    stream_arn: str
    oldest_arrival_ms: int
    iot_select: str = VERBATIM

    def run(
        self,
        search: QuarantineSearch,
        *,
        of_quarantine: bool,
        of_failures: bool,
        invoker: Invoker,
        on_progress: Callable[[ReplayResult], object] = lambda _: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> RedriveResult:
        """Deliver what `search` finds. What the stores raise is raised; failed invocations are in the result.

        A failed batch is found by the arrival of its first record and by its shard, a device's message by its time.
        """
        result = RedriveResult()
        records = chain(
            self._quarantined(search, result) if of_quarantine else (),
            self._failed_batches(search, result) if of_failures else (),
        )
        result.delivered = deliver(records, invoker=invoker, on_progress=on_progress, sleep=sleep)
        return result

    # ---- quarantine --------------------------------------------------------------------------------------------------

    def _quarantined(self, search: QuarantineSearch, result: RedriveResult) -> Iterator[tuple[str, EncodedRecord]]:
        """Yield every payload with its shard; add what is skipped to `result`."""
        found = sorted(quarantine_search.keys(self.lake, search), key=_shard_and_window)
        for (shard, _), of_window in groupby(found, key=_shard_and_window):
            seen = set()
            for key in of_window:
                if key.window.start_ms < self.oldest_arrival_ms:
                    result.skipped.append(SkippedObject(str(key), key.count, _EXPIRED))
                    continue
                result.objects += 1
                for one in quarantine_search.read(self.lake, key):
                    if not search.holds(one) or one.identity in seen:
                        continue
                    seen.add(one.identity)
                    if one.reason in _OF_UPLOADS:
                        result.skipped.append(SkippedObject(str(key), 1, _NAMES_UPLOAD))
                    else:
                        yield shard, self._encode(one)

    def _encode(self, one: QuarantinedPayload) -> EncodedRecord:
        if one.arrival_ms is None or one.reason is Reason.RECORD_MALFORMED:
            # The record's JSON as it stood in the event, with whatever it says of its origin.
            return EncodedRecord(one.sequence_number, encode_raw_record(json.loads(one.payload)))
        payload = one.payload
        if not one.is_whole_record:
            # Wrapped in an aggregate: a bare payload could be mistaken for one.
            payload = aggregate([UserRecord(OUTER_PARTITION_KEY, payload)])
        record = Record(
            stream_arn=f"{self.stream_arn.rpartition('/')[0]}/{one.stream}",
            shard=one.shard,
            sequence_number=one.sequence_number,
            arrival_ms=one.arrival_ms,
            partition_key=OUTER_PARTITION_KEY,
            payload=payload,
            index=one.index,
            block_row=one.block_row,
        )
        return EncodedRecord(one.sequence_number, encode_record(record))

    # ---- on-failure --------------------------------------------------------------------------------------------------

    def _failed_batches(self, search: QuarantineSearch, result: RedriveResult) -> Iterator[tuple[str, EncodedRecord]]:
        """Yield every record with its shard; add what is skipped to `result`."""
        listed = (listed.key for listed in self.failures.list_objects(""))
        for key in sorted(listed, key=lambda key: (shard_of_key(key), key)):
            stored = self.failures.get(key)
            if stored is None:
                continue  # it expired meanwhile
            if is_iot_key(key):
                yield from self._message(key, stored.body, search, result)
                continue
            try:
                batch = decode_failure(stored.body)
            except UnreadableFailure as error:
                result.skipped.append(SkippedObject(key, 1, f"not a batch that Lambda gave up: {error}"))
                continue
            if not search.start_ms <= batch.first_arrival_ms < search.end_ms or search.shard not in (None, batch.shard):
                continue
            if batch.first_arrival_ms < self.oldest_arrival_ms:
                result.skipped.append(SkippedObject(key, batch.count, _EXPIRED))
                continue
            result.objects += 1
            yield from self._batch(key, batch, result)

    def _message(
        self, key: str, body: bytes, search: QuarantineSearch, result: RedriveResult
    ) -> Iterator[tuple[str, EncodedRecord]]:
        """Yield the record of a message that a rule of AWS IoT Core could not hand to the stream."""
        try:
            record = decode_iot_message(key, body).record(self.iot_select, self.stream_arn)
        except UnreadableFailure as error:
            result.skipped.append(SkippedObject(key, 1, f"not a message that can be sent again: {error}"))
            return
        if not search.start_ms <= record.arrival_ms < search.end_ms or search.shard not in (None, IOT_SHARD):
            return
        if record.arrival_ms < self.oldest_arrival_ms:
            result.skipped.append(SkippedObject(key, 1, _EXPIRED))
            return
        result.objects += 1
        yield IOT_SHARD, EncodedRecord(record.sequence_number, encode_record(record))

    def _batch(self, key: str, batch: FailedBatch, result: RedriveResult) -> Iterator[tuple[str, EncodedRecord]]:
        if batch.records is not None:
            for raw in batch.records:
                yield batch.shard, EncodedRecord(sequence_number_of(raw), encode_raw_record(raw))
            return
        found = list(self._from_stream(batch))
        ends = [record.sequence_number for record in (*found[:1], *found[-1:])]
        if len(found) != batch.count or ends != [batch.first, batch.last]:
            why = f"it names {batch.count} records of {batch.shard}, and the stream still has {len(found)} of them"
            result.skipped.append(SkippedObject(key, batch.count, why))
            return
        for record in found:
            yield batch.shard, encode_stream_record(record, stream_arn=batch.stream_arn)

    def _from_stream(self, batch: FailedBatch) -> Iterator[StreamRecord]:
        """Return the batch's records that the stream still has."""
        first, last = int(batch.first), int(batch.last)
        between = self.stream.shard_records_between(
            batch.shard,
            start_ms=max(0, batch.first_arrival_ms - _ARRIVAL_SLACK_MS),
            end_ms=batch.last_arrival_ms + _ARRIVAL_SLACK_MS,
        )
        return (record for record in between if first <= int(record.sequence_number) <= last)


def oldest_arrival_ms(*, now_ms: int, horizon_ms: int, partials_retention_ms: int) -> int:
    """Return the arrival before which records are not redriven.

    A reading lies at most `horizon_ms` before its record's arrival, and the oldest partial of its window was written
    when the window began or later. So no window that a reading with this arrival or a later one could join has lost a
    partial. A window of an older one might have, and would freeze.
    """
    return now_ms - (partials_retention_ms - horizon_ms - EXPIRY_MARGIN_MS)


def _shard_and_window(key: QuarantineKey) -> tuple[str, Window]:
    return key.origin.shard, key.window
