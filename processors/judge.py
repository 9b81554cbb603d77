"""Which readings of a shard's records count: those that can be parsed and are close enough to their record's arrival.

Arrival is the record's time in the stream, never the clock, so a replay decides as the first delivery did. Everything
that does not count becomes a quarantined payload: a whole record, or one payload of a record.
"""

from collections.abc import Iterator, Sequence
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
from windrow.wire.json.strict import BadPayload, ParsedReadings, parse_readings
from windrow.wire.unpack import UnpackedPayloads, unpack


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
    if reader is None:
        parsed = parse_readings(unpacked.payloads)
    else:
        parsed = reader.read(unpacked.payloads, record_arrived_ms[unpacked.record])
        counts = np.bincount(unpacked.record[parsed.source], minlength=len(records))
        if (counts > READINGS_PER_RECORD_MAX).any():
            return _without_crowded(records, counts, horizon_ms=horizon_ms, reader=reader)
    arrived_ms = record_arrived_ms[unpacked.record[parsed.source]]
    ahead_ms = parsed.readings.event_time_ms - arrived_ms
    is_near = (-horizon_ms <= ahead_ms) & (ahead_ms <= EARLINESS_MS_MAX)
    all_count = bool(is_near.all())
    bad = [*parsed.bad, *_too_early_or_late(parsed.source[~is_near], ahead_ms[~is_near], horizon_ms=horizon_ms)]
    if reader is not None:
        bad = _one_each(bad)
    return Judgement(
        readings=parsed.readings if all_count else parsed.readings.take(is_near),
        arrived_ms=arrived_ms if all_count else arrived_ms[is_near],
        rejected=(
            *(quarantine_record(records[one.record], reason=one.reason, detail=one.detail) for one in unpacked.broken),
            *_quarantine_payloads(records, unpacked, bad),
        ),
    )


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


def _quarantine_payloads(
    records: Sequence[Record], unpacked: UnpackedPayloads, bad: Sequence[BadPayload]
) -> Iterator[QuarantinedPayload]:
    record_at = lru_cache(maxsize=1)(records.__getitem__)  # an aggregate with many bad payloads is made once
    which = np.array([one.index for one in bad], np.int64)
    places = zip(bad, unpacked.record[which].tolist(), unpacked.position[which].tolist(), strict=True)
    for one, record, position in places:
        yield quarantine_payload(
            record_at(record),
            index=position,
            payload=unpacked.payloads[one.index],
            reason=one.reason,
            detail=one.detail,
        )
