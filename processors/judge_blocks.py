"""Judging records that hold blocks, or claim more readings than a record may hold; others go to `judge` untouched.

Readings of a block that do not count are written as the JSON that means the same and judged as JSON. So one definition
says what is wrong, and the quarantined payload can be read by people and delivered again.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from processors.event import MalformedRecord, Record
from processors.judge import (
    Judgement,
    PayloadReader,
    check_ahead,
    judge,
    judge_unpacked,
    quarantine_payload,
    quarantine_record,
)
from processors.record_columns import RecordColumns, payloads_of, take_records
from windrow.columns.arrays import Octets
from windrow.lake.quarantine import QuarantinedPayload
from windrow.reading import EARLINESS_MS_MAX, READINGS_PER_RECORD_MAX, BadReading, Reading, Readings, Reason, is_sound
from windrow.wire.block import BLOCK_MAGIC, is_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import MAGIC, OUTER_PARTITION_KEY, BrokenAggregate, UserRecord, aggregate, deaggregate
from windrow.wire.unpack import unpack

if TYPE_CHECKING:
    from windrow.wire.block.stream import EncodedBatch

BAD_ROWS_MAX = 256
"""Up to so many bad readings of a long block are quarantined one by one; if there are more, the block is, as a whole.

A reading takes a byte or two in a block, and hundreds in quarantine.
"""
BAD_ROWS_ALWAYS = 4
"""Up to so many bad readings of any block are quarantined one by one."""
BAD_ROW_BYTES = 512
"""A block must have so many bytes for each further one: else a small block would cost as much as a megabyte."""
# In an AggregatedRecord a user record begins with the tag of field 3, and so does the payload in it. A tag may also be
# encoded in more bytes than it needs; then it begins with the other byte.
_TAG, _LONG_TAG = 0x1A, 0x9A
_TAGS_PER_USER_RECORD = 2


def judge_all(records: Sequence[Record], *, horizon_ms: int, reader: PayloadReader | None = None) -> Judgement:
    """Judge the readings of `records`, whatever these hold; records without blocks as `judge` does.

    A reading of a block that is delivered again is JSON of the default form, whatever the stage's other payloads are.
    """
    if reader is not None and _hold_rows_of_blocks(records):
        of_blocks = [record for record in records if record.block_row is not None]
        others = [record for record in records if record.block_row is None]
        judged = judge_all(of_blocks, horizon_ms=horizon_ms)
        return concat([judged, judge_all(others, horizon_ms=horizon_ms, reader=reader)]) if others else judged
    unpacked = unpack(payloads_of(records))
    is_special = np.bincount(unpacked.record, minlength=len(records)) > READINGS_PER_RECORD_MAX
    is_special[unpacked.record[unpacked.payloads.begin_with(BLOCK_MAGIC)]] = True
    if not is_special.any():
        return judge_unpacked(records, unpacked, horizon_ms=horizon_ms, reader=reader)
    common = take_records(records, np.flatnonzero(~is_special))
    specials = (records[place] for place in np.flatnonzero(is_special).tolist())
    parts = [judge(common, horizon_ms=horizon_ms, reader=reader)] if common else []
    return concat([*parts, *(_judge_special(record, horizon_ms=horizon_ms, reader=reader) for record in specials)])


def _hold_rows_of_blocks(records: Sequence[Record]) -> bool:
    """Return whether one of `records` is a row of a block, delivered again; those in columns are whole records."""
    return not isinstance(records, RecordColumns) and any(record.block_row is not None for record in records)


def readings_max_of_each(
    records: Sequence[Record | MalformedRecord], reader: PayloadReader | None = None
) -> Sequence[int]:
    """Return an upper bound of the readings in each of `records`; see `readings_max`."""
    if not isinstance(records, RecordColumns):
        return [readings_max(record.payload, reader) if isinstance(record, Record) else 1 for record in records]
    payloads = records.payloads
    if reader is not None:
        return [readings_max(payload, reader) for payload in payloads]
    most = [1] * len(records)
    for place in np.flatnonzero(payloads.begin_with(BLOCK_MAGIC)).tolist():
        most[place] = readings_max(payloads[place])
    for place in np.flatnonzero(payloads.begin_with(MAGIC)).tolist():
        start = payloads.starts[place]
        aggregate_octets = payloads.octets[start : start + payloads.lengths[place]]
        most[place] = min(_payloads_max(aggregate_octets), READINGS_PER_RECORD_MAX)
    return most


def readings_max(payload: bytes, reader: PayloadReader | None = None) -> int:
    """Return an upper bound of the readings in a record's payload, which `reader` will read, without decoding it.

    READINGS_PER_RECORD_MAX at most: of a record that holds more, none counts.
    """
    if is_block(payload):
        from windrow.wire.block.block import open_block  # noqa: PLC0415 - loaded by the first block

        try:
            return open_block(payload).rows
        except BadReading:
            return 1
    payloads_max = _payloads_max(np.frombuffer(payload, np.uint8)) if payload.startswith(MAGIC) else 1
    if payloads_max >= READINGS_PER_RECORD_MAX:
        return READINGS_PER_RECORD_MAX
    readings = payloads_max if reader is None else reader.readings_max(payload, payloads_max=payloads_max)
    return min(readings, READINGS_PER_RECORD_MAX)


def _payloads_max(aggregate: Octets) -> int:
    """Return an upper bound of the payloads in an aggregate; one with a block counts as if it were full."""
    return READINGS_PER_RECORD_MAX if _holds_block(aggregate) else _user_records_max(aggregate)


def bad_rows_max(block_bytes: int) -> int:
    """Return how many bad readings of a block of so many bytes are quarantined one by one.

    The block's bytes alone decide, so the same block comes to the same rows in every batch, replay and redrive.
    """
    return min(BAD_ROWS_MAX, max(BAD_ROWS_ALWAYS, block_bytes // BAD_ROW_BYTES))


def _holds_block(body: Octets) -> bool:
    """Return whether the magic of blocks is anywhere in `body`, where its first byte is rare."""
    places = np.flatnonzero(body[: 1 - len(BLOCK_MAGIC)] == BLOCK_MAGIC[0])
    for offset, octet in enumerate(BLOCK_MAGIC):
        if not len(places):
            return False
        places = places[body[places + offset] == octet]
    return len(places) > 0


def _user_records_max(body: Octets) -> int:
    tags = np.count_nonzero(body == _TAG) + np.count_nonzero(body == _LONG_TAG)
    return max(1, int(tags) // _TAGS_PER_USER_RECORD)


def _judge_special(record: Record, *, horizon_ms: int, reader: PayloadReader | None) -> Judgement:
    try:
        payloads = _payloads(record)
    except BrokenAggregate:
        return judge([record], horizon_ms=horizon_ms, reader=reader)
    opened = [_opened(payload) if is_block(payload) else None for payload in payloads]
    total = sum(1 if block is None or isinstance(block, BadReading) else block.rows for block in opened)
    if total > READINGS_PER_RECORD_MAX:
        detail = f"{total} readings in one record, at most {READINGS_PER_RECORD_MAX}"
        return _rejected(quarantine_record(record, reason=Reason.TOO_MANY_READINGS, detail=detail))
    others = [index for index, block in enumerate(opened) if block is None]
    parts = [
        _judge_block(replace(record, index=record.index + index), payload, block, horizon_ms=horizon_ms)
        for index, (payload, block) in enumerate(zip(payloads, opened, strict=True))
        if block is not None
    ]
    if others:
        judged = _judge_payloads(record, [payloads[index] for index in others], horizon_ms=horizon_ms, reader=reader)
        placed = (replace(one, index=record.index + others[one.index - record.index]) for one in judged.rejected)
        parts.append(replace(judged, rejected=tuple(placed)))
    return concat(parts)


def _payloads(record: Record) -> list[bytes]:
    user_records = deaggregate(record.payload)
    return [record.payload] if user_records is None else [user_record.payload for user_record in user_records]


def _opened(payload: bytes) -> "EncodedBatch | BadReading":
    """Return the opened block, or what is wrong with it."""
    from windrow.wire.block.block import open_block  # noqa: PLC0415 - see above

    try:
        return open_block(payload)
    except BadReading as error:
        return error


def _judge_block(record: Record, payload: bytes, block: "EncodedBatch | BadReading", *, horizon_ms: int) -> Judgement:
    """Judge the block in `payload`, which is opened as `block`; `record` is its origin, with the block's position."""
    from windrow.wire.block.block import read_block  # noqa: PLC0415 - see above

    try:
        if isinstance(block, BadReading):
            raise block
        readings = read_block(block)
    except BadReading as error:
        return _rejected(quarantine_payload(record, index=0, payload=payload, reason=error.reason, detail=error.detail))
    ahead_ms = readings.event_time_ms - record.arrival_ms
    counts = is_sound(readings) & (-horizon_ms <= ahead_ms) & (ahead_ms <= EARLINESS_MS_MAX)
    if counts.all():
        return Judgement(readings, np.full(len(readings), record.arrival_ms), ())
    good, bad = readings.take(counts), np.flatnonzero(~counts)
    is_kept_whole = len(bad) > bad_rows_max(len(payload))
    rest = _judge_rows(record, readings, bad[:1] if is_kept_whole else bad, horizon_ms=horizon_ms)
    if is_kept_whole:
        first = rest.rejected[0]
        detail = f"{len(bad)} of {len(readings)} readings do not count, the first: {first.reason}: {first.detail}"
        whole = quarantine_payload(record, index=0, payload=payload, reason=Reason.BLOCK_READINGS, detail=detail)
        rest = replace(rest, rejected=(whole,))
    counted = Judgement(good, np.full(len(good), record.arrival_ms), ())
    return concat([counted, rest]) if len(rest.readings) else replace(counted, rejected=rest.rejected)


def _judge_rows(record: Record, readings: Readings, rows: npt.NDArray[np.int64], *, horizon_ms: int) -> Judgement:
    """Judge the `rows` of a block as JSON that means the same, one by one: they are few, and usually none counts."""
    from windrow.wire.block.block import to_json_payloads  # noqa: PLC0415 - see above

    counted: list[Reading] = []
    rejected: list[QuarantinedPayload] = []
    for row, payload in zip(rows.tolist(), to_json_payloads(readings, rows), strict=True):
        try:
            one = parse_reading(payload)
            check_ahead(one.event_time_ms - record.arrival_ms, horizon_ms=horizon_ms)
        except BadReading as error:
            bad = quarantine_payload(record, index=0, payload=payload, reason=error.reason, detail=error.detail)
            rejected.append(replace(bad, block_row=row))
        else:
            counted.append(one)
    return Judgement(Readings.of(counted), np.full(len(counted), record.arrival_ms), tuple(rejected))


def _judge_payloads(
    record: Record, payloads: Sequence[bytes], *, horizon_ms: int, reader: PayloadReader | None
) -> Judgement:
    """Judge `payloads` as if `record` held exactly these, in this order."""
    sealed = aggregate([UserRecord(OUTER_PARTITION_KEY, payload) for payload in payloads])
    return judge([replace(record, payload=sealed)], horizon_ms=horizon_ms, reader=reader)


def _rejected(rejected: QuarantinedPayload) -> Judgement:
    return Judgement(Readings.of([]), np.zeros(0, np.int64), (rejected,))


def concat(parts: Sequence[Judgement]) -> Judgement:
    """Return what all `parts` judged, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Judgement(
        readings=Readings.concat([part.readings for part in parts]),
        arrived_ms=np.concatenate([part.arrived_ms for part in parts]) if parts else np.zeros(0, np.int64),
        rejected=tuple(chain.from_iterable(part.rejected for part in parts)),
    )
