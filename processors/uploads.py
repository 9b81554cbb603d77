"""Uploaded objects become partials: those of one batch together, so that twenty small ones make one partial a window.

As with the stream, nothing is remembered: an object's records are always the same, so an event that comes twice, late
or out of order changes nothing. A receipt is written after the partials. What has none is found by the sweep.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from processors.consumer import SLICE_READINGS_MAX, WrittenPlan, act, plan_judged
from processors.judge import PayloadReader
from processors.judge_blocks import concat
from processors.puts import Deadline, OutOfTime, Puts
from processors.upload import SHARD, JudgedUpload, judge_upload
from processors.upload_event import UploadRef
from windrow.lake.layout import RECEIPTS, UPLOADS, Origin
from windrow.lake.receipt import Receipt, key_of_receipt
from windrow.lake.store import ObjectStore, StoreError
from windrow.lake.uploads import UploadedObject, UploadVersion
from windrow.rows.partial import partials_of
from windrow.window import WINDOW_MS, Window

SWEEP_AFTER_MS = 1_800_000
"""The sweep leaves younger objects to their events, which wait a few minutes at most."""


class UploadSource(Protocol):
    """The uploads bucket as this stage reads it; implemented by `windrow.lake.uploads.UploadsBucket`."""

    def open(self, key: str, version: str | None) -> UploadedObject | None:
        """Read one version of a key, the latest one if `version` is None; None if it is not there."""
        ...

    def versions(self, prefix: str) -> Iterator[UploadVersion]:
        """Yield every version of every key that begins with `prefix`."""
        ...


@dataclass(slots=True)
class UploadsResult:
    """What became of a batch of objects.

    written: the plans that were carried out. receipts: one for each object that is done. missing: those that are not
    there. unreadable: those that S3 does not hand out, which stop no other. unprocessed: those without time for them.
    """

    written: list[WrittenPlan] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    missing: list[UploadRef] = field(default_factory=list)
    unreadable: list[tuple[UploadRef, StoreError]] = field(default_factory=list)
    unprocessed: list[UploadRef] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadsConsumer:
    """What the uploads function keeps from one batch to the next; `reader` is that of the stage's contract, if any."""

    source: UploadSource
    lake: ObjectStore
    horizon_ms: int
    puts: Puts
    reader: PayloadReader | None = None
    group_readings_max: int = SLICE_READINGS_MAX

    def process(self, refs: Iterable[UploadRef], *, deadline: Deadline, now_ms: int) -> UploadsResult:
        """Write what objects become, then their receipts; what writing raises is raised, and all of them come again.

        Stop before a group that would take longer than there is time, judged by the longest so far.
        """
        result = UploadsResult()
        left = list(dict.fromkeys(refs))
        longest_ms = 0
        while left:
            before_ms = deadline.left_ms()
            if result.receipts and longest_ms >= before_ms:
                break
            try:
                taken = self._process_group(left, result, deadline=deadline, now_ms=now_ms)
            except OutOfTime:
                break
            left = left[taken:]
            longest_ms = max(longest_ms, before_ms - deadline.left_ms())
        result.unprocessed += left
        return result

    def _process_group(
        self, refs: Sequence[UploadRef], result: UploadsResult, *, deadline: Deadline, now_ms: int
    ) -> int:
        """Process the first of `refs`, with few enough readings to be held at once, and return how many."""
        group: list[JudgedUpload] = []
        missing: list[UploadRef] = []
        unreadable: list[tuple[UploadRef, StoreError]] = []
        readings = 0
        for ref in refs:
            try:
                upload = self.source.open(ref.key, ref.version)
            except StoreError as error:
                unreadable.append((ref, error))
                continue
            if upload is None:
                missing.append(ref)
                continue
            group.append(judge_upload(upload, horizon_ms=self.horizon_ms, reader=self.reader))
            readings += len(group[-1].judged.readings)
            if readings >= self.group_readings_max:
                break
        if group:
            result.written.append(self._write(group, deadline=deadline, now_ms=now_ms))
            receipts = list(map(receipt_of, group))
            self.puts.until(deadline)(self._put_receipt, receipts)
            result.receipts += receipts
        result.missing += missing
        result.unreadable += unreadable
        return len(group) + len(missing) + len(unreadable)

    def _write(self, group: Sequence[JudgedUpload], *, deadline: Deadline, now_ms: int) -> WrittenPlan:
        origin = Origin(
            stream=group[0].upload.bucket,
            shard=SHARD,
            first=min(one.first for one in group),
            last=max(one.last for one in group),
        )
        planned = plan_judged(
            concat([one.judged for one in group]),
            origin=origin,
            arrival_ms=min(one.upload.written_ms for one in group),
            records=sum(one.records for one in group),
            payload_bytes=sum(one.payload_bytes for one in group),
            now_ms=now_ms,
        )
        return act(planned, store=self.lake, run=self.puts.until(deadline))

    def _put_receipt(self, receipt: Receipt) -> str:
        return self.lake.put(receipt.lake_key, receipt.to_json())

    def without_receipt(self, *, now_ms: int, oldest_ms: int) -> list[UploadRef]:
        """Return the objects without a receipt, the oldest first, that were written from `oldest_ms` on.

        They are at least SWEEP_AFTER_MS old: their event was lost, or their processing was given up.
        """
        waiting = [
            one for one in self.source.versions(UPLOADS) if oldest_ms <= one.written_ms <= now_ms - SWEEP_AFTER_MS
        ]
        if not waiting:
            return []
        received = {listed.key for listed in self.lake.list_objects(RECEIPTS)}
        lost = [one for one in waiting if key_of_receipt(one.location) not in received]
        return [UploadRef(one.key, one.version) for one in sorted(lost, key=lambda one: (one.written_ms, one.key))]


def receipt_of(one: JudgedUpload) -> Receipt:
    """Return the receipt of a judged object."""
    readings, upload = one.judged.readings, one.upload
    distinct = sum(map(len, partials_of(readings)))
    starts = np.unique(readings.event_time_ms - readings.event_time_ms % WINDOW_MS)
    return Receipt(
        bucket=upload.bucket,
        key=upload.key,
        version=upload.version,
        written_ms=upload.written_ms,
        size_bytes=upload.size_bytes,
        form=one.form or "",
        readings=distinct,
        duplicates=len(readings) - distinct,
        rejected=dict(sorted(Counter(one.rejected).items())),
        windows=tuple(map(Window, starts.tolist())),
        refusal=one.refusal.detail if one.refusal else "",
    )
