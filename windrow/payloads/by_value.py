"""Payloads under a contract that have no common layout: their values by msgspec, their readings as columns.

A payload is read only if `windrow.payloads.decode` would read the same readings from it and refuse nothing in it. In
doubt it is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.payloads.contract import Contract, Decoder, Framing, Kind
from windrow.payloads.decode import FRAME_BYTES_MAX
from windrow.payloads.elements import ColumnsOfKind, Elements, has_plain_paths, kind_of_value
from windrow.payloads.fast import FoundReadings
from windrow.payloads.senml_values import read_packs
from windrow.quantities import series_in
from windrow.reading import READINGS_PER_RECORD_MAX, Readings
from windrow.wire.json.by_value import read_fields
from windrow.wire.json.objects import UNSURE, in_chunks, read_values
from windrow.wire.json.strict import PAYLOAD_BYTES_MAX


@dataclass(slots=True)
class _Gathered:
    """The elements of one kind in their order, each with its number among all of the chunk, and its payload."""

    elements: list[object] = field(default_factory=list)
    roots: list[object] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    payloads: list[int] = field(default_factory=list)


def can_read(contract: Contract) -> bool:
    """Return whether its payloads can be read so: it asks for fields and indexes only."""
    return all(has_plain_paths(kind) for kind in contract.kinds)


def read_by_value(contract: Contract, payloads: Payloads, which: Int64s, arrived_ms: Int64s) -> FoundReadings:
    """Return the readings of those payloads of `which`, ascending, that surely are readings and nothing else."""
    found = [_read_chunk(contract, payloads, chunk, arrived_ms) for chunk in in_chunks(payloads, which)]
    return FoundReadings(
        Readings.concat([one.readings for one in found]), np.concatenate([one.source for one in found])
    )


def _read_chunk(contract: Contract, payloads: Payloads, which: Int64s, arrived_ms: Int64s) -> FoundReadings:
    is_left = np.zeros(len(which), bool)
    gathered = [_Gathered() for _ in contract.kinds]
    number = 0
    for place, value in _values(contract.framing, payloads.objects(which)):
        at = kind_of_value(contract, value)
        elements = None if at is None else _elements(contract.kinds[at], value)
        if at is None or not elements:
            is_left[place] = True
            continue
        into, count = gathered[at], len(elements)
        into.elements += elements
        into.roots += [value] * count
        into.numbers += range(number, number + count)
        into.payloads += [place] * count
        number += count
    read: list[tuple[Readings, Int64s, Int64s]] = []
    for kind, one in zip(contract.kinds, gathered, strict=True):
        if one.elements:
            read.append(_read_kind(kind, one, arrived_ms[which[one.payloads]], is_left))
    return _joined(read, which, is_left)


def _values(framing: Framing, payloads: Iterator[bytes]) -> Iterator[tuple[int, object]]:
    """Yield the place of each payload and the values that it holds, in their order; UNSURE in doubt."""
    match framing:
        case Framing.LINES:
            lines = [
                (place, line)
                for place, payload in enumerate(payloads)
                for line in (payload.split(b"\n") if len(payload) <= FRAME_BYTES_MAX else [payload])
                if line.strip() or not payload.strip()
            ]
            yield from zip((place for place, _ in lines), _fitting(line for _, line in lines), strict=True)
        case Framing.ARRAY:
            for place, value in enumerate(read_values(payloads)):
                elements = value if type(value) is list and value else [UNSURE]
                yield from ((place, element) for element in elements)
        case _:
            yield from enumerate(_fitting(payloads))


def _fitting(payloads: Iterator[bytes]) -> Iterator[object]:
    return iter(read_values(one if len(one) <= PAYLOAD_BYTES_MAX else b"" for one in payloads))


def _elements(kind: Kind, value: object) -> list[object] | None:
    if kind.each is None:
        return [value]
    found = kind.each.find(value, value)
    return found if isinstance(found, list) else None


def _read_kind(kind: Kind, gathered: _Gathered, arrived_ms: Int64s, is_left: Mask) -> tuple[Readings, Int64s, Int64s]:
    """Return the readings of a kind, and the payload and the order of each; note in `is_left` which payloads stay."""
    source, numbers = np.array(gathered.payloads, np.int64), np.array(gathered.numbers, np.int64)
    if kind.decoder is Decoder.WINDROW:
        readings, is_read = read_fields(gathered.elements)  # type: ignore[arg-type]
        is_left[source[~is_read]] = True
        return readings, source[is_read], numbers[is_read]
    if kind.decoder is Decoder.SENML:
        columns = read_packs(kind, gathered.elements, arrived_ms)
    else:
        columns = Elements(kind, gathered.elements, gathered.roots).read(arrived_ms)
    is_left[source[columns.is_left]] = True
    return _readings(columns), source[columns.element], numbers[columns.element]


def _readings(columns: ColumnsOfKind) -> Readings:
    series = [series_in(columns.ids, quantity) for quantity in columns.quantities]
    return Readings(
        sensor_ids=series[0] if len(series) == 1 else Strings.concat(series),
        sensor=(columns.id_place + columns.quantity * len(columns.ids)).astype(np.int32),
        event_time_ms=columns.event_time_ms,
        sequence=columns.sequence,
        value_milli=columns.value_milli.astype(np.int32),
    )


def _joined(read: Sequence[tuple[Readings, Int64s, Int64s]], which: Int64s, is_left: Mask) -> FoundReadings:
    """Join what the kinds have, in the order of the payloads and of the elements in each, without those that stay."""
    if not read:
        return FoundReadings(Readings.of([]), which[:0])
    readings = Readings.concat([one for one, _, _ in read])
    source = np.concatenate([one for _, one, _ in read])
    numbers = np.concatenate([one for _, _, one in read])
    is_left |= np.bincount(source, minlength=len(is_left)) > READINGS_PER_RECORD_MAX
    chosen = np.flatnonzero(~is_left[source])
    if len(read) > 1:
        chosen = chosen[np.argsort(numbers[chosen], kind="stable")]
    if len(chosen) < len(source) or len(read) > 1:
        readings, source = readings.take(chosen), source[chosen]
    return FoundReadings(readings, which[source])
