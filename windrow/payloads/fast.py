"""Fast reading of a batch of payloads under a contract, as columns, for the payloads that have a common layout.

What it reads is what `windrow.payloads.decode` would read, in the same order; it leaves over what it cannot read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.payloads.contract import Contract, Decoder
from windrow.payloads.layout import Columns, ContractLayout
from windrow.payloads.senml import RELATIVE_BELOW_MS
from windrow.quantities import Quantity, series_in
from windrow.reading import Readings, are_sensor_ids
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.fast import Search
from windrow.wire.json.strict import PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True, eq=False)
class FoundReadings:
    """n readings and `source`, the payloads they came from: int64[n], ascending; a payload may have several."""

    readings: Readings
    source: Int64s


def read_common_layouts(contract: Contract, payloads: Payloads, arrived_ms: Int64s) -> tuple[FoundReadings, Int64s]:
    """Return the readings of payloads with common layouts, and the ascending numbers of all other payloads: int64[m].

    arrived_ms: int64[n], the arrival of each payload's record.
    """
    pending = np.flatnonzero(payloads.lengths <= PAYLOAD_BYTES_MAX)
    is_read = np.zeros(len(payloads), bool)
    read: list[FoundReadings] = []
    search = Search()
    while search.goes_on(pending):
        layout = ContractLayout.of(contract, search.example(payloads, pending))
        if layout is None or not search.is_fruitful(
            payloads, pending, layout.parts, partial(_number_read, layout, payloads)
        ):
            continue
        for rows, columns in layout.read(payloads, pending):
            if len(rows):
                found = _found(layout, payloads, rows, columns, arrived_ms)
                read.append(found)
                is_read[found.source] = True
        left = pending[~is_read[pending]]
        search.found(len(pending) - len(left), of=len(pending))
        pending = left
    return _joined(read), np.flatnonzero(~is_read)


def _number_read(layout: ContractLayout, payloads: Payloads, rows: Int64s) -> int:
    return sum(len(read) for read, _ in layout.read(payloads, rows))


def _found(
    layout: ContractLayout, payloads: Payloads, rows: Int64s, columns: Columns, arrived_ms: Int64s
) -> FoundReadings:
    """Return the readings of the payloads `rows` all of whose ids are sensor ids.

    m payloads have s readings each: every element its quantities, in this order.
    """
    rows, columns = _with_times(layout, rows, columns, arrived_ms)
    ids, place, is_id = _ids(layout, payloads, columns)
    rows, columns = _chosen(is_id, rows, columns)
    quantities = sorted({one for element in layout.elements for one in element.quantities})
    slots = [
        (number, element, quantities.index(quantity), name)
        for number, element in enumerate(layout.elements)
        for quantity, name in zip(element.quantities, element.values, strict=True)
    ]
    kinds = [layout.kind.quantities[one] for one in quantities]
    series = [series_in(ids, Quantity(one.name, one.unit)) for one in kinds]
    none = np.zeros(len(rows), np.int64)
    return FoundReadings(
        Readings(
            sensor_ids=series[0] if len(series) == 1 else Strings.concat(series),
            sensor=_row_by_row([place[number] + len(ids) * which for number, _, which, _ in slots]).astype(np.int32),
            event_time_ms=_row_by_row([columns[_time(number)] for number, _, _, _ in slots]),
            sequence=_row_by_row([columns[one.sequence] if one.sequence else none for _, one, _, _ in slots]),
            value_milli=_row_by_row([columns[name] for _, _, _, name in slots]).astype(np.int32),
        ),
        np.repeat(rows, len(slots)),
    )


def _chosen(chosen: Mask, rows: Int64s, columns: Columns) -> tuple[Int64s, Columns]:
    """Return the rows where `chosen` is true: bool[m]."""
    if chosen.all():
        return rows, columns
    return rows[chosen], {name: column[chosen] for name, column in columns.items()}


def _time(element: int) -> str:
    """Return the name of the column with the time of an element."""
    return f"event_time_ms of {element}"


def _with_times(layout: ContractLayout, rows: Int64s, columns: Columns, arrived_ms: Int64s) -> tuple[Int64s, Columns]:
    """Add the time of each element, and drop the rows in which one is out of range, or may be."""
    is_senml = layout.kind.decoder is Decoder.SENML
    is_time = np.ones(len(rows), bool)
    times: Columns = {}
    for number, element in enumerate(layout.elements):
        summands = [columns[name] for name in element.times]
        if is_senml:
            time_ms: Int64s = np.sum([np.zeros(len(rows), np.int64), *summands], axis=0)
            is_time &= time_ms != RELATIVE_BELOW_MS  # rounded, it does not tell any more on which side it was
            is_time &= (time_ms >= INSTANT_MS_MIN) & (time_ms <= INSTANT_MS_MAX)
            time_ms += np.where(time_ms < RELATIVE_BELOW_MS, arrived_ms[rows], 0)
            is_time &= (time_ms >= INSTANT_MS_MIN) & (time_ms <= INSTANT_MS_MAX)
        else:
            time_ms = summands[0] if summands else arrived_ms[rows]
        times[_time(number)] = time_ms
    return _chosen(is_time, rows, columns | times)


def _row_by_row(columns: Sequence[Int64s]) -> Int64s:
    """Return s columns, int64[m] each, as one: int64[m * s]."""
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1).ravel()


def _ids(layout: ContractLayout, payloads: Payloads, columns: Columns) -> tuple[Strings, list[Int64s], Mask]:
    """Return k sensor ids, for each element the places among them, and which rows have only such ids: bool[m].

    The places are those of the rows that have.
    """
    own = list(dict.fromkeys(element.ids for element in layout.elements))  # often all elements share one
    texts = layout.id_texts
    parts = [
        Strings.of_slices(
            payloads.octets,
            np.concatenate([columns[f"{names[number]} start"] for names in own]),
            np.concatenate([columns[f"{names[number]} length"] for names in own]),
        ).rank()
        for number in range(len(texts) - 1)
    ]
    ids, which = parts[0] if texts == ("", "") else _joined_ids(texts, parts)
    is_id = ids.are_utf8()
    is_id &= are_sensor_ids(ids)
    which = which.reshape(len(own), -1)
    has_id = np.ones(which.shape[1], bool)
    if not is_id.all():
        has_id = np.logical_and.reduce(is_id[which], axis=0)
        ids, which = ids.take(np.flatnonzero(is_id)), (np.cumsum(is_id) - 1)[which[:, has_id]]
    return ids, [which[own.index(element.ids)] for element in layout.elements], has_id


def _joined_ids(texts: Sequence[str], parts: Sequence[tuple[Strings, Int64s]]) -> tuple[Strings, Int64s]:
    """Return the distinct ids that a template makes of its parts, and each row's: as bytes, UTF-8 or not."""
    code = np.zeros(len(parts[0][1]), np.int64)
    for distinct, which in parts:
        code = np.unique(code, return_inverse=True)[1] * len(distinct) + which
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    encoded = [text.encode() for text in texts]
    joined = [
        b"".join(
            [encoded[0]]
            + [
                one
                for (distinct, which), text in zip(parts, encoded[1:], strict=True)
                for one in (distinct.octets_at(int(which[row])), text)
            ]
        )
        for row in first.tolist()
    ]
    return Strings.of_octets(joined), place.astype(np.int64)


def _joined(found: Sequence[FoundReadings]) -> FoundReadings:
    """Join all readings, ascending by payload; within one they keep their order."""
    if not found:
        return FoundReadings(Readings.of([]), np.zeros(0, np.int64))
    if len(found) == 1:
        return found[0]
    source = np.concatenate([one.source for one in found])
    readings = Readings.concat([one.readings for one in found])
    if (source[1:] >= source[:-1]).all():
        return FoundReadings(readings, source)
    order = np.argsort(source, kind="stable")
    return FoundReadings(readings.take(order), source[order])
