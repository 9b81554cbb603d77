"""A column of cells as texts in one buffer, in the form that the fast readers of numbers and times take."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import PADDING_OCTETS, Payloads
from windrow.columns.strings import Strings, offsets_of

_Value = TypeVar("_Value")
_END = b"\n"


def texts_of(cells: Sequence[str]) -> Payloads:
    """Make the column of `cells`, an end mark behind each, so that no number runs on into the next cell."""
    return ended_texts(Strings.of_octets([cell.encode("utf-8", "replace") + _END for cell in cells]))


def ended_texts(strings: Strings) -> Payloads:
    """Make the column of strings that already end with one mark each, a line feed, which is no part of the text."""
    octets = np.concatenate([strings.octets, np.zeros(PADDING_OCTETS, np.uint8)])
    return Payloads(octets, strings.offsets[:-1], strings.lengths - 1)


def strings_of_texts(texts: Payloads) -> Strings:
    """Return the texts as strings without their end marks."""
    if not len(texts):
        return Strings(offsets_of(np.zeros(0, np.int64)), np.zeros(0, np.uint8))
    return Strings.of_slices(texts.octets, texts.starts, texts.lengths)


def taken(texts: Payloads, rows: Int64s) -> Payloads:
    """Return the texts of these rows."""
    return Payloads(texts.octets, texts.starts[rows], texts.lengths[rows])


def each_once(texts: Payloads, rows: Int64s, convert: Callable[[str], _Value]) -> list[_Value]:
    """Return what `convert` makes of the text of each of these rows, called once for equal texts."""
    known: dict[bytes, _Value] = {}
    values: list[_Value] = []
    for row in rows.tolist():
        octets = texts[row]
        if octets not in known:
            known[octets] = convert(octets.decode("utf-8", "replace"))
        values.append(known[octets])
    return values
