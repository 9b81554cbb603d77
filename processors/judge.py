"""Which readings of a shard's records count: those that can be parsed and are close enough to their record's arrival.

Arrival is the record's time in the stream, never the clock, so a replay decides as the first delivery did. Everything
that does not count becomes a quarantined payload: a whole record, or one payload of a record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.event import MalformedRecord, Record
from windrow.lake.quarantine import QuarantinedPayload
from windrow.reading import EARLINESS_MS_MAX, BadReading, Readings, Reason
from windrow.wire.json.strict import BadPayload, parse_readings
from windrow.wire.unpack import UnpackedPayloads, unpack


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The n readings that count, the arrival of each one's record (int64[n], epoch ms), and all that does not count."""

    readings: Readings
    arrived_ms: npt.NDArray[np.int64]
    rejected: tuple[QuarantinedPayload, ...]


def judge(records: Sequence[Record], *, horizon_ms: int) -> Judgement:
    """Judge the JSON readings of `records`.

    A reading counts from `horizon_ms` before its record's arrival to EARLINESS_MS_MAX after it, both inclusive.
    """
    return judge_unpacked(records, unpack([record.payload for record in records]), horizon_ms=horizon_ms)


def judge_unpacked(records: Sequence[Record], unpacked: UnpackedPayloads, *, horizon_ms: int) -> Judgement:
    """Judge records that are already unpacked, as `judge` does."""
    parsed = parse_readings(unpacked.payloads)
    record_arrived_ms = np.array([record.arrival_ms for record in records], np.int64)
    arrived_ms = record_arrived_ms[unpacked.record[parsed.source]]
    ahead_ms = parsed.readings.event_time_ms - arrived_ms
    counts = (-horizon_ms <= ahead_ms) & (ahead_ms <= EARLINESS_MS_MAX)
    all_count = bool(counts.all())
    bad = [*parsed.bad, *_too_early_or_late(parsed.source[~counts], ahead_ms[~counts], horizon_ms=horizon_ms)]
    return Judgement(
        readings=parsed.readings if all_count else parsed.readings.take(counts),
        arrived_ms=arrived_ms if all_count else arrived_ms[counts],
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


def _quarantine_payloads(
    records: Sequence[Record], unpacked: UnpackedPayloads, bad: Sequence[BadPayload]
) -> Iterator[QuarantinedPayload]:
    which = np.array([one.index for one in bad], np.int64)
    places = zip(bad, unpacked.record[which].tolist(), unpacked.position[which].tolist(), strict=True)
    for one, record, position in places:
        yield quarantine_payload(
            records[record],
            index=position,
            payload=unpacked.payloads[one.index],
            reason=one.reason,
            detail=one.detail,
        )
