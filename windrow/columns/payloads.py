"""A column of payloads: slices of one buffer, without a Python object for each user record."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s, Mask, Octets
from windrow.columns.strings import offsets_of
from windrow.columns.words import load, word_of

# The fast readers read whole words, and read beyond a payload while they look for the end of a field, but never
# farther than this.
PADDING_OCTETS = 256
COPIED_OCTETS_MAX = 1_024
"""Copying so many octets takes as long as it saves to slice one payload from bytes rather than from an array."""


@dataclass(frozen=True, slots=True, eq=False)
class Payloads:
    """n payloads: payload i is `octets[starts[i]:starts[i] + lengths[i]]`.

    octets: uint8, at least PADDING_OCTETS longer than the end of every payload, with anything between payloads;
    starts, lengths: int64[n], in any order.
    """

    octets: Octets
    starts: Int64s
    lengths: Int64s

    @classmethod
    def of(cls, payloads: Sequence[bytes]) -> Self:
        """Make the column of `payloads`."""
        lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
        return cls(join_octets(payloads), offsets_of(lengths)[:-1], lengths)

    def __len__(self) -> int:
        """Return the number of payloads."""
        return len(self.starts)

    def __getitem__(self, index: int) -> bytes:
        """Return one payload as a Python object."""
        start = int(self.starts[index])
        return self.octets[start : start + int(self.lengths[index])].tobytes()

    def objects(self, places: Int64s) -> Iterator[bytes]:
        """Iterate over the payloads at `places` as Python objects, faster than one by one."""
        starts = self.starts[places]
        ends = starts + self.lengths[places]
        first, last = (int(starts.min()), int(ends.max())) if len(starts) else (0, 0)
        if last - first > COPIED_OCTETS_MAX * len(starts):
            return map(bytes, map(self.octets.data.__getitem__, map(slice, starts.tolist(), ends.tolist())))
        octets = self.octets[first:last].tobytes()
        spans = zip((starts - first).tolist(), (ends - first).tolist(), strict=True)
        return (octets[start:end] for start, end in spans)

    def take(self, places: Int64s | slice) -> "Payloads":
        """Return the payloads at `places`, of the same buffer."""
        return Payloads(self.octets, self.starts[places], self.lengths[places])

    def begin_with(self, prefix: bytes) -> Mask:
        """Return which payloads begin with `prefix`, of one to eight bytes: bool[n]."""
        word = load(self.octets, self.starts)[:, 0] & word_of(b"\xff" * len(prefix))
        begins: Mask = (self.lengths >= len(prefix)) & (word == word_of(prefix))
        return begins

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the payloads one by one, for tests and small numbers."""
        return (self[index] for index in range(len(self)))


def join_octets(parts: Sequence[bytes]) -> Octets:
    """Join the parts and append PADDING_OCTETS zeros: uint8."""
    return np.frombuffer(b"".join([*parts, bytes(PADDING_OCTETS)]), np.uint8)
