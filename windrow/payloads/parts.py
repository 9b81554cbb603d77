"""The parts of a contract's layout beside those of the default form: ids of texts and numbers.

A part accepts a row only if `windrow.payloads.decode` would read the same from it; in doubt it refuses, and the payload
is decoded by itself.
"""

from dataclasses import dataclass

from windrow.columns.arrays import Int64s
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
