"""A table of a contract file that is read field by field, with errors that name the line."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn, TypeVar

from windrow.errors import WindrowError

Place = tuple[str | int, ...]
T = TypeVar("T")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


class ContractError(WindrowError):
    """A contract that cannot be used: where in its file, and what is wrong."""


class Lines:
    """Where each field of a TOML text stands. A field within braces stands where its table begins."""

    def __init__(self, text: str = "", *, name: str = "contract") -> None:
        self._name = name
        self._lines: dict[Place, int] = {}
        counts: dict[Place, int] = {}
        table: Place = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.fullmatch(line):
                table = _with_indexes(_parts(header[2]), counts, is_array=header[1] == "[[")
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                self._lines.setdefault((*table, *_parts(key[1])), number)

    def refuse(self, place: Place, problem: str, *, hint: str = "") -> NoReturn:
        """Raise ContractError about the field at `place`."""
        at: Place = place
        while at and at not in self._lines:
            at = at[:-1]
        line = f", line {self._lines[at]}" if at in self._lines else ""
        raise ContractError(f"{self._name}{line}: {_dotted(place)}{problem}", hint=hint)


class Table:
    """A table at `place`; each field is taken once, and what nobody took is refused by `done`."""

    def __init__(self, values: object, place: Place, lines: Lines) -> None:
        self.place = place
        self._lines = lines
        if not isinstance(values, Mapping):
            lines.refuse(place, f"must be a table, not {_kind(values)}")
        self._values: Mapping[str, object] = values
        self._taken: set[str] = set()

    def refuse(self, name: str, problem: str) -> NoReturn:
        """Raise ContractError about the field `name`; about the table itself if it is empty."""
        self._lines.refuse((*self.place, name) if name else self.place, problem)

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self._values

    def take(self, name: str, kind: type[T], *, default: T | None = None) -> T:
        """Return the field `name`, which must be of `kind`; `default` if it is not there and there is one."""
        self._taken.add(name)
        if name not in self._values:
            if default is None:
                self.refuse("", f"needs {name}")
            return default
        value = self._values[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(name, f"must be {_NAMES[kind]}, not {_kind(value)}")
        return value

    def take_any(self, name: str) -> object:
        """Return the field `name` of whatever type; None if it is not there."""
        self._taken.add(name)
        return self._values.get(name)

    def choose(self, name: str, choices: Iterable[str], *, default: str) -> str:
        """Return the field `name`, which must be one of `choices`."""
        value, known = self.take(name, str, default=default), list(choices)
        if value not in known:
            self.refuse(name, f"must be one of {', '.join(known)}, not {value[:40]!r}{_like(value, known)}")
        return value

    def tables(self, name: str) -> list["Table"]:
        """Return the tables of the array `name`."""
        found = self.take(name, list, default=[])
        return [Table(value, (*self.place, name, index), self._lines) for index, value in enumerate(found)]

    def table(self, name: str) -> "Table":
        """Return the table `name`, empty if it is not there."""
        found = self.take_any(name)
        return Table({} if found is None else found, (*self.place, name), self._lines)

    def names(self) -> list[str]:
        """Return the names of all its fields."""
        return list(self._values)

    def done(self) -> None:
        """Refuse a field that nobody took: nothing is ignored, a misspelt name least of all."""
        for name in self._values:
            if name not in self._taken:
                self.refuse(name, f"is no field here{_like(name, sorted(self._taken))}")


_NAMES: dict[type, str] = {str: "a text", list: "an array", dict: "a table", bool: "true or false", int: "an integer"}


def _kind(value: object) -> str:
    return next((name for kind, name in _NAMES.items() if type(value) is kind), type(value).__name__)


def _like(value: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(value, list(known), n=1)
    return f"; is {close[0]} meant?" if close else ""


def _parts(text: str) -> Place:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _with_indexes(parts: Place, counts: dict[Place, int], *, is_array: bool) -> Place:
    """Return a header's place with the position of each array of tables that it is in."""
    place: Place = ()
    for depth, part in enumerate(parts):
        place = (*place, part)
        is_last = depth == len(parts) - 1
        if is_last and is_array:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _dotted(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return f"{text} " if text else ""
