"""Where the single values of a JSON text are: its texts, numbers, and the words true, false and null."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

_SPACE = re.compile(r"[ \t\n\r]*")
_BARE = re.compile(r"[^\s,\]}]+")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
NUMBERS_SEPARATOR = re.compile(r", ?")
"""What is between the numbers of an array, written in one of the two usual ways."""
_NUMBER = r"-?\d+(?:\.\d+)?"
_NUMBERS = re.compile(rf"\[{_NUMBER}(?:(?:,{_NUMBER})*|(?:, {_NUMBER})*)\]", re.ASCII)

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value: the names and positions on the way to it, and where its text begins and ends."""

    path: Path
    start: int
    end: int


def leaves(text: str) -> Iterator[Leaf]:
    """Yield the leaves of the JSON value that `text` begins with, in their order.

    `text` has one character for each byte (it is decoded as latin-1), and its value is known to be sound.
    """
    yield from _leaves(text, _skip_space(text, 0), ())[0]


def with_whole_arrays(text: str, found: Iterable[Leaf], *, asked: Collection[Path] = ()) -> list[Leaf]:
    """Return the leaves of `text` with each array of numbers as one of them, unless something in it is asked for.

    asked: the paths that somebody looks at, whether there is anything or not: an array that is one leaf may be longer
    in another payload.
    """
    within = {path[:length] for path in asked for length in range(len(path) + 1)}
    result: list[Leaf] = []
    for parent, group in groupby(found, key=lambda leaf: leaf.path[:-1]):
        alike = list(group)
        array = _array(text, alike)
        result += alike if array is None or parent in within else [array]
    return result


def _array(text: str, elements: list[Leaf]) -> Leaf | None:
    """Return the array that these neighbours of one parent are all elements of, if it is one of numbers."""
    first, last = elements[0], elements[-1]
    if not first.path or not isinstance(first.path[-1], int):
        return None
    start, end = first.start - 1, last.end + 1
    return Leaf(first.path[:-1], start, end) if _NUMBERS.fullmatch(text, start, end) else None


def _leaves(text: str, at: int, path: Path) -> tuple[list[Leaf], int]:
    """Return the leaves of the value at `at`, and where it ends."""
    if text[at] not in "{[":
        match = (_TEXT if text[at] == '"' else _BARE).match(text, at)
        end = at if match is None else match.end()
        return [Leaf(path, at, end)], end
    found: list[Leaf] = []
    closing = "}" if text[at] == "{" else "]"
    at = _skip_space(text, at + 1)
    position = 0
    while text[at] != closing:
        step: str | int = position
        if closing == "}":
            name = _TEXT.match(text, at)
            end = at if name is None else name.end()
            step = json.loads(text[at:end].encode("latin-1"))
            at = _skip_space(text, _skip_space(text, end) + 1)
        inner, at = _leaves(text, at, (*path, step))
        found += inner
        position += 1
        at = _skip_space(text, at)
        if text[at] == ",":
            at = _skip_space(text, at + 1)
    return found, at + 1


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
