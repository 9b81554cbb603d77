"""A cursor through many payloads at once: one position per row, all moving on together."""

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Octets, Words
from windrow.columns.words import WORD_OCTETS, spans

# Fetching 96 bytes of each row costs about as much as fetching 8. Fields after one that has the same length in all
# rows then need no further fetch.
_SPAN_OCTETS = 96


class Cursor:
    """n positions that move on together, never back; what a refused row reads is undefined.

    octets: uint8, contiguous, ending with PADDING_OCTETS that belong to no row: a row that gets there may be held back.
    is_accepted: bool[n].
    """

    __slots__ = ("_base", "_passed", "_span", "is_accepted", "octets")

    def __init__(self, octets: Octets, at: Int64s) -> None:
        """Start at the positions `at`: int64[n]."""
        self.octets = octets
        self.is_accepted = np.ones(len(at), bool)
        self._base = at
        self._passed = 0
        self._span: npt.NDArray[np.void] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._base)

    @property
    def at(self) -> Int64s:
        """The positions: int64[n]."""
        return self._base + self._passed

    def words(self, count: int) -> Words:
        """Return a copy of the next `count` words of each row, at most 12: uint64[count, n]."""
        span = self._span_of(WORD_OCTETS * count)
        shape, strides = (count, len(self)), (WORD_OCTETS, _SPAN_OCTETS)
        return np.ndarray(shape, "<u8", span, offset=self._passed, strides=strides).copy()

    def octet(self) -> Octets:
        """Return the next byte of each row: uint8[n]."""
        span = self._span_of(1)
        return np.ndarray((len(self),), np.uint8, span, offset=self._passed, strides=(_SPAN_OCTETS,)).copy()

    def _span_of(self, octets: int) -> npt.NDArray[np.void]:
        """Return the bytes around the positions, including the next `octets` bytes of each row."""
        if self._span is None or self._passed + octets > _SPAN_OCTETS:
            self._base, self._passed = np.minimum(self.at, len(self.octets) - _SPAN_OCTETS), 0
            self._span = spans(self.octets, self._base, _SPAN_OCTETS)
        return self._span

    def advance(self, octets: int | Int64s) -> None:
        """Move on by a number of bytes, or by a number for each row: int64[n]."""
        if not isinstance(octets, int):
            some = int(octets[self.is_accepted.argmax()]) if len(octets) else 0
            if not self.all_accepted(octets == some):
                self._base, self._passed, self._span = self.at + octets, 0, None
                return
            octets = some
        self._passed += octets

    def refuse_unless(self, ok: Mask) -> None:
        """Refuse the rows that are not `ok`: bool[n]."""
        self.is_accepted &= ok

    def all_accepted(self, are: Mask) -> bool:
        """Return whether `are` is true for all accepted rows: bool[n]."""
        return bool((are | ~self.is_accepted).all())

    def drop_refused(self) -> Mask:
        """Drop the refused rows and return which rows stay: bool[n]."""
        stay = self.is_accepted
        self._base, self._passed, self._span = self.at[stay], 0, None
        self.is_accepted = stay[stay]
        return stay
