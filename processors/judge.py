"""Which readings of a shard's records count: those that can be parsed and are close enough to their record's arrival.

Arrival is the record's time in the stream, never the clock, so a replay decides as the first delivery did. Everything
that does not count becomes a quarantined payload: a whole record, or one payload of a record.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import numpy as np
import numpy.typing as npt

from processors.event import MalformedRecord, Record
from processors.record_columns import arrivals_of, payloads_of
from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.lake.quarantine import QuarantinedPayload
from windrow.reading import EARLINESS_MS_MAX, READINGS_PER_RECORD_MAX, BadReading, Readings, Reason
from windrow.wire.json.some import quick_no, read_some
from windrow.wire.json.strict import BadPayload, ParsedReadings, ReasonsWanted, parse_readings
from windrow.wire.unpack import UnpackedPayloads, unpack

PAYLOAD_ROWS_ALWAYS = 4
"""Up to so many bad payloads of any record are quarantined one by one; if there are more, the record is, as a whole."""
PAYLOAD_ROW_BYTES = 4_096
"""A record must have so many bytes for each further one: a row costs as much CPU as half of them in good readings."""


class PayloadReader(Protocol):
    """What reads the payloads of a stage in place of the default form: `windrow.payloads.reader.ContractReader`."""

    def read(self, payloads: Payloads, arrived_ms: Int64s) -> ParsedReadings:
        """Read n payloads, given the arrival of each one's record: int64[n]. One may become several readings."""
        ...

    def readings_max(self, record: bytes, *, payloads_max: int) -> int:
        """Return an upper bound of the readings in a record of at most so many payloads, without decoding it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The n readings that count, the arrival of each one's record (int64[n], epoch ms), and all that does not count."""

    readings: Readings
    arrived_ms: npt.NDArray[np.int64]
    rejected: tuple[QuarantinedPayload, ...]


def judge(records: Sequence[Record], *, horizon_ms: int, reader: PayloadReader | None = None) -> Judgement:
    """Judge the readings of `records`, which `reader` reads; JSON of the default form if there is none.

    A reading counts from `horizon_ms` before its record's arrival to EARLINESS_MS_MAX after it, both inclusive.
    """
    unpacked = unpack(payloads_of(records))
    return judge_unpacked(records, unpacked, horizon_ms=horizon_ms, reader=reader)


def judge_unpacked(
    records: Sequence[Record], unpacked: UnpackedPayloads, *, horizon_ms: int, reader: PayloadReader | None = None
) -> Judgement:
    """Judge records that are already unpacked, as `judge` does."""
    record_arrived_ms = arrivals_of(records)
    rows_max = payload_rows_max(payloads_of(records).lengths)
    if reader is None:
        wanted = ReasonsWanted(unpacked.record, rows_max)
        parsed = parse_readings(unpacked.payloads, wanted, read_some=read_some, quick_no=quick_no)
    else:
        parsed = reader.read(unpacked.payloads, record_arrived_ms[unpacked.record])
        counts = np.bincount(unpacked.record[parsed.source], minlength=len(records))
        if (counts > READINGS_PER_RECORD_MAX).any():
            return _without_crowded(records, counts, horizon_ms=horizon_ms, reader=reader)
    arrived_ms = record_arrived_ms[unpacked.record[parsed.source]]
    ahead_ms = parsed.readings.event_time_ms - arrived_ms
    is_near = (-horizon_ms <= ahead_ms) & (ahead_ms <= EARLINESS_MS_MAX)
    all_count = bool(is_near.all())
    far = np.flatnonzero(~is_near)
    if reader is None:
        bad_of_record = _count_bad(unpacked, parsed, parsed.source[far], records=len(records))
        far = _wanted(far, unpacked.record[parsed.source[far]], bad_of_record > rows_max)
    bad = [*parsed.bad, *_too_early_or_late(parsed.source[far], ahead_ms[far], horizon_ms=horizon_ms)]
    if reader is not None:
        bad = _one_each(bad)
        bad_of_record = np.bincount([unpacked.record[one.index] for one in bad], minlength=len(records))
    spoiled = {record: int(bad_of_record[record]) for record in np.flatnonzero(bad_of_record > rows_max).tolist()}
    return Judgement(
        readings=parsed.readings if all_count else parsed.readings.take(is_near),
        arrived_ms=arrived_ms if all_count else arrived_ms[is_near],
        rejected=(
            *(quarantine_record(records[one.record], reason=one.reason, detail=one.detail) for one in unpacked.broken),
            *_quarantine_payloads(records, unpacked, bad, spoiled),
        ),
    )


def payload_rows_max(record_bytes: Int64s) -> Int64s:
    """Return how many bad payloads of records of so many bytes are quarantined one by one: int64[n].

    The record's bytes alone decide, so the same record comes to the same rows in every batch, replay and redrive.
    """
    return np.maximum(PAYLOAD_ROWS_ALWAYS, record_bytes // PAYLOAD_ROW_BYTES)


def quarantine_record(record: Record, *, reason: Reason, detail: str) -> QuarantinedPayload:
    """Return all of `record` as one quarantined payload."""
    return quarantine_payload(record, index=0, payload=record.payload, reason=reason, detail=detail)


def quarantine_payload(
    record: Record, *, index: int, payload: bytes, reason: Reason, detail: str
) -> QuarantinedPayload:
    """Return the `payload` at position `index` of `record` as a quarantined payload."""
    return QuarantinedPayload(
        reason=reason,
        detail=detail,
        stream=record.stream,
        shard=record.shard,
        sequence_number=record.sequence_number,
        index=record.index + index,
        block_row=record.block_row,
        arrival_ms=record.arrival_ms,
        payload=payload,
    )


def quarantine_malformed(record: MalformedRecord) -> QuarantinedPayload:
    """Return a record that could not be read as a quarantined payload: the JSON that the event held."""
    return QuarantinedPayload(
        reason=Reason.RECORD_MALFORMED,
        detail=record.detail,
        stream=record.stream,
        shard=record.shard,
        sequence_number=record.sequence_number,
        index=0,
        arrival_ms=record.arrival_ms,
        payload=record.original,
    )


def check_ahead(ahead_ms: int, *, horizon_ms: int) -> None:
    """Check that a reading is close enough to its record's arrival, which it is `ahead_ms` after; raises BadReading."""
    if ahead_ms > EARLINESS_MS_MAX:
        detail = f"{ahead_ms} ms after its record's arrival, at most {EARLINESS_MS_MAX}"
        raise BadReading(Reason.TOO_EARLY, detail)
    if ahead_ms < -horizon_ms:
        raise BadReading(Reason.TOO_LATE, f"{-ahead_ms} ms before its record's arrival, at most {horizon_ms}")


def _too_early_or_late(
    source: npt.NDArray[np.int64], ahead_ms: npt.NDArray[np.int64], *, horizon_ms: int
) -> Iterator[BadPayload]:
    """Reject the payloads `source`; each reading is `ahead_ms` after its record's arrival. Both are int64[m]."""
    for payload, ahead in zip(source.tolist(), ahead_ms.tolist(), strict=True):
        try:
            check_ahead(ahead, horizon_ms=horizon_ms)
        except BadReading as error:
            yield BadPayload(payload, error.reason, error.detail)


def _one_each(bad: Sequence[BadPayload]) -> list[BadPayload]:
    """Return at most one row of a payload: what is bad in it, and how many of its readings are too early or late."""
    by_payload = groupby(sorted(bad, key=attrgetter("index")), key=attrgetter("index"))
    return [_joined(next(of_payload), list(of_payload)) for _, of_payload in by_payload]


def _joined(first: BadPayload, others: list[BadPayload]) -> BadPayload:
    if not others:
        return first
    more = f"; and {len(others) - 1} more" if len(others) > 1 else ""
    return replace(first, detail=f"{first.detail}; {others[0].reason}: {others[0].detail}{more}")


def _without_crowded(
    records: Sequence[Record], counts: npt.NDArray[np.int64], *, horizon_ms: int, reader: PayloadReader
) -> Judgement:
    """Judge the records except for those of too many readings; record i holds counts[i] of them."""
    crowded = set(np.flatnonzero(counts > READINGS_PER_RECORD_MAX).tolist())
    judged = judge(
        [record for index, record in enumerate(records) if index not in crowded], horizon_ms=horizon_ms, reader=reader
    )
    whole = (
        quarantine_record(
            records[index],
            reason=Reason.TOO_MANY_READINGS,
            detail=f"{counts[index]} readings in one record, at most {READINGS_PER_RECORD_MAX}",
        )
        for index in sorted(crowded)
    )
    return replace(judged, rejected=(*judged.rejected, *whole))


def _count_bad(unpacked: UnpackedPayloads, parsed: ParsedReadings, far: Int64s, *, records: int) -> Int64s:
    """Return how many payloads of each record do not count; `far` are those that are too early or late."""
    bad = np.fromiter((one.index for one in parsed.bad), np.int64, len(parsed.bad))
    return np.bincount(unpacked.record[np.concatenate([bad, parsed.untold, far])], minlength=records)


def _wanted(far: Int64s, record: Int64s, is_spoiled: npt.NDArray[np.bool_]) -> Int64s:
    """Return those of `far` whose rows are told: of spoiled records only the first. record: int64[m], ascending."""
    is_first = np.ones(len(far), bool)
    is_first[1:] = record[1:] != record[:-1]
    return far[is_first | ~is_spoiled[record]]


def _quarantine_payloads(
    records: Sequence[Record], unpacked: UnpackedPayloads, bad: Sequence[BadPayload], spoiled: Mapping[int, int]
) -> Iterator[QuarantinedPayload]:
    """Quarantine `bad` payloads one by one, but of `spoiled` records, with so many bad ones, the record as a whole."""
    record_at = lru_cache(maxsize=1)(records.__getitem__)  # an aggregate with many bad payloads is made once
    told: set[int] = set()
    in_order = sorted(bad, key=attrgetter("index")) if spoiled else bad
    which = np.array([one.index for one in in_order], np.int64)
    places = zip(in_order, unpacked.record[which].tolist(), unpacked.position[which].tolist(), strict=True)
    for one, record, position in places:
        if record not in spoiled:
            yield quarantine_payload(
                record_at(record),
                index=position,
                payload=unpacked.payloads[one.index],
                reason=one.reason,
                detail=one.detail,
            )
        elif record not in told:
            told.add(record)
            total = np.count_nonzero(unpacked.record == record)
            detail = f"{spoiled[record]} of {total} payloads do not count, the first: {one.reason}: {one.detail}"
            yield quarantine_record(record_at(record), reason=Reason.RECORD_PAYLOADS, detail=detail)
