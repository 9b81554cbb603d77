"""What the processors quarantine: records as a whole, payloads of a record, single readings of a block."""

from processors.event import MalformedRecord, Record
from windrow.lake.quarantine import QuarantinedPayload, QuarantineFile, encode_quarantine
from windrow.reading import Reason

__all__ = [
    "QuarantineFile",
    "QuarantinedPayload",
    "encode_quarantine",
    "quarantine_malformed",
    "quarantine_payload",
    "quarantine_record",
]


def quarantine_record(record: Record, *, reason: Reason, detail: str) -> QuarantinedPayload:
    """All of `record`."""
    return quarantine_payload(record, index=0, payload=record.payload, reason=reason, detail=detail)


def quarantine_payload(
    record: Record, *, index: int, payload: bytes, reason: Reason, detail: str
) -> QuarantinedPayload:
    """The `payload` that `record` carries at `index`."""
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
    """A record that could not be read: its payload is the JSON that the event held."""
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
