"""Fast sorting of rows by several unsigned columns: constant bits are dropped, the others are packed into few words.

Ids such as site-03/sensor-000123 differ in few of their bits. Dropping the bits that are equal in every row, and
packing the others in their order, keeps the order of the rows. Often a single word remains, and one word sorts ten
times as fast as several columns.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Words

_WORD_BITS = 64
_PIECE_ROWS = 16_384


def pack(columns: Sequence[Words]) -> list[Words]:
    """Return fewer columns that order the rows alike: every bit that varies, the first column being the major key."""
    if len(columns) == 1 and _has_room(columns[0]):
        return list(columns)
    packed: list[Words] = []
    room_bits = 0
    for column in columns:
        for low, width in _varying(column):
            bits = (column >> np.uint64(low)) & np.uint64(2**width - 1)
            if room_bits < width:
                # The part that still fits goes into the current word, the rest begins the next one.
                if room_bits:
                    packed[-1] |= bits >> np.uint64(width - room_bits)
                left_bits = width - room_bits
                room_bits = _WORD_BITS - left_bits
                packed.append((bits & np.uint64(2**left_bits - 1)) << np.uint64(room_bits))
            else:
                room_bits -= width
                packed[-1] |= bits << np.uint64(room_bits)
    return packed or [np.zeros(len(columns[0]), np.uint64)]


def _has_room(column: Words) -> bool:
    """Return whether the low bits, enough for a row number, are 0 in every row."""
    return not int(np.bitwise_or.reduce(column)) & (2 ** _row_bits(column) - 1)


def _row_bits(column: Words) -> int:
    return max(1, len(column) - 1).bit_length()


def ascending(columns: Sequence[Words], *, in_runs: bool = False) -> Int64s:
    """Return the order of the rows by `columns`, the first being the major key; equal rows in any order: int64[n].

    `in_runs` says that the rows are a few ascending runs, one after another; merging these is faster than sorting.
    """
    packed = pack(columns)
    order = _order_of(packed[0], in_runs=in_runs)
    if len(packed) > 1 and _ties_differ([column[order] for column in packed]):
        return np.lexsort(packed[::-1])
    return order


def distinct(columns: Sequence[Int64s]) -> list[Int64s]:
    """Return the distinct rows, ascending, of columns of int64[n], the first being the major key: int64[m] each."""
    if not len(columns[0]):
        return list(columns)
    least = [int(column.min()) for column in columns]
    widths = [(int(column.max()) - low).bit_length() for column, low in zip(columns, least, strict=True)]
    if sum(widths) > _WORD_BITS:
        order = ascending([(column - low).view(np.uint64) for column, low in zip(columns, least, strict=True)])
        ordered = [column[order] for column in columns]
        kept = is_new(*ordered)
        return ordered if kept.all() else [column[kept] for column in ordered]
    # One word holds a whole row: sort the words, then take each column out of them again.
    word = _joined(columns, least, widths)
    word.sort()
    kept = is_new(word)
    return _parted(word if kept.all() else word[kept], least, widths)


def _joined(columns: Sequence[Int64s], least: Sequence[int], widths: Sequence[int]) -> Words:
    """Return a word for each row: the columns minus `least`, each in the number of bits that `widths` gives."""
    joined = np.empty(len(columns[0]), np.uint64)
    for rows in _pieces(len(joined)):
        word = np.zeros(len(joined[rows]), np.uint64)
        for column, low, width in zip(columns, least, widths, strict=True):
            word <<= np.uint64(width)
            word |= (column[rows] - low).view(np.uint64)
        joined[rows] = word
    return joined


def _parted(joined: Words, least: Sequence[int], widths: Sequence[int]) -> list[Int64s]:
    """Split words into columns again: the inverse of `_joined`."""
    columns = [np.empty(len(joined), np.int64) for _ in least]
    for rows in _pieces(len(joined)):
        word = joined[rows].copy()
        for column, low, width in zip(reversed(columns), reversed(least), reversed(widths), strict=True):
            np.bitwise_and(word, np.uint64(2**width - 1), out=column[rows].view(np.uint64))
            column[rows] += low
            word >>= np.uint64(width)
    return columns


def _pieces(rows: int) -> Iterator[slice]:
    """Yield all rows in slices that fit into a core's cache."""
    return (slice(start, start + _PIECE_ROWS) for start in range(0, rows, _PIECE_ROWS))


def is_new(*columns: npt.NDArray[np.generic]) -> Mask:
    """Return where a row of `columns` differs from the row before it; true for the first row: bool[n]."""
    differs = np.ones(len(columns[0]), bool)
    if len(differs):
        np.not_equal(columns[0][1:], columns[0][:-1], out=differs[1:])
    for column in columns[1:]:
        differs[1:] |= column[1:] != column[:-1]
    return differs


def _order_of(word: Words, *, in_runs: bool) -> Int64s:
    """Return the order of one column; if the row number fits into the low bits, sort the values instead of indices."""
    # numpy's stable sort of words is Timsort, which looks for runs.
    kind: Literal["stable"] | None = "stable" if in_runs else None
    if not _has_room(word):
        return np.argsort(word, kind=kind)
    ordered = word | np.arange(len(word), dtype=np.uint64)
    ordered.sort(kind=kind)
    ordered &= np.uint64(2 ** _row_bits(word) - 1)
    return ordered.view(np.int64)


def _ties_differ(columns: Sequence[Words]) -> bool:
    """Return whether neighbouring rows that are equal in the first column differ in another."""
    ties = columns[0][1:] == columns[0][:-1]
    return any(bool(np.any(ties & (column[1:] != column[:-1]))) for column in columns[1:])


def _varying(column: Words) -> list[tuple[int, int]]:
    """Return the runs of bits in which rows differ, as (lowest bit, width), the most significant run first."""
    if not len(column):
        return []
    mask = int(np.bitwise_or.reduce(column ^ column[0]))
    runs = []
    while mask:
        low = (mask & -mask).bit_length() - 1
        width = (~(mask >> low) & ((mask >> low) + 1)).bit_length() - 1
        runs.append((low, width))
        mask &= ~((2**width - 1) << low)
    return runs[::-1]
