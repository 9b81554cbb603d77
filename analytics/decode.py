"""Decoding of a stream's records for the audit: strict, and without the consumer's code.

Payloads of a contract are read by its definition, `windrow.payloads.decode`; the consumer reads nearly all of them by
faster ways, which are proven against it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analytics.oracle import READING_COLUMNS
from windrow.aws.stream import StreamRecord
from windrow.payloads.contract import Contract
from windrow.payloads.decode import decode as decode_by_contract
from windrow.quantities import Quantity
from windrow.reading import EARLINESS_MS_MAX, READINGS_PER_RECORD_MAX, BadReading, Reading, Reason, is_sound
from windrow.wire.block import is_block
from windrow.wire.block.block import decode_block, open_block, to_json_payloads
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import BrokenAggregate, deaggregate

BATCH_READINGS = 100_000
COLUMNS = (*READING_COLUMNS, "arrival_ms")

AGGREGATE_BROKEN = "aggregate_broken"
OUT_OF_TIME = "out_of_time"


@dataclass(slots=True)
class StreamTotals:
    """Running totals of what was decoded; `rejected` has the number of payloads that do not count, by reason."""

    records: int = 0
    readings: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    oldest_arrival_ms: int | None = None


def decode(
    records: Iterable[StreamRecord], totals: StreamTotals, *, horizon_ms: int, contract: Contract | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the readings that count, in frames of about BATCH_READINGS with COLUMNS, and add to `totals`.

    A reading counts if its event time is at most `horizon_ms` before its record's arrival and at most EARLINESS_MS_MAX
    after it. Payloads are read under `contract`, those of the default form without one.
    """
    rows: list[tuple[str, str, str, int, int, int, int]] = []
    for record in records:
        totals.records += 1
        arrival_ms = record.arrival_ms
        totals.oldest_arrival_ms = min(arrival_ms, totals.oldest_arrival_ms or arrival_ms)
        for reading in _readings_of(record, totals, contract):
            if not -horizon_ms <= reading.event_time_ms - arrival_ms <= EARLINESS_MS_MAX:
                totals.rejected[OUT_OF_TIME] += 1
                continue
            series = (reading.sensor_id, reading.quantity.name, reading.quantity.unit)
            rows.append((*series, reading.event_time_ms, reading.sequence, reading.value_milli, arrival_ms))
        if len(rows) >= BATCH_READINGS:
            totals.readings += len(rows)
            yield pd.DataFrame(rows, columns=pd.Index(COLUMNS))
            rows = []
    totals.readings += len(rows)
    yield pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _readings_of(record: StreamRecord, totals: StreamTotals, contract: Contract | None) -> Iterator[Reading]:
    try:
        user_records = deaggregate(record.body)
    except BrokenAggregate:
        totals.rejected[AGGREGATE_BROKEN] += 1
        return
    if user_records == []:
        totals.rejected[Reason.AGGREGATE_EMPTY.value] += 1
        return
    payloads = [record.body] if user_records is None else [one.payload for one in user_records]
    if sum(map(_declared, payloads)) > READINGS_PER_RECORD_MAX:
        totals.rejected[Reason.TOO_MANY_READINGS.value] += 1
        return
    if contract is not None:
        yield from _readings_by_contract(
            contract, [one for one in payloads if not is_block(one)], totals, arrival_ms=record.arrival_ms
        )
        payloads = [one for one in payloads if is_block(one)]
    for payload in payloads:
        try:
            if is_block(payload):
                yield from _readings_of_block(payload, totals)
            else:
                yield parse_reading(payload)
        except BadReading as error:
            totals.rejected[error.reason.value] += 1


def _readings_by_contract(
    contract: Contract, payloads: Sequence[bytes], totals: StreamTotals, *, arrival_ms: int
) -> list[Reading]:
    """Return the readings in the payloads of one record; none if they are more than a record may hold.

    A payload may hold some readings, and be rejected for others.
    """
    readings: list[Reading] = []
    rejected: list[Reason] = []
    for payload in payloads:
        decoded = decode_by_contract(contract, payload, arrival_ms=arrival_ms)
        readings += [
            Reading(one.sensor_id, one.event_time_ms, one.sequence, one.value_milli, Quantity(one.quantity, one.unit))
            for one in decoded.readings
        ]
        rejected += [one.reason for one in decoded.refusals[:1]]
    if len(readings) > READINGS_PER_RECORD_MAX:
        readings, rejected = [], [Reason.TOO_MANY_READINGS]
    totals.rejected.update(reason.value for reason in rejected)
    return readings


def _declared(payload: bytes) -> int:
    """Return the number of readings that a payload's header announces."""
    try:
        return open_block(payload).rows if is_block(payload) else 1
    except BadReading:
        return 1


def _readings_of_block(payload: bytes, totals: StreamTotals) -> Iterator[Reading]:
    """Yield the sound readings of a block; reject each of the others with the reason for its JSON form."""
    readings = decode_block(payload)
    sound = is_sound(readings)
    yield from readings.take(sound)
    for json_payload in to_json_payloads(readings, np.flatnonzero(~sound)):
        try:
            yield parse_reading(json_payload)
        except BadReading as error:
            totals.rejected[error.reason.value] += 1
