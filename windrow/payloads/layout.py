"""Layouts of payloads under a contract, each derived from one payload as an example.

Payloads with the fields of the example, in its order and with its spaces, are read together as columns. What the
contract asks for is read by the parts that are made for it, what it tests for must be as in the example, and all else
is skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.words import ROWS_AT_ONCE
from windrow.payloads.contract import Contract, Decoder, Framing, Kind
from windrow.payloads.decode import decode, kind_of
from windrow.payloads.example import Example, UnusualError
from windrow.payloads.roles import ElementColumns, Roles
from windrow.payloads.senml_layout import record_columns
from windrow.reading import BadReading
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.parts import LayoutPart
from windrow.wire.json.values import parse_value

Columns = dict[str, Int64s]
_FRAMINGS = frozenset({Framing.OBJECT, Framing.LINES, Framing.CONCATENATED})


@dataclass(frozen=True, slots=True)
class ContractLayout:
    """The parts of a payload in their order, its kind, and the columns of each of its elements, usually one.

    id_texts: what is before, between and behind the parts of an id.
    """

    kind: Kind
    id_texts: tuple[str, ...]
    elements: tuple[ElementColumns, ...]
    parts: tuple[LayoutPart, ...]

    @classmethod
    def of(cls, contract: Contract, example: bytes) -> Self | None:
        """Derive the layout of a payload; None unless it is readings and nothing else, written in a usual way."""
        decoded = decode(contract, example, arrival_ms=0)
        if decoded.refusals or not decoded.readings or contract.framing not in _FRAMINGS:
            return None
        text = example.decode("latin-1")
        if contract.framing is Framing.LINES and "\n" in text.strip():
            return None
        try:
            return cls._of(contract, kind_of(contract, parse_value(example)), text)
        except (UnusualError, BadReading):  # of several values in a frame, `parse_value` takes none
            return None

    @classmethod
    def _of(cls, contract: Contract, kind: Kind | None, text: str) -> Self:
        if kind is None or kind.decoder is Decoder.WINDROW:
            raise UnusualError("a kind that has a reader of its own")
        example = Example(text)
        roles = Roles(example)
        for other in contract.kinds[: contract.kinds.index(kind) + 1]:
            for test in other.tests:
                roles.fix(test)
        if kind.decoder is Decoder.SENML:
            elements = record_columns(example, kind)
            id_texts = ("",) * (1 + len(elements[0].ids))
        else:
            elements = tuple(roles.assign(kind, place) for place in roles.places(kind))
            id_texts = kind.sensor_id.texts if kind.sensor_id else ()
        return cls(kind, id_texts, elements, example.parts())

    def read(self, payloads: Payloads, rows: Int64s) -> Iterator[tuple[Int64s, Columns]]:
        """Yield the numbers of the payloads among `rows` that have this layout, and what they hold, chunk by chunk.

        The columns, int64[m] each, are those that the elements name; of an id's part, start and length.
        """
        for first in range(0, len(rows), ROWS_AT_ONCE):
            yield self._read(payloads, rows[first : first + ROWS_AT_ONCE])

    def _read(self, payloads: Payloads, rows: Int64s) -> tuple[Int64s, Columns]:
        cursor = Cursor(payloads.octets, payloads.starts[rows])
        end = cursor.at + payloads.lengths[rows]
        columns: Columns = {}
        for part in self.parts:
            columns |= part.read(cursor)
            if 2 * np.count_nonzero(cursor.is_accepted) < len(rows):
                stay = cursor.drop_refused()
                rows, end = rows[stay], end[stay]
                columns = {name: column[stay] for name, column in columns.items()}
                if not len(rows):
                    return rows, {}
        cursor.refuse_unless(cursor.at == end)
        if cursor.is_accepted.all():
            return rows, columns
        return rows[cursor.is_accepted], {name: column[cursor.is_accepted] for name, column in columns.items()}
