"""Where the single values of a JSON text are: its texts, numbers, and the words true, false and null."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\n\r]*")
_BARE = re.compile(r"[^\s,\]}]+")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value: the names and positions on the way to it, and where its text begins and ends."""

    path: tuple[str | int, ...]
    start: int
    end: int


def leaves(text: str) -> Iterator[Leaf]:
    """Yield the leaves of the JSON value that `text` begins with, in their order.

    `text` has one character for each byte (it is decoded as latin-1), and its value is known to be sound.
    """
    yield from _leaves(text, _skip_space(text, 0), ())[0]


def _leaves(text: str, at: int, path: tuple[str | int, ...]) -> tuple[list[Leaf], int]:
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
