"""The consumer: a batch of stream records becomes partials, markers and quarantine in the lake.

`slices` cuts a batch so that memory is bounded, `plan` is pure and says what to write, `act` writes it. Every object is
named after its content and written only if its key is free. So a second delivery of a batch writes nothing new, and a
delivery that is cut at other records writes other objects with the same readings, which union absorbs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial as bind

import numpy as np
import numpy.typing as npt

from processors.event import MalformedRecord, Record
from processors.judge import Judgement, PayloadReader, quarantine_malformed
from processors.judge_blocks import judge_all, readings_max_of_each
from processors.record_columns import RecordColumns, arrivals_of, payloads_of, sequence_numbers_of
from windrow.lake.layout import MarkerKey, Origin, PartialKey, QuarantineKey
from windrow.lake.quarantine import QuarantinedPayload, encode_quarantine
from windrow.lake.store import Mapper, ObjectStore, PreconditionFailed
from windrow.live.columns import newest_of_partials
from windrow.reading import READINGS_PER_RECORD_MAX, Readings, Reason
from windrow.rows.partial import Partial, partials_of
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import WINDOW_MS, Window

SLICE_READINGS_MAX = READINGS_PER_RECORD_MAX
"""At least what one record may hold, so only a slice of a single record can exceed it."""
LATE_AFTER_MS = 120_000
"""A reading is late if its record arrives later than this after the window's end: after the window's first tick."""
MARKER_AFTER_MS = 60_000
"""A partial that is planned later than this after its window's end gets a marker, which asks for another roll.

It may be written after the window's first tick, two minutes after the end. Batches in time are planned sooner.
"""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """An object to write if its key is free."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What to write for the records of a batch, or of a slice of one, and what to report about them.

    writes: sequences of objects, independent of each other. Within one the order counts: a marker after its partial.
    readings: how many count, duplicates included. duplicates: how many of them are repetitions. late: how many distinct
    ones no record brought within LATE_AFTER_MS of their window's end. origins: one for each shard. newest: those of
    each series, if the stage wants them.
    """

    writes: tuple[tuple[PlannedObject, ...], ...]
    records: int
    payload_bytes: int
    readings: int
    duplicates: int
    late: int
    partials: int
    origins: tuple[Origin, ...]
    quarantined: Mapping[Reason, int]
    oldest_event_ms: int | None
    newest: Readings | None = None


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """A plan that has been carried out, and the number and bytes of the objects that were not there before."""

    plan: BatchPlan
    objects_new: int
    bytes_new: int


@dataclass(frozen=True, slots=True)
class _ShardPlan:
    """The part of a plan that comes from one shard. `arrival_ms` is the first one that is known."""

    origin: Origin
    arrival_ms: int | None
    payload_bytes: int
    readings: int
    oldest_event_ms: int | None
    partials: list[tuple[Partial, DeliveryCounts]]
    quarantined: list[QuarantinedPayload]


def slices(
    records: Sequence[Record | MalformedRecord],
    *,
    readings_max_per_slice: int = SLICE_READINGS_MAX,
    reader: PayloadReader | None = None,
) -> Iterator[Sequence[Record | MalformedRecord]]:
    """Cut `records`, in order, into slices of at most so many readings, but at least one record.

    A batch is usually one slice: 6 MB of JSON are 80,000 readings at most. Blocks may hold millions, and hostile ones
    may claim to. Each slice writes its own partials, which union absorbs.
    """
    start = readings = 0
    for place, grows_by in enumerate(readings_max_of_each(records, reader)):
        if place > start and readings + grows_by > readings_max_per_slice:
            yield records[start:place]
            start, readings = place, 0
        readings += grows_by
    if start < len(records):
        yield records[start:]


def plan(
    records: Sequence[Record | MalformedRecord],
    *,
    now_ms: int,
    horizon_ms: int,
    reader: PayloadReader | None = None,
    wants_newest: bool = False,
) -> BatchPlan:
    """Return what to write for `records`, whatever their bytes are; `reader` is that of the stage's contract, if any.

    A reading counts from `horizon_ms` before its record's arrival to EARLINESS_MS_MAX after it. `now_ms` decides only
    whether a partial gets a marker, and which values are too old to be among the newest.
    """
    shards = [_plan_shard(of_shard, horizon_ms=horizon_ms, reader=reader) for of_shard in _by_shard(records)]
    planned = _plan_of(shards, records=len(records), now_ms=now_ms)
    if not wants_newest:
        return planned
    partials = [partial for shard in shards for partial, _ in shard.partials]
    return replace(planned, newest=newest_of_partials(partials, now_ms=now_ms))


def plan_judged(
    judged: Judgement, *, origin: Origin, arrival_ms: int, records: int, payload_bytes: int, now_ms: int
) -> BatchPlan:
    """Return what to write for records that are judged already and have one origin; `arrival_ms` is the first."""
    shard = _shard_plan(judged, origin=origin, arrival_ms=arrival_ms, payload_bytes=payload_bytes)
    return _plan_of([shard], records=records, now_ms=now_ms)


def _plan_of(shards: Sequence[_ShardPlan], *, records: int, now_ms: int) -> BatchPlan:
    arrival_ms_default = min((shard.arrival_ms for shard in shards if shard.arrival_ms is not None), default=0)
    partials = [partial for shard in shards for partial, _ in shard.partials]
    readings = sum(shard.readings for shard in shards)
    oldest = [shard.oldest_event_ms for shard in shards if shard.oldest_event_ms is not None]
    return BatchPlan(
        writes=tuple(
            write
            for shard in shards
            for write in [
                *_partial_writes(shard, now_ms=now_ms),
                *_quarantine_writes(shard, arrival_ms_default=arrival_ms_default),
            ]
        ),
        records=records,
        payload_bytes=sum(shard.payload_bytes for shard in shards),
        readings=readings,
        duplicates=sum(delivery.duplicates for shard in shards for _, delivery in shard.partials),
        late=sum(delivery.late for shard in shards for _, delivery in shard.partials),
        partials=len(partials),
        origins=tuple(shard.origin for shard in shards),
        quarantined=Counter(one.reason for shard in shards for one in shard.quarantined),
        oldest_event_ms=min(oldest, default=None),
    )


def act(planned: BatchPlan, *, store: ObjectStore, run: Mapper = map) -> WrittenPlan:
    """Carry out a plan, with one `run` over its writes. What the store raises is raised: the batch comes again."""
    new = [put for puts in run(bind(_put_in_order, store), planned.writes) for put in puts]
    return WrittenPlan(planned, len(new), sum(len(put.body) for put in new))


def _put_in_order(store: ObjectStore, write: tuple[PlannedObject, ...]) -> list[PlannedObject]:
    """Put one object after the other, and return those that were not there before."""
    new = []
    for planned in write:
        try:
            store.put(planned.key, planned.body, if_absent=True)
        except PreconditionFailed:
            continue  # a key names its content: an earlier delivery wrote it
        new.append(planned)
    return new


def _by_shard(records: Sequence[Record | MalformedRecord]) -> Iterable[Sequence[Record | MalformedRecord]]:
    if isinstance(records, RecordColumns):
        return [records]
    by_shard: defaultdict[tuple[str, str], list[Record | MalformedRecord]] = defaultdict(list)
    for record in records:
        by_shard[record.stream, record.shard].append(record)
    return by_shard.values()


def _plan_shard(
    records: Sequence[Record | MalformedRecord], *, horizon_ms: int, reader: PayloadReader | None
) -> _ShardPlan:
    sound, malformed = _sound_and_malformed(records)
    first, last = _first_and_last([*sequence_numbers_of(sound), *(record.sequence_number for record in malformed)])
    judged = judge_all(sound, horizon_ms=horizon_ms, reader=reader)
    arrivals_ms = [one.arrival_ms for one in malformed if one.arrival_ms is not None]
    if len(sound):
        arrivals_ms.append(int(arrivals_of(sound).min()))
    return _shard_plan(
        replace(judged, rejected=(*judged.rejected, *map(quarantine_malformed, malformed))),
        origin=Origin(stream=records[0].stream, shard=records[0].shard, first=first, last=last),
        arrival_ms=min(arrivals_ms, default=None),
        payload_bytes=int(payloads_of(sound).lengths.sum()),
    )


def _shard_plan(judged: Judgement, *, origin: Origin, arrival_ms: int | None, payload_bytes: int) -> _ShardPlan:
    return _ShardPlan(
        origin=origin,
        arrival_ms=arrival_ms,
        payload_bytes=payload_bytes,
        readings=len(judged.readings),
        oldest_event_ms=int(judged.readings.event_time_ms.min()) if len(judged.readings) else None,
        partials=_partials_with_delivery(judged.readings, judged.arrived_ms),
        quarantined=list(judged.rejected),
    )


def _sound_and_malformed(
    records: Sequence[Record | MalformedRecord],
) -> tuple[Sequence[Record], Sequence[MalformedRecord]]:
    if isinstance(records, RecordColumns):
        return records, []
    sound = [record for record in records if isinstance(record, Record)]
    return sound, [record for record in records if isinstance(record, MalformedRecord)]


def _first_and_last(numbers: Sequence[str]) -> tuple[int, int]:
    """Return the least and the greatest of decimal numbers; of equal length, as a shard's are, text has their order."""
    if len(set(map(len, numbers))) == 1:
        return int(min(numbers)), int(max(numbers))
    values = list(map(int, numbers))
    return min(values), max(values)


def _partials_with_delivery(
    readings: Readings, arrived_ms: npt.NDArray[np.int64]
) -> list[tuple[Partial, DeliveryCounts]]:
    """Return the partial of each window with its delivery counts: a reading is late if no record brought it in time.

    arrived_ms: int64[n], the arrival of each reading's record.
    """
    partials = partials_of(readings)
    window_ms = _windows_of(readings, partials)
    is_in_time = arrived_ms <= window_ms + (WINDOW_MS + LATE_AFTER_MS)
    in_time = {partial.window: len(partial) for partial in _partials_in_time(readings, is_in_time, partials)}
    return [
        (partial, DeliveryCounts(late=len(partial) - in_time.get(partial.window, 0), duplicates=count - len(partial)))
        for partial, count in zip(partials, _delivered(window_ms, partials), strict=True)
    ]


def _windows_of(readings: Readings, partials: list[Partial]) -> npt.NDArray[np.int64]:
    """Return the start of each reading's window, in ms: int64[n]. Usually all are in the same window."""
    if len(partials) == 1:
        return np.broadcast_to(np.int64(partials[0].window.start_ms), len(readings))
    return readings.event_time_ms - readings.event_time_ms % WINDOW_MS


def _delivered(window_ms: npt.NDArray[np.int64], partials: list[Partial]) -> list[int]:
    """Count the readings that each partial was made of; `window_ms` is the start of each reading's window."""
    if len(partials) == 1:
        return [len(window_ms)]
    ascending = np.sort(window_ms)
    starts = np.array([partial.window.start_ms for partial in partials], np.int64)
    counts: list[int] = np.diff(np.append(np.searchsorted(ascending, starts), len(ascending))).tolist()
    return counts


def _partials_in_time(readings: Readings, is_in_time: npt.NDArray[np.bool_], partials: list[Partial]) -> list[Partial]:
    """Return the partials of the readings that came in time: usually of all of them, and so `partials`."""
    return partials if is_in_time.all() else partials_of(readings.take(is_in_time))


def _partial_writes(shard: _ShardPlan, *, now_ms: int) -> Iterable[tuple[PlannedObject, ...]]:
    for partial, delivery in shard.partials:
        digest = partial.digest
        key = PartialKey(window=partial.window, origin=shard.origin, digest=digest)
        put = PlannedObject(str(key), encode_partial(partial, delivery))
        if _may_be_ticked(partial.window, now_ms=now_ms):
            yield put, PlannedObject(str(MarkerKey(window=partial.window, digest=digest)), b"")
        else:
            yield (put,)


def _may_be_ticked(window: Window, *, now_ms: int) -> bool:
    return now_ms - window.end_ms > MARKER_AFTER_MS


def _quarantine_writes(shard: _ShardPlan, *, arrival_ms_default: int) -> Iterable[tuple[PlannedObject, ...]]:
    for file in encode_quarantine(shard.quarantined, arrival_ms_default=arrival_ms_default):
        key = QuarantineKey(window=file.arrival_window, origin=shard.origin, count=file.count, digest=file.digest)
        yield (PlannedObject(str(key), file.body),)
