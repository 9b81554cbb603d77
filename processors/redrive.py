"""Redrive: what was quarantined or given up, once more to the consumer, each payload as it first arrived.

A payload is delivered under its original stream, shard, sequence number, place and arrival time, so it is judged as it
would have been: it becomes a partial named after its content, or the same row of `quarantine` again. Twice is as good
as once. Nothing is deleted or marked: what was put aside stays as the record of what happened, until it expires.
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
from processors.on_failure import GivenUp, UnreadableFailure, decode_failure, shard_of_key
from processors.quarantine import QuarantinedPayload
from processors.replay import Replayed, deliver, encode_stream_record
from windrow.aws.stream import StreamRecord
from windrow.lake import quarantine_search
from windrow.lake.layout import QuarantineKey
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.lake.store import ObjectStore
from windrow.period import DAY_MS
from windrow.reading import Reason
from windrow.window import Window
from windrow.wire.kpl import OUTER_PARTITION_KEY, UserRecord, aggregate

# Between the last redrive and the expiry of the first partial it could join: S3 expires objects in daily runs.
EXPIRY_MARGIN_MS = DAY_MS
_EXPIRED = "older than the partials it would join are sure to be"
# Arrival times in an invocation record are rounded, and arrivals are not strictly in the order of the sequence.
_ARRIVAL_SLACK_MS = 60_000


class ShardReader(Protocol):
    """The stream, as far as a redrive needs it: `windrow.aws.kinesis.KinesisStream`."""

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """The records of one shard with `start_ms <= arrival < end_ms`, in sequence."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """An object, or part of one, that was not redriven: its key, how many payloads or records, and why."""

    key: str
    count: int
    why: str


@dataclass(slots=True)
class Redriven:
    """What a redrive came to: `delivered` to the consumer, and what was kept back. objects: how many were read."""

    delivered: Replayed = field(default_factory=Replayed)
    objects: int = 0
    kept: list[Kept] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """A stage as a redrive sees it. `oldest_arrival_ms`: see `oldest_arrival_ms()`."""

    lake: ObjectStore
    failures: ObjectStore
    stream: ShardReader
    stream_arn: str
    oldest_arrival_ms: int

    def run(
        self,
        search: QuarantineSearch,
        *,
        of_quarantine: bool,
        of_failures: bool,
        invoker: Invoker,
        on_progress: Callable[[Replayed], object] = lambda _: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Redriven:
        """Deliver what is looked for; what the stores raise is raised, what an invocation fails with is in the result.

        A batch that was given up is looked for by the arrival of its first record and by its shard.
        """
        redriven = Redriven()
        records = chain(
            self._quarantined(search, redriven) if of_quarantine else (),
            self._given_up(search, redriven) if of_failures else (),
        )
        redriven.delivered = deliver(records, invoker=invoker, on_progress=on_progress, sleep=sleep)
        return redriven

    # ---- quarantine --------------------------------------------------------------------------------------------------

    def _quarantined(self, search: QuarantineSearch, redriven: Redriven) -> Iterator[tuple[str, EncodedRecord]]:
        """Every payload with its shard; what is not redriven is added to `redriven`."""
        found = sorted(quarantine_search.keys(self.lake, search), key=_shard_and_window)
        for (shard, _), of_window in groupby(found, key=_shard_and_window):
            seen = set()
            for key in of_window:
                if key.window.start_ms < self.oldest_arrival_ms:
                    redriven.kept.append(Kept(str(key), key.count, _EXPIRED))
                    continue
                redriven.objects += 1
                for one in quarantine_search.read(self.lake, key):
                    if search.holds(one) and one.identity not in seen:
                        seen.add(one.identity)
                        yield shard, self._encode(one)

    def _encode(self, one: QuarantinedPayload) -> EncodedRecord:
        if one.arrival_ms is None or one.reason is Reason.RECORD_MALFORMED:
            # The record's JSON as the event had it: it names its origin itself, as far as it does.
            return EncodedRecord(one.sequence_number, encode_raw_record(json.loads(one.payload)))
        payload = one.payload
        if not one.is_whole_record:
            # In an aggregate of its own: alone it could be taken for an aggregate, which it was not.
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

    def _given_up(self, search: QuarantineSearch, redriven: Redriven) -> Iterator[tuple[str, EncodedRecord]]:
        """Every record with its shard; what is not redriven is added to `redriven`."""
        listed = (listed.key for listed in self.failures.list_objects(""))
        for key in sorted(listed, key=lambda key: (shard_of_key(key), key)):
            stored = self.failures.get(key)
            if stored is None:
                continue  # it expired meanwhile
            try:
                batch = decode_failure(stored.body)
            except UnreadableFailure as error:
                redriven.kept.append(Kept(key, 1, f"no batch that Lambda gave up: {error}"))
                continue
            if not search.start_ms <= batch.first_arrival_ms < search.end_ms or search.shard not in (None, batch.shard):
                continue
            if batch.first_arrival_ms < self.oldest_arrival_ms:
                redriven.kept.append(Kept(key, batch.count, _EXPIRED))
                continue
            redriven.objects += 1
            yield from self._batch(key, batch, redriven)

    def _batch(self, key: str, batch: GivenUp, redriven: Redriven) -> Iterator[tuple[str, EncodedRecord]]:
        if batch.records is not None:
            for raw in batch.records:
                yield batch.shard, EncodedRecord(sequence_number_of(raw), encode_raw_record(raw))
            return
        found = list(self._from_stream(batch))
        ends = [record.sequence_number for record in (*found[:1], *found[-1:])]
        if len(found) != batch.count or ends != [batch.first, batch.last]:
            why = f"it names {batch.count} records of {batch.shard}, and the stream still has {len(found)} of them"
            redriven.kept.append(Kept(key, batch.count, why))
            return
        for record in found:
            yield batch.shard, encode_stream_record(record, stream_arn=batch.stream_arn)

    def _from_stream(self, batch: GivenUp) -> Iterator[StreamRecord]:
        """The batch's records that the stream still has."""
        first, last = int(batch.first), int(batch.last)
        between = self.stream.shard_records_between(
            batch.shard,
            start_ms=max(0, batch.first_arrival_ms - _ARRIVAL_SLACK_MS),
            end_ms=batch.last_arrival_ms + _ARRIVAL_SLACK_MS,
        )
        return (record for record in between if first <= int(record.sequence_number) <= last)


def oldest_arrival_ms(*, now_ms: int, horizon_ms: int, partials_retention_ms: int) -> int:
    """Records that arrived before this are not redriven.

    A reading lies at most `horizon_ms` before its record's arrival, and the oldest partial of its window was written
    when the window began or later. So from this arrival on, no window that a reading could join has lost a partial;
    before it, one might have, and the window would freeze.
    """
    return now_ms - (partials_retention_ms - horizon_ms - EXPIRY_MARGIN_MS)


def _shard_and_window(key: QuarantineKey) -> tuple[str, Window]:
    return key.origin.shard, key.window
