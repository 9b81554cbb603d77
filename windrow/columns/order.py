"""Sorting rows by several unsigned columns at once, fast: constant bits are left out, the rest is packed together.

Ids such as site-03/sensor-000123 differ in few of their bits. Leaving out the bits that are the same in every row, and
joining the others in their order, keeps the order of the rows; often one word remains, and one word sorts ten
times as fast as several columns do.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Words

_WORD_BITS = 64
_PIECE_ROWS = 16_384


def pack(columns: Sequence[Words]) -> list[Words]:
    """As few columns as hold every bit that varies: rows compare as they do by `columns`, the first weighing most."""
    if len(columns) == 1 and _has_room(columns[0]):
        return list(columns)
    packed: list[Words] = []
    room_bits = 0
    for column in columns:
        for low, width in _varying(column):
            bits = (column >> np.uint64(low)) & np.uint64(2**width - 1)
            if room_bits < width:
                # The part that still fits goes to the word at hand, the rest begins the next one.
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
    """Whether the row number fits into the low bits, which are 0 in every row."""
    return not int(np.bitwise_or.reduce(column)) & (2 ** _row_bits(column) - 1)


def _row_bits(column: Words) -> int:
    return max(1, len(column) - 1).bit_length()


def ascending(columns: Sequence[Words]) -> Int64s:
    """The order of the rows by `columns`, the first weighing most; equal rows in any order: int64[n]."""
    packed = pack(columns)
    order = _order_of(packed[0])
    if len(packed) > 1 and _ties_differ([column[order] for column in packed]):
        return np.lexsort(packed[::-1])
    return order


def distinct(columns: Sequence[Int64s]) -> list[Int64s]:
    """The distinct rows of columns of int64[n], ascending by `columns`, the first weighing most: int64[m] each."""
    if not len(columns[0]):
        return list(columns)
    least = [int(column.min()) for column in columns]
    widths = [(int(column.max()) - low).bit_length() for column, low in zip(columns, least, strict=True)]
    if sum(widths) > _WORD_BITS:
        order = ascending([(column - low).view(np.uint64) for column, low in zip(columns, least, strict=True)])
        ordered = [column[order] for column in columns]
        kept = is_new(*ordered)
        return ordered if kept.all() else [column[kept] for column in ordered]
    # One word holds a whole row: its values are sorted, and each column is taken out of it again.
    word = _joined(columns, least, widths)
    word.sort()
    kept = is_new(word)
    return _parted(word if kept.all() else word[kept], least, widths)


def _joined(columns: Sequence[Int64s], least: Sequence[int], widths: Sequence[int]) -> Words:
    """A word for each row: what the columns have above `least`, each in as many bits as `widths` says."""
    joined = np.empty(len(columns[0]), np.uint64)
    for rows in _pieces(len(joined)):
        word = np.zeros(len(joined[rows]), np.uint64)
        for column, low, width in zip(columns, least, widths, strict=True):
            word <<= np.uint64(width)
            word |= (column[rows] - low).view(np.uint64)
        joined[rows] = word
    return joined


def _parted(joined: Words, least: Sequence[int], widths: Sequence[int]) -> list[Int64s]:
    """The inverse of `_joined`."""
    columns = [np.empty(len(joined), np.int64) for _ in least]
    for rows in _pieces(len(joined)):
        word = joined[rows].copy()
        for column, low, width in zip(reversed(columns), reversed(least), reversed(widths), strict=True):
            np.bitwise_and(word, np.uint64(2**width - 1), out=column[rows].view(np.uint64))
            column[rows] += low
            word >>= np.uint64(width)
    return columns


def _pieces(rows: int) -> Iterator[slice]:
    """All rows, in pieces that stay in a processor's cache."""
    return (slice(start, start + _PIECE_ROWS) for start in range(0, rows, _PIECE_ROWS))


def is_new(*columns: npt.NDArray[np.generic]) -> Mask:
    """Where a row of `columns` differs from the row before it; the first row does: bool[n]."""
    differs = np.ones(len(columns[0]), bool)
    if len(differs):
        np.not_equal(columns[0][1:], columns[0][:-1], out=differs[1:])
    for column in columns[1:]:
        differs[1:] |= column[1:] != column[:-1]
    return differs


def _order_of(word: Words) -> Int64s:
    """The order of one column; where the row number fits beside the value, values are sorted instead of places."""
    if not _has_room(word):
        return np.argsort(word)
    ordered = word | np.arange(len(word), dtype=np.uint64)
    ordered.sort()
    ordered &= np.uint64(2 ** _row_bits(word) - 1)
    return ordered.view(np.int64)


def _ties_differ(columns: Sequence[Words]) -> bool:
    """Whether rows that are neighbours and equal in the first column differ in another."""
    ties = columns[0][1:] == columns[0][:-1]
    return any(bool(np.any(ties & (column[1:] != column[:-1]))) for column in columns[1:])


def _varying(column: Words) -> list[tuple[int, int]]:
    """The runs of bits in which rows differ, as (lowest bit, width), the most significant run first."""
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
