"""Where large files are cut, so that each part can be read alone: together the parts are the file, each byte once.

Lines are cut at their ends, Parquet files between row groups, and many small objects are put together.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from windrow.columns.arrays import Int64s, Mask, Octets

_LINE_END, _CARRIAGE_RETURN, _QUOTE = b'\n\r"'
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UncuttableFile(ValueError):  # noqa: N818 - the domain's noun
    """A file of which it cannot be told where its rows end; the message says why."""


def cut_lines(
    chunks: Iterable[bytes], *, bytes_max: int, lines_max: int, delimiter: str | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that is read in `chunks`: start and end of each, in bytes, ascending, without gaps.

    Every part but the last ends with a line feed. It has at most `bytes_max` bytes and `lines_max` lines, both from 1
    up, unless it is one line alone that is longer. With the `delimiter` of a CSV file, line feeds within quotes end no
    line; UncuttableFile if a quote is neither at the beginning of a field nor in a quoted one. A byte order mark lies
    whole in the first chunk.
    """
    quotes = None if delimiter is None else _Quotes(delimiter)
    start = last = total = lines = 0
    for chunk in chunks:
        octets = np.frombuffer(chunk, np.uint8)
        ends = np.flatnonzero(octets == _LINE_END)
        if quotes is not None:
            ends = ends[quotes.are_outside(octets, ends)]
        ends = ends + total + 1
        total += len(chunk)
        while len(ends):
            fitting = min(int(np.searchsorted(ends, start + bytes_max, side="right")), lines_max - lines)
            if fitting == len(ends):
                last, lines = int(ends[-1]), lines + fitting
                break
            if fitting:
                last, ends = int(ends[fitting - 1]), ends[fitting:]
            elif last == start:
                last, ends = int(ends[0]), ends[1:]
            yield start, last
            start, lines = last, 0
    if start < last < total and (total - start > bytes_max or lines == lines_max):
        yield start, last
        start = last
    if start < total:
        yield start, total


class _Quotes:
    """The quotes of a CSV file up to some byte: whether one is open there, and the byte before it."""

    def __init__(self, delimiter: str) -> None:
        self._may_open = np.zeros(256, bool)
        self._may_open[[_LINE_END, _CARRIAGE_RETURN, _QUOTE, ord(delimiter)]] = True
        self._is_open = False
        self._is_first = True
        self._before = _LINE_END

    def are_outside(self, octets: Octets, places: Int64s) -> Mask:
        """Return which of `places`, ascending, in the next bytes are outside quotes: bool[n]."""
        quotes = np.flatnonzero(octets == _QUOTE)
        opening = quotes[int(self._is_open) :: 2]
        before = np.where(opening > 0, octets[opening - 1], self._before) if len(opening) else octets[:0]
        if self._is_first and octets[: len(_BYTE_ORDER_MARK)].tobytes() == _BYTE_ORDER_MARK:
            before = before[opening != len(_BYTE_ORDER_MARK)]
        self._is_first = False
        if not self._may_open[before].all():
            raise UncuttableFile("a quote within a field that is not quoted")
        is_outside: Mask = (np.searchsorted(quotes, places) + self._is_open) % 2 == 0
        self._is_open = bool((len(quotes) + self._is_open) % 2)
        self._before = int(octets[-1]) if len(octets) else self._before
        return is_outside


def group(sizes: Sequence[int], *, size_max: int, count_max: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a row of things: first and last, exclusive, of each, ascending, without gaps.

    A part has together at most `size_max`, unless it is one thing alone, and at most `count_max` things.
    """
    first = total = 0
    for place, size in enumerate(sizes):
        if place > first and (total + size > size_max or place - first == count_max):
            yield first, place
            first = place
            total = 0
        total += size
    if first < len(sizes):
        yield first, len(sizes)
