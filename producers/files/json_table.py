"""Files of JSON objects as tables of texts: one object a line, or all in one array."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.files.table import BATCH_ROWS, SAMPLE_ROWS, TableBatch, UnreadableRow, name_of
from producers.files.texts import texts_of
from windrow.errors import UsageError
from windrow.payloads.paths import Path as JsonPath
from windrow.reading import BadReading, Reason
from windrow.wire.json.values import check_nesting, json_type, parse_value

# The whole array is held in memory, about ten times as large.
_ARRAY_OCTETS_MAX = 256 << 20


@dataclass(frozen=True)
class JsonTable:
    """JSON objects, one a line or in one array; columns are the paths of their fields, as in a payload contract."""

    name: str
    path: Path
    is_array: bool
    instant_columns: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The paths of the fields that the first rows have."""
        return tuple(self.samples())

    def samples(self) -> dict[str, list[str]]:
        """Return the first rows by path."""
        columns: dict[str, list[str]] = {}
        rows = 0
        for number, (_, octets) in enumerate(self.objects()):
            if number == SAMPLE_ROWS:
                break
            try:
                leaves = dict(_leaves(parse_value(octets)))
            except BadReading:
                continue
            for path in leaves:
                columns.setdefault(path, [""] * rows)
            for path, texts in columns.items():
                texts.append(leaves.get(path, ""))
            rows += 1
        return columns

    def batches(self, columns: Sequence[tuple[str, ...]], unreadable: list[UnreadableRow]) -> Iterator[TableBatch]:
        """Yield all rows that are JSON objects; others are unreadable, and count as rows."""
        paths = [[JsonPath(one) for one in column] for column in columns]
        for first, payloads in self.payload_batches():
            yield _batch(first, payloads, columns, paths, unreadable)

    def batch_of(
        self, first: int, payloads: Sequence[bytes], columns: Sequence[tuple[str, ...]], unreadable: list[UnreadableRow]
    ) -> TableBatch:
        """Return the batch of these rows, the first of which has the number `first`."""
        return _batch(first, payloads, columns, [[JsonPath(one) for one in column] for column in columns], unreadable)

    def payload_batches(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the texts of all rows, BATCH_ROWS at a time, with the number of the first."""
        rows, first = self.objects(), 1
        while chunk := [octets for _, octets in itertools.islice(rows, BATCH_ROWS)]:
            yield first, chunk
            first += len(chunk)

    def objects(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number, from 1, and the text of each row; blank lines are none."""
        if self.is_array:
            yield from enumerate(_elements(self.name, self.path), 1)
            return
        with self.path.open("rb") as file:
            yield from enumerate((line.rstrip(b"\r\n") for line in file if line.strip()), 1)

    def rows_as_text(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return these rows as they are written."""
        wanted = set(numbers)
        return {number: _shown(octets) for number, octets in self.objects() if number in wanted} if wanted else {}


def _object(octets: bytes) -> object:
    value = parse_value(octets)
    check_nesting(value)
    if not isinstance(value, dict):
        raise BadReading(Reason.NOT_AN_OBJECT, f"a JSON {json_type(value)}, not an object")
    return value


def _elements(name: str, path: Path) -> Iterator[bytes]:
    """Yield the elements of an array, each as JSON with its numbers as they are written."""
    if path.stat().st_size > _ARRAY_OCTETS_MAX:
        raise UsageError(
            f"{name} is an array of more than {_ARRAY_OCTETS_MAX >> 20} MiB", hint="write one object a line"
        )
    try:
        values = json.loads(path.read_bytes(), parse_float=_Written, parse_int=_Written)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON array: {error}") from error
    if not isinstance(values, list):
        raise UsageError(f"{name} is no JSON array")
    return (_dumped(value).encode() for value in values)


class _Written(str):
    """A number as it is written."""

    __slots__ = ()


def _dumped(value: Any) -> str:
    """Return a value as JSON; a number is written as it was."""
    if isinstance(value, _Written):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_dumped(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dumped, value)) + "]"
    return json.dumps(value)


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, child in value.items():
            step = name if name.isidentifier() and name.isascii() else json.dumps(name)
            yield from _leaves(child, f"{path}.{step}" if path else step)
    elif path and not isinstance(value, list):
        yield path, _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else ""


def _shown(octets: bytes) -> str:
    return octets[:400].decode("utf-8", "replace")


def _batch(
    first: int,
    payloads: Sequence[bytes],
    columns: Sequence[tuple[str, ...]],
    paths: Sequence[Sequence[JsonPath]],
    unreadable: list[UnreadableRow],
) -> TableBatch:
    cells: list[list[str]] = [[] for _ in columns]
    bad: list[int] = []
    for row, octets in enumerate(payloads):
        value: object = {}
        try:
            value = _object(octets)
        except BadReading as error:
            bad.append(row)
            unreadable.append(UnreadableRow(where=f"row {first + row}", why=error.detail, text=_shown(octets)))
        for texts, some in zip(cells, paths, strict=True):
            texts.append(" ".join(_text(path.find(value, value)) for path in some))
    named = dict(zip(map(name_of, columns), map(texts_of, cells), strict=True))
    return TableBatch(first, len(payloads), named, tuple(bad))
