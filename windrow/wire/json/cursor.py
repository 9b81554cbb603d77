"""Places in a buffer, one per row, that read on together: the fast paths' way through many payloads at once."""

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Octets, Words
from windrow.columns.words import WORD_OCTETS, spans

# One fetch per row costs about the same for 8 octets as for 96. What follows a field of one length in all rows is
# then at hand.
_SPAN_OCTETS = 96


class Cursor:
    """n places that move on together, never back; a row that is refused reads whatever is there, and means nothing.

    octets: uint8, contiguous, ending with padding that no row has to do with (PADDING_OCTETS): a row that comes so far
    may be held back in it. is_accepted: bool[n].
    """

    __slots__ = ("_base", "_passed", "_span", "is_accepted", "octets")

    def __init__(self, octets: Octets, at: Int64s) -> None:
        """Begin at the places `at`: int64[n]."""
        self.octets = octets
        self.is_accepted = np.ones(len(at), bool)
        self._base = at
        self._passed = 0
        self._span: npt.NDArray[np.void] | None = None

    def __len__(self) -> int:
        """How many rows."""
        return len(self._base)

    @property
    def at(self) -> Int64s:
        """The places: int64[n]."""
        return self._base + self._passed

    def words(self, count: int) -> Words:
        """The next words of each row, few: uint64[count, n], a copy."""
        span = self._span_of(WORD_OCTETS * count)
        shape, strides = (count, len(self)), (WORD_OCTETS, _SPAN_OCTETS)
        return np.ndarray(shape, "<u8", span, offset=self._passed, strides=strides).copy()

    def octet(self) -> Octets:
        """The next octet of each row: uint8[n]."""
        span = self._span_of(1)
        return np.ndarray((len(self),), np.uint8, span, offset=self._passed, strides=(_SPAN_OCTETS,)).copy()

    def _span_of(self, octets: int) -> npt.NDArray[np.void]:
        """The octets around the places, of which the next `octets` are needed."""
        if self._span is None or self._passed + octets > _SPAN_OCTETS:
            self._base, self._passed = np.minimum(self.at, len(self.octets) - _SPAN_OCTETS), 0
            self._span = spans(self.octets, self._base, _SPAN_OCTETS)
        return self._span

    def advance(self, octets: int | Int64s) -> None:
        """Move on by a number of octets, or by one for each row: int64[n]."""
        if not isinstance(octets, int):
            some = int(octets[self.is_accepted.argmax()]) if len(octets) else 0
            if not self.all_accepted(octets == some):
                self._base, self._passed, self._span = self.at + octets, 0, None
                return
            octets = some
        self._passed += octets

    def refuse_unless(self, ok: Mask) -> None:
        """Accept only rows that are accepted already and `ok`: bool[n]."""
        self.is_accepted &= ok

    def all_accepted(self, are: Mask) -> bool:
        """Whether all rows that are accepted `are`: bool[n]."""
        return bool((are | ~self.is_accepted).all())

    def drop_refused(self) -> Mask:
        """Forget the refused rows; the rows that stay: bool[n]."""
        stay = self.is_accepted
        self._base, self._passed, self._span = self.at[stay], 0, None
        self.is_accepted = stay[stay]
        return stay
