"""What the processors quarantine: records as a whole, payloads of a record, single readings of a block."""

from processors.event import MalformedRecord, Record
from windrow.lake.quarantine import Quarantined, QuarantineFile, encode_quarantine
from windrow.reading import Reason

__all__ = [
    "QuarantineFile",
    "Quarantined",
    "encode_quarantine",
    "quarantine_malformed",
    "quarantine_payload",
    "quarantine_record",
]


def quarantine_record(record: Record, *, reason: Reason, detail: str) -> Quarantined:
    """All of `record`."""
    return quarantine_payload(record, index=0, payload=record.payload, reason=reason, detail=detail)


def quarantine_payload(record: Record, *, index: int, payload: bytes, reason: Reason, detail: str) -> Quarantined:
    """The `payload` that `record` carries at `index`."""
    return Quarantined(
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


def quarantine_malformed(record: MalformedRecord) -> Quarantined:
    """A record that could not be read: its payload is the JSON that the event held."""
    return Quarantined(
        reason=Reason.RECORD_MALFORMED,
        detail=record.detail,
        stream=record.stream,
        shard=record.shard,
        sequence_number=record.sequence_number,
        index=0,
        arrival_ms=record.arrival_ms,
        payload=record.original,
    )
