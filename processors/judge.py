"""Which readings of a shard's records count: those that can be read and lie near enough to their record's arrival.

Arrival is the record's time in the stream, never the clock, so that a replay judges as the first delivery did.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.event import Record
from processors.quarantine import QuarantinedPayload, quarantine_payload, quarantine_record
from windrow.reading import EARLINESS_MS_MAX, Readings, Reason
from windrow.wire.json.strict import BadPayload, parse_readings
from windrow.wire.unpack import UnpackedPayloads, unpack


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The n readings that count, when their records arrived (int64[n], epoch ms), and everything that does not."""

    readings: Readings
    arrived_ms: npt.NDArray[np.int64]
    rejected: tuple[QuarantinedPayload, ...]


def judge(records: Sequence[Record], *, horizon_ms: int) -> Judged:
    """The readings of `records`: at most EARLINESS_MS_MAX after their record's arrival, at most `horizon_ms` before."""
    return judge_unpacked(records, unpack([record.payload for record in records]), horizon_ms=horizon_ms)


def judge_unpacked(records: Sequence[Record], unpacked: UnpackedPayloads, *, horizon_ms: int) -> Judged:
    """`judge` of records that are unpacked already."""
    parsed = parse_readings(unpacked.payloads)
    record_arrived_ms = np.array([record.arrival_ms for record in records], np.int64)
    arrived_ms = record_arrived_ms[unpacked.record[parsed.source]]
    ahead_ms = parsed.readings.event_time_ms - arrived_ms
    counts = (-horizon_ms <= ahead_ms) & (ahead_ms <= EARLINESS_MS_MAX)
    all_count = bool(counts.all())
    bad = [*parsed.bad, *_misplaced(parsed.source[~counts], ahead_ms[~counts], horizon_ms=horizon_ms)]
    return Judged(
        readings=parsed.readings if all_count else parsed.readings.take(counts),
        arrived_ms=arrived_ms if all_count else arrived_ms[counts],
        rejected=(
            *(quarantine_record(records[one.record], reason=one.reason, detail=one.detail) for one in unpacked.broken),
            *_quarantine(records, unpacked, bad),
        ),
    )


def _misplaced(
    source: npt.NDArray[np.int64], ahead_ms: npt.NDArray[np.int64], *, horizon_ms: int
) -> Iterator[BadPayload]:
    """The payloads `source`, whose readings are `ahead_ms` of their records' arrival: int64[m] each."""
    for payload, ahead in zip(source.tolist(), ahead_ms.tolist(), strict=True):
        if ahead > 0:
            detail = f"{ahead} ms after its record's arrival, at most {EARLINESS_MS_MAX}"
            yield BadPayload(payload, Reason.TOO_EARLY, detail)
        else:
            yield BadPayload(payload, Reason.TOO_LATE, f"{-ahead} ms before its record's arrival, at most {horizon_ms}")


def _quarantine(
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
