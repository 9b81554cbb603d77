"""Contracts and payloads made by chance, and what must hold whatever they are.

- A contract is compiled, or refused with ContractError; nothing else is raised. Its stored form means the same.
- No payload raises anything, and a batch of them is read as `decode` reads each one: readings, order and reasons.
- What counts is within the quantity's bounds, and no id is one that rows could not hold.
"""

import random
from collections.abc import Sequence, Set

import numpy as np

from tests.fuzz.harness import Broken
from tests.fuzz.mutation import Mutator
from tests.property.contract_wire import KINDS, batch
from tests.property.wire import damage
from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.payloads.by_value import can_read, read_by_value
from windrow.payloads.contract import Contract
from windrow.payloads.decode import FRAME_BYTES_MAX, decode
from windrow.payloads.fast import read_common_layouts
from windrow.payloads.load import load_contract, load_stored, stored_form
from windrow.payloads.reader import ContractReader
from windrow.payloads.readymade import READY_MADE
from windrow.payloads.table import ContractError
from windrow.payloads.values import DecodedPayload, bounds_of
from windrow.reading import Readings, check_event_time_ms, check_sensor_id, check_sequence

ARRIVED_MS = 1_795_169_400_000
_PATHS = (
    "id", "at", "t", "n", "ts", "site", "device.id", "data.temp", "data.rh || data.humidity", "readings[1]", "mac",
    "time", "temp", "wind", "serial", "v", "mv", "a", "b", "tags.device", "fields.temperature", "timestamp", "$.id",
    "@", "data", "readings[-1]", "readings[?@ == '1']", "\\\"a b\\\"", "type", "temp_unit", "'roof'", "*", "length(@)",
)  # fmt: skip
_TIMES = (
    '{ path = "at", form = "epoch_ms" }', '{ path = "ts", form = "epoch_s" }', '{ path = "time", form = "rfc3339" }',
    '{ path = "time", form = "iso8601", zone = "Europe/Berlin" }', '{ path = "t", form = "epoch" }',
    '{ path = "at", form = "epoch_ns" }', '{ form = "arrival" }', '{ path = "time", form = "pattern" }',
    '{ path = "time", form = "pattern", pattern = "%Y-%m-%dT%H:%M:%SZ", zone = "UTC" }', '{ form = "epoch_s" }',
)  # fmt: skip
_UNITS = ("C", "°F", "K", "%", "hPa", "inHg", "mV", "V", "km/h", "m/s", "NTU", "", "ppm", "1")
_NUMBERS = ("0", "-40", "85.5", "-127", "1e9", "0.0001", "nan", "-1.5e3", "99999999999")


Row = tuple[int, str, str, str, int, int, int]
"""The place of a payload, and one of its readings: id, quantity, unit, time, sequence, thousandths."""


def rows_of(readings: Readings, source: Int64s) -> list[Row]:
    """Return readings as rows, in their order."""
    return [
        (place, one.sensor_id, one.quantity.name, one.quantity.unit, one.event_time_ms, one.sequence, one.value_milli)
        for place, one in zip(source.tolist(), readings, strict=True)
    ]


def _rows_of_decoded(decoded: Sequence[DecodedPayload], chosen: Set[int]) -> list[Row]:
    return [
        (place, one.sensor_id, one.quantity, one.unit, one.event_time_ms, one.sequence, one.value_milli)
        for place, payload in enumerate(decoded)
        if place in chosen
        for one in payload.readings
    ]


class ContractFuzzer:
    """Makes contracts and payloads, and compares the ways of reading them."""

    def __init__(self, mutator: Mutator, chance: random.Random) -> None:
        self._mutator = mutator
        self._chance = chance
        self.contracts = self.refused = self.readings = self.refusals = 0
        self.last: dict[str, object] = {}

    def check_one(self) -> None:
        """Make one contract, and if it can be used a batch of payloads; Broken says what does not hold."""
        name = self._chance.choice([*sorted(KINDS), "", ""])
        text = self._damaged(KINDS[name][0] if name else self._contract())
        payloads = self._payloads(name or self._chance.choice(sorted(KINDS)))
        self.last = {"contract": text, "payloads": [payload.hex() for payload in payloads]}
        try:
            contract = load_contract(text)
        except ContractError:
            self.refused += 1
            return
        self.contracts += 1
        self.check(contract, load_stored(stored_form(text)), payloads)

    def check(self, contract: Contract, stored: Contract, payloads: list[bytes]) -> None:
        """Compare a batch with its payloads one by one, and the contract with its stored form."""
        arrived_ms = ARRIVED_MS + np.arange(len(payloads))
        one_by_one = [
            decode(contract, payload, arrival_ms=int(arrival_ms))
            for payload, arrival_ms in zip(payloads, arrived_ms, strict=True)
        ]
        again = [
            decode(stored, payload, arrival_ms=int(arrival_ms))
            for payload, arrival_ms in zip(payloads, arrived_ms, strict=True)
        ]
        if [(one.readings, one.refusals) for one in one_by_one] != [(one.readings, one.refusals) for one in again]:
            raise Broken("the stored form of a contract means something else")
        self.compare(contract, payloads)
        for decoded in one_by_one:
            self._check_readings(contract, decoded)

    @staticmethod
    def compare(contract: Contract, payloads: list[bytes]) -> None:
        """Read payloads by layout, by value, strictly, and as a batch; Broken if two of these do not agree."""
        arrived_ms = ARRIVED_MS + np.arange(len(payloads))
        decoded = [
            decode(contract, payload, arrival_ms=int(arrival_ms))
            for payload, arrival_ms in zip(payloads, arrived_ms, strict=True)
        ]
        column, every = Payloads.of(payloads), np.arange(len(payloads))
        short = np.flatnonzero(column.lengths <= FRAME_BYTES_MAX)
        ways = {"by layout": read_common_layouts(contract, column, arrived_ms)[0]}
        if can_read(contract):
            ways["by value"] = read_by_value(contract, column, short, arrived_ms)
        for way, found in ways.items():
            read = rows_of(found.readings, found.source)
            wanted = _rows_of_decoded(decoded, set(found.source.tolist()))
            if read != wanted:
                raise Broken(f"{way} payloads are read otherwise: {set(read) ^ set(wanted)}")
            if any(decoded[place].refusals for place in found.source.tolist()):
                raise Broken(f"{way} a payload is read in which something is refused")
        parsed = ContractReader(contract).read(column, arrived_ms)
        read, wanted = rows_of(parsed.readings, parsed.source), _rows_of_decoded(decoded, set(every.tolist()))
        if read != wanted:
            raise Broken(f"a batch is read otherwise: {set(read) ^ set(wanted)}")
        bad = [(index, one.refusals[0].reason) for index, one in enumerate(decoded) if one.refusals]
        if [(one.index, one.reason) for one in parsed.bad] != bad:
            raise Broken("other payloads are bad, or for other reasons, in a batch")

    def _check_readings(self, contract: Contract, decoded: DecodedPayload) -> None:
        bounds: dict[str, tuple[int, int]] = {}
        for kind in contract.kinds:
            for quantity in kind.quantities:
                least, most = bounds_of(quantity)
                had = bounds.get(quantity.name, (least, most))
                bounds[quantity.name] = (min(least, had[0]), max(most, had[1]))
        self.readings += len(decoded.readings)
        self.refusals += len(decoded.refusals)
        for one in decoded.readings:
            check_sensor_id(one.sensor_id)
            check_event_time_ms(one.event_time_ms)
            check_sequence(one.sequence)
            least, most = bounds.get(one.quantity, (-(2**31), 2**31 - 1))
            if not least <= one.value_milli <= most:
                raise Broken(f"{one} is out of bounds")

    def _contract(self) -> str:
        if self._chance.random() < 0.15:
            return f'use = "{self._chance.choice([*READY_MADE, "none"])}"\n'
        framings = ("object", "lines", "concatenated", "array", "none")
        text = f'framing = "{self._chance.choice(framings)}"\n' if self._chance.random() < 0.3 else ""
        return text + "".join(self._kind() for _ in range(self._chance.choice((1, 1, 2))))

    def _damaged(self, text: str) -> str:
        if self._chance.random() < 0.85:
            return text
        return damage(self._chance, text.encode()).decode(errors="replace")

    def _kind(self) -> str:
        pick = self._chance.choice
        lines = ["[[payload]]", f'sensor_id = "{pick((pick(_PATHS), f"{{{pick(_PATHS)}}}/{{{pick(_PATHS)}}}"))}"']
        lines.append(f"time = {pick(_TIMES)}")
        if self._chance.random() < 0.4:
            more = pick(("", ", exists = false", ', equals = "climate"', ", equals = 7"))
            lines.append(f'when = [{{ path = "{pick(_PATHS)}"{more} }}]')
        if self._chance.random() < 0.3:
            lines.append(f'sequence = "{pick(("n", "seq", pick(_PATHS)))}"')
        if self._chance.random() < 0.15:
            lines.append(f'each = "{pick(("readings", pick(_PATHS)))}"')
        for name in self._chance.sample(("temperature", "humidity", "pressure", "x_1"), self._chance.choice((1, 1, 2))):
            lines += [f"[payload.quantity.{name}]", f'path = "{pick(_PATHS)}"', f'unit = "{pick(_UNITS)}"']
            if self._chance.random() < 0.3:
                lines.append(f'to = "{pick(_UNITS)}"')
            if self._chance.random() < 0.3:
                lines.append(f"{pick(('min', 'max', 'required'))} = {pick((*_NUMBERS, 'true'))}")
            if self._chance.random() < 0.3:
                lines.append(f'missing = [{pick(_NUMBERS)}, "unavailable"]')
            if self._chance.random() < 0.2:
                lines.append('unit_path = "temp_unit"')
        return "\n".join(lines) + "\n"

    def _payloads(self, kind: str) -> list[bytes]:
        seed, size = self._chance.randrange(2**32), self._chance.choice((1, 8, 40, 80))
        made = batch(
            seed,
            kind,
            size=size,
            odd=self._chance.choice((0.0, 0.1)),
            damaged=self._chance.choice((0.0, 0.1)),
        )
        return [*made, self._mutator.payload()] if self._chance.random() < 0.3 else made
