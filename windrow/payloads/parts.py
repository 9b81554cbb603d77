"""The parts of a contract's layout beside those of the default form: ids of texts and numbers.

A part accepts a row only if `windrow.payloads.decode` would read the same from it; in doubt it refuses, and the payload
is decoded by itself.
"""

from dataclasses import dataclass

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.timestamps import INSTANT_MS_MAX
from windrow.wire.json import scan
from windrow.wire.json.cursor import Cursor


@dataclass(frozen=True, slots=True)
class TextId:
    """A text that is an id, or a part of one: 1 to 128 bytes without escapes; UTF-8 is checked later."""

    name: str

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read where it is."""
        at = cursor.at
        length = scan.text(cursor, ascii_only=False)
        cursor.refuse_unless(length > 0)
        return {f"{self.name} start": at, f"{self.name} length": length}


@dataclass(frozen=True, slots=True)
class NumberId:
    """A number that is an id, or a part of one: its digits as they are written, without an exponent."""

    name: str

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read where it is."""
        at = cursor.at
        scan.decimals(cursor)
        return {f"{self.name} start": at, f"{self.name} length": cursor.at - at}


@dataclass(frozen=True, slots=True)
class WholeSeconds:
    """Seconds without a fraction, as milliseconds: an even number of them, so they change nothing about rounding."""

    name: str

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the column `name`, in ms."""
        number = scan.decimals(cursor)
        cursor.refuse_unless((number.scale == 0) & (number.whole <= INSTANT_MS_MAX // 1000))
        return {self.name: np.where(number.negative, -1000 * number.whole, 1000 * number.whole)}
