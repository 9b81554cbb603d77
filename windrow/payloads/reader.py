"""Batches of payloads read under a stage's contract: columns of readings, and what is bad."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.payloads.contract import Contract, Decoder, Framing, Kind
from windrow.payloads.decode import FRAME_BYTES_MAX, decode
from windrow.payloads.fast import FoundReadings, read_common_layouts
from windrow.payloads.values import DecodedReading, Refusal
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings
from windrow.wire.json.sample import is_worth_reading
from windrow.wire.json.strict import BadPayload, ParsedReadings

REFUSALS_SHOWN_MAX = 5
"""Of the bad parts of one payload, so many are described; the others are counted."""


@dataclass(frozen=True, slots=True)
class ContractReader:
    """Reads payloads as `contract` says."""

    contract: Contract

    def read(self, payloads: Payloads, arrived_ms: Int64s) -> ParsedReadings:
        """Read every payload; `arrived_ms`, int64[n], is the arrival of each one's record.

        A payload may become several readings, and be among the bad ones beside that: what is bad in it is one row.
        """
        found, others = read_common_layouts(self.contract, payloads, arrived_ms)
        by_value, others = self._by_value(payloads, others, arrived_ms)
        rest = self._one_by_one(payloads, others, arrived_ms)
        read = [
            (readings, source)
            for readings, source in (
                (found.readings, found.source), (by_value.readings, by_value.source), (rest.readings, rest.source),
            )
            if len(source)
        ]  # fmt: skip
        if len(read) < 2:
            readings, source = read[0] if read else (rest.readings, rest.source)
            return ParsedReadings(readings, source, rest.bad)
        source = np.concatenate([one for _, one in read])
        order = np.argsort(source, kind="stable")
        return ParsedReadings(Readings.concat([one for one, _ in read]).take(order), source[order], rest.bad)

    def _by_value(self, payloads: Payloads, which: Int64s, arrived_ms: Int64s) -> tuple[FoundReadings, Int64s]:
        """Read those of `which` that surely are readings and nothing else, and return which payloads are left."""
        fitting = which[payloads.lengths[which] <= FRAME_BYTES_MAX]
        read = partial(self._read_values, payloads, arrived_ms=arrived_ms)
        if not is_worth_reading(fitting, lambda sample: len(np.unique(read(sample).source))):
            return FoundReadings(Readings.of([]), which[:0]), which
        found = read(fitting)
        return found, np.setdiff1d(which, found.source)

    def _read_values(self, payloads: Payloads, which: Int64s, *, arrived_ms: Int64s) -> FoundReadings:
        # msgspec takes as long to load as numpy, and most batches need none.
        from windrow.payloads.by_value import can_read, read_by_value  # noqa: PLC0415 - see above

        if not can_read(self.contract):
            return FoundReadings(Readings.of([]), which[:0])
        return read_by_value(self.contract, payloads, which, arrived_ms)

    def _one_by_one(self, payloads: Payloads, which: Int64s, arrived_ms: Int64s) -> ParsedReadings:
        """Decode the payloads `which`, ascending, by the definition."""
        readings: list[Reading] = []
        source: list[int] = []
        bad: list[BadPayload] = []
        for index, arrival_ms in zip(which.tolist(), arrived_ms[which].tolist(), strict=True):
            decoded = decode(self.contract, payloads[index], arrival_ms=arrival_ms)
            readings += map(_reading, decoded.readings)
            source += [index] * len(decoded.readings)
            if decoded.refusals:
                bad.append(_bad_payload(index, decoded.refusals))
        return ParsedReadings(Readings.of(readings), np.array(source, np.int64), tuple(bad))

    def readings_max(self, record: bytes, *, payloads_max: int) -> int:
        """Return an upper bound of the readings in a record of at most so many payloads, without decoding it."""
        quantities = max((len(kind.quantities) for kind in self.contract.kinds), default=1) or 1
        if self.contract.framing is Framing.OBJECT and not any(map(_holds_several, self.contract.kinds)):
            return quantities * payloads_max
        elements = record.count(b"{") + record.count(b"[")
        if any(not _needs_parents(kind) for kind in self.contract.kinds):
            elements += record.count(b",")
        return quantities * max(elements, 1)


def _reading(one: DecodedReading) -> Reading:
    quantity = _quantity(one.quantity, one.unit)
    return Reading(one.sensor_id, one.event_time_ms, one.sequence, one.value_milli, quantity)


@lru_cache(maxsize=256)
def _quantity(name: str, unit: str) -> Quantity:
    """Return the quantity, checked once: a contract has few."""
    return Quantity(name, unit)


def _bad_payload(index: int, refusals: Sequence[Refusal]) -> BadPayload:
    """Return what is bad in one payload: the reason is that of the first part, the detail names them all."""
    first, *others = refusals
    shown = [str(first), *(f"{one.reason}: {one}" for one in others[: REFUSALS_SHOWN_MAX - 1])]
    more = len(refusals) - len(shown)
    return BadPayload(index, first.reason, "; ".join([*shown, *([f"and {more} more"] if more else [])]))


def _holds_several(kind: Kind) -> bool:
    return kind.each is not None or kind.decoder is Decoder.SENML


def _needs_parents(kind: Kind) -> bool:
    """Whether each element with a reading is an object or an array, because its values lie in it."""
    return all(quantity.path.steps and not quantity.path.is_from_root for quantity in kind.quantities)
