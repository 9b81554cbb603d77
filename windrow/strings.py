"""A column of UTF-8 strings in Arrow's layout, so that sensor ids are sorted and gathered without Python objects."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

_ORDER_CHUNK_OCTETS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """n strings: string i is `octets[offsets[i]:offsets[i + 1]]`.

    offsets: int64[n + 1], ascending, from 0; octets: uint8[offsets[n]], valid UTF-8 string by string.
    """

    offsets: npt.NDArray[np.int64]
    octets: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, strings: Iterable[str]) -> Self:
        """The column of `strings`; a lone surrogate raises UnicodeEncodeError."""
        return cls.of_octets([string.encode() for string in strings])

    @classmethod
    def of_octets(cls, encoded: Sequence[bytes]) -> Self:
        """The column of strings that are UTF-8 already."""
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(offsets_of(lengths), np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def concat(cls, columns: Sequence["Strings"]) -> Self:
        """The strings of `columns`, one after another."""
        lengths = np.concatenate([column.lengths for column in columns] or [np.zeros(0, np.int64)])
        octets = np.concatenate([column.octets for column in columns] or [np.zeros(0, np.uint8)])
        return cls(offsets_of(lengths), octets)

    def __len__(self) -> int:
        """How many strings."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Octets of each string: int64[n]."""
        return np.diff(self.offsets)

    def to_list(self) -> list[str]:
        """The strings as Python objects."""
        whole, bounds = self.octets.tobytes(), self.offsets.tolist()
        return [whole[a:b].decode() for a, b in itertools.pairwise(bounds)]

    def take(self, positions: npt.NDArray[np.integer]) -> "Strings":
        """The strings at `positions`, in that order."""
        lengths = self.lengths[positions]
        offsets = offsets_of(lengths)
        shift = np.repeat(self.offsets[:-1][positions] - offsets[:-1], lengths)
        return Strings(offsets, self.octets[np.arange(offsets[-1]) + shift])

    def rank(self) -> tuple["Strings", npt.NDArray[np.int64]]:
        """The distinct strings in ascending octet order, and for each string its place among them: int64[n].

        Octet order of UTF-8 is code point order.
        """
        if len(self) == 0:
            return self, np.zeros(0, np.int64)
        keys = self._sort_keys()
        order = np.lexsort(keys)
        is_first = np.ones(len(self), bool)
        is_first[1:] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys])
        place = np.empty(len(self), np.int64)
        place[order] = np.cumsum(is_first) - 1
        return self.take(order[is_first]), place

    def _sort_keys(self) -> list[npt.NDArray[np.uint64]]:
        """Columns for lexsort (last is primary): the zero-padded octets as big-endian words, then the length.

        The length breaks the tie between "a" and "a\\0", whose padded octets are the same.
        """
        lengths = self.lengths
        words = max(1, -(-int(lengths.max()) // _ORDER_CHUNK_OCTETS))
        padded = np.zeros((len(self), words * _ORDER_CHUNK_OCTETS), np.uint8)
        row = np.repeat(np.arange(len(self)), lengths)
        padded[row, np.arange(len(self.octets)) - np.repeat(self.offsets[:-1], lengths)] = self.octets
        matrix = padded.view(">u8").astype(np.uint64)
        return [lengths.astype(np.uint64), *(matrix[:, word] for word in reversed(range(words)))]


def offsets_of(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each of the parts with these `lengths` begins, and where the last ends: int64[n + 1]."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
