"""A column of UTF-8 strings in Arrow's layout: sensor ids are sorted and gathered without Python objects."""

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from windrow.columns import order
from windrow.columns.arrays import Int64s, Mask, Octets, Words
from windrow.columns.words import WORD_OCTETS, spans

_WORD_BITS = 64
_PIECE_ROWS = 1 << 14
_FEW = 64  # strings, where ranking them by columns of words begins to be faster
_ASCII_MAX = 0x7F
_SPACE, _QUOTE, _BACKSLASH = b' "\\'
_DELETE = 0x7F
# U+0080 to U+009F, the C1 control characters, are encoded as C2 80 to C2 9F; 0x80 to 0x9F are the bytes 100xxxxx.
_C1_LEADS, _C1_MASK, _C1_TRAILS = 0xC2, 0xE0, 0x80
# The continuation bytes of UTF-8 are 10xxxxxx.
_CONTINUES_MASK, _CONTINUES = 0xC0, 0x80
# A matrix with rows as long as the longest string may take this many times the bytes of all strings.
_MATRIX_WASTE_MAX = 4


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """n strings: string i is `octets[offsets[i]:offsets[i + 1]]`.

    offsets: int64[n + 1], ascending, from 0; octets: uint8[offsets[n]], valid UTF-8 string by string.
    """

    offsets: Int64s
    octets: Octets

    @classmethod
    def of(cls, strings: Iterable[str]) -> Self:
        """Make the column of `strings`; a lone surrogate raises UnicodeEncodeError."""
        return cls.of_octets([string.encode() for string in strings])

    @classmethod
    def of_octets(cls, encoded: Sequence[bytes]) -> Self:
        """Make the column of strings that are UTF-8 already."""
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(offsets_of(lengths), np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def of_slices(cls, octets: Octets, starts: Int64s, lengths: Int64s) -> Self:
        """Make the column of the strings `octets[starts[i]:starts[i] + lengths[i]]`: int64[n] each, in any order."""
        offsets, longest = offsets_of(lengths), int(lengths.max(initial=0))
        if longest * len(lengths) > _MATRIX_WASTE_MAX * int(offsets[-1]) or longest == 0:
            return cls(offsets, octets[np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)])
        missing = int(starts.max()) + longest - len(octets)
        if missing > 0:
            octets = np.concatenate([octets, np.zeros(missing, np.uint8)])
        # Fetch as many bytes for each string as the longest has, then drop the surplus.
        matrix = spans(octets, starts, longest).view(np.uint8).reshape(-1, longest)
        if matrix.size == offsets[-1]:
            return cls(offsets, matrix.reshape(-1))
        return cls(offsets, matrix[np.arange(longest) < lengths[:, np.newaxis]])

    @classmethod
    def concat(cls, columns: Sequence["Strings"]) -> Self:
        """Join the strings of `columns`, one column after another."""
        lengths = np.concatenate([column.lengths for column in columns] or [np.zeros(0, np.int64)])
        octets = np.concatenate([column.octets for column in columns] or [np.zeros(0, np.uint8)])
        return cls(offsets_of(lengths), octets)

    def __len__(self) -> int:
        """Return the number of strings."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64s:
        """The bytes of each string: int64[n]."""
        return np.diff(self.offsets)

    @property
    def characters(self) -> Int64s:
        """The characters (code points) of each string: int64[n]."""
        if self.octets.max(initial=0) <= _ASCII_MAX:
            return self.lengths
        continuing = np.flatnonzero((self.octets & _CONTINUES_MASK) == _CONTINUES)
        return self.lengths - np.diff(np.searchsorted(continuing, self.offsets))

    @property
    def width(self) -> int:
        """The bytes of each string if all are equally long; otherwise, and for no strings, 0."""
        width = int(self.offsets[1]) if len(self) else 0
        return width if np.array_equal(self.offsets, np.arange(len(self.offsets)) * width) else 0

    def to_list(self) -> list[str]:
        """Return the strings as Python objects."""
        whole, bounds = self.octets.tobytes(), self.offsets.tolist()
        return [whole[a:b].decode() for a, b in itertools.pairwise(bounds)]

    def are_utf8(self) -> Mask:
        """Return which strings are valid UTF-8, for bytes that come from outside: bool[n]."""
        are_utf8 = np.ones(len(self), bool)
        is_ascii = self.octets <= _ASCII_MAX
        if is_ascii.all() or self.is_utf8():
            return are_utf8
        for position in self._having(~is_ascii).tolist():
            are_utf8[position] = is_utf8(self.octets_at(position))
        return are_utf8

    def are_plain(self) -> Mask:
        """Return which strings JSON needs no escapes for: no quote, backslash or control character: bool[n]."""
        are_plain = np.ones(len(self), bool)
        is_special = (self.octets == _QUOTE) | (self.octets == _BACKSLASH) | (self.octets < _SPACE)
        are_plain[self._having(is_special)] = False
        return are_plain

    def have_controls(self) -> Mask:
        """Return which strings have a control character, U+0000 to U+001F or U+007F to U+009F: bool[n].

        A valid string is never reported because of its neighbours, valid or not.
        """
        have_controls = np.zeros(len(self), bool)
        octets = self.octets
        if (octets - _SPACE < _DELETE - _SPACE).all():  # uint8 wraps around: all are printable ASCII
            return have_controls
        is_control = (octets < _SPACE) | (octets == _DELETE)
        is_control[1:] |= (octets[:-1] == _C1_LEADS) & (octets[1:] & _C1_MASK == _C1_TRAILS)
        have_controls[self._having(is_control)] = True
        return have_controls

    def _having(self, chosen: Mask) -> Int64s:
        """Return the strings with a chosen byte, ascending; `chosen` covers all bytes: bool[offsets[n]]."""
        return np.unique(np.searchsorted(self.offsets, np.flatnonzero(chosen), side="right") - 1)

    def is_utf8(self) -> bool:
        """Return whether every string is UTF-8: all bytes together are, and no string begins inside a character."""
        first_octets = self.octets[self.offsets[:-1][self.lengths > 0]]
        begins_within = (first_octets & _CONTINUES_MASK) == _CONTINUES
        return not begins_within.any() and is_utf8(self.octets.tobytes())

    def take(self, positions: npt.NDArray[np.integer]) -> "Strings":
        """Return the strings at `positions`, in that order."""
        return Strings.of_slices(self.octets, self.offsets[:-1][positions], self.lengths[positions])

    def with_prefix(self, prefix: bytes) -> "Strings":
        """Return the strings, each with `prefix` in front."""
        first = np.frombuffer(prefix, np.uint8)
        offsets = self.offsets + np.arange(len(self.offsets)) * len(first)
        width = self.width
        if width:
            both = np.empty((len(self), len(first) + width), np.uint8)
            both[:, : len(first)], both[:, len(first) :] = first, self.octets.reshape(-1, width)
            return Strings(offsets, both.reshape(-1))
        at = (offsets[:-1, np.newaxis] + np.arange(len(first))).reshape(-1)
        return Strings(offsets, np.insert(self.octets, at - np.arange(len(at)), np.tile(first, len(self))))

    def between(self, start: int, end: int) -> "Strings":
        """Return the strings `start:end`."""
        bounds = self.offsets[start : end + 1]
        return Strings(bounds - bounds[0], self.octets[bounds[0] : bounds[-1]])

    def octets_at(self, position: int) -> bytes:
        """Return one string as UTF-8."""
        return self.octets[self.offsets[position] : self.offsets[position + 1]].tobytes()

    def positions_of(self, needles: Sequence[bytes]) -> list[int]:
        """Count the strings that are less than each of `needles`; the strings must ascend."""
        width = self.width
        # numpy pads strings of one width with zeros; without zero bytes they compare like the bytes themselves.
        if width and self.octets.all() and not any(b"\0" in one for one in needles):
            found: list[int] = np.searchsorted(self.octets.view(f"S{width}"), np.array(needles, "S")).tolist()
            return found
        return [bisect.bisect_left(range(len(self)), needle, key=self.octets_at) for needle in needles]

    def rank(self, *, in_runs: bool = False) -> tuple["Strings", Int64s]:
        """Return the distinct strings in ascending byte order, and the position of each string among them: int64[n].

        The byte order of UTF-8 is the order of code points. `in_runs` as in `order.ascending`.
        """
        if len(self) <= _FEW:
            return self._rank_few()
        keys = order.pack(self._sort_keys())
        if len(keys) == 1 and (keys[0][1:] > keys[0][:-1]).all():  # usually true: ids that were ranked before
            return self, np.arange(len(self))
        ascending = order.ascending(keys, in_runs=in_runs)
        is_first = order.is_new(*(key[ascending] for key in keys))
        place = np.empty(len(self), np.int64)
        place[ascending] = np.cumsum(is_first) - 1
        return self.take(ascending[is_first]), place

    def _rank_few(self) -> tuple["Strings", Int64s]:
        """Rank without columns of words, whose every numpy call costs as much as comparing a few strings."""
        octets, bounds = self.octets.tobytes(), self.offsets.tolist()
        each = [octets[start:end] for start, end in itertools.pairwise(bounds)]
        ascending = sorted(set(each))
        if ascending == each:
            return self, np.arange(len(each))
        position = {one: place for place, one in enumerate(ascending)}
        return Strings.of_octets(ascending), np.array([position[one] for one in each], np.int64)

    @classmethod
    def united_bits(cls, columns: Sequence["Strings"], bits: Sequence[int]) -> tuple["Strings", Int64s]:
        """Return the distinct strings of ascending `columns`, ascending, and of each the bits of those that have it.

        bits: one number a column, without any bit in common; the second result is int64[n]. No string occurs twice in
        a column. A sum for every string, without asking where each one is, takes half the time of `unite`.
        """
        every = cls.concat(columns)
        ascending, starts = every.groups()
        of_rows = np.repeat(np.array(bits, np.int64), [len(column) for column in columns])
        sums = np.add.reduceat(of_rows[ascending], starts) if len(starts) else of_rows
        return every.take(ascending[starts]), sums

    def groups(self) -> tuple[Int64s, Int64s]:
        """Return the rows by ascending string, int64[n], and where among them each distinct string begins: int64[m].

        Made for a few ascending runs one after another, as `order.ascending` is with `in_runs`.
        """
        if len(self) <= _FEW:
            distinct, place = self._rank_few()
            return np.argsort(place, kind="stable"), np.searchsorted(np.sort(place), np.arange(len(distinct)))
        keys = order.pack(self._sort_keys())
        ascending = order.ascending(keys, in_runs=True)
        return ascending, np.flatnonzero(order.is_new(*(key[ascending] for key in keys)))

    @classmethod
    def unite(cls, columns: Sequence["Strings"]) -> tuple["Strings", list[Int64s]]:
        """Return the distinct strings of ascending `columns`, ascending, and for each column where its strings are.

        No string occurs twice in a column. Equal columns are recognised as such, which is much faster.
        """
        distinct: list[Strings] = []
        which: list[int] = []
        for column in columns:
            same = next((at for at, one in enumerate(distinct) if one.equals(column)), len(distinct))
            if same == len(distinct):
                distinct.append(column)
            which.append(same)
        if len(distinct) == 1:
            return distinct[0], [np.arange(len(distinct[0]))] * len(columns)
        ids, place = cls.concat(distinct).rank(in_runs=True)
        ends = np.cumsum([len(column) for column in distinct])
        places = np.split(place, ends[:-1]) if len(ends) else []
        return ids, [places[same] for same in which]

    def equals(self, other: "Strings") -> bool:
        """Return whether both hold the same strings in the same order."""
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.octets, other.octets)

    def _sort_keys(self) -> list[Words]:
        """Return columns to sort by, the major key first: the zero-padded bytes as big-endian words, then the length.

        The length breaks the tie between "a" and "a\\0", whose padded bytes are equal.
        """
        lengths = self.lengths
        longest = int(lengths.max())
        words = max(1, -(-longest // WORD_OCTETS))
        if longest == int(lengths.min()) and longest >= WORD_OCTETS:
            return self._words_of_one_width(longest)
        if longest == int(lengths.min()):
            padded = np.zeros((len(self), words * WORD_OCTETS), np.uint8)
            padded[:, :longest] = self.octets.reshape(len(self), longest)
            matrix = padded.view(">u8")
            return [matrix[:, word].astype(np.uint64) for word in range(words)]
        aligned = np.append(self.octets, np.zeros(2 * WORD_OCTETS - len(self.octets) % WORD_OCTETS, np.uint8))
        source = aligned.view(">u8").astype(np.uint64)
        keys = [np.empty(len(self), np.uint64) for _ in range(words)]
        # In chunks that fit into the core's cache.
        for start in range(0, len(self), _PIECE_ROWS):
            rows = slice(start, start + _PIECE_ROWS)
            for number, key in enumerate(keys):
                key[rows] = _words(source, self.offsets[:-1][rows] + number * WORD_OCTETS, self.offsets[1:][rows])
        return [*keys, lengths.astype(np.uint64)]

    def _words_of_one_width(self, width: int) -> list[Words]:
        """Return the sort keys of strings of `width` bytes, at least a word's: the last word is read from the end."""
        octets = np.ascontiguousarray(self.octets)

        def at(place: int) -> Words:
            return np.ndarray(len(self), ">u8", octets, offset=place, strides=width).astype(np.uint64)

        *_, end = whole = range(0, width + 1, WORD_OCTETS)
        keys = [at(place) for place in whole[:-1]]
        if end < width:
            keys.append(at(width - WORD_OCTETS) << np.uint64(8 * (WORD_OCTETS - (width - end))))
        return keys


def _words(source: Words, start: Int64s, end: Int64s) -> Words:
    """Return the bytes from `start` to `end`, at most eight, as big-endian words padded with zeros: uint64[n].

    `source` is the buffer as big-endian words; two of them are combined, so words are gathered, not single bytes.
    """
    left_octets = np.clip(end - start, 0, WORD_OCTETS)
    start = np.minimum(start, end)
    first, shift = start >> 3, ((start & 7) << 3).astype(np.uint64)
    # A shift by 64 bits is undefined, so a shift that may reach 64 is done in two steps.
    second = source[first + 1] >> np.uint64(1) >> (np.uint64(_WORD_BITS - 1) - shift)
    keep = ~(~np.uint64(0) >> np.uint64(1) >> (left_octets * 8 - 1).clip(0).astype(np.uint64))
    keep[left_octets == 0] = 0
    word: Words = ((source[first] << shift) | second) & keep
    return word


def offsets_of(lengths: Int64s) -> Int64s:
    """Return where each of n parts of these `lengths` begins, and where the last one ends: int64[n + 1]."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def is_utf8(octets: bytes) -> bool:
    """Return whether `octets` are valid UTF-8."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
