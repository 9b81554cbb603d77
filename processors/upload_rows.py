"""Rows of uploaded CSV and Parquet files as JSON payloads: an object for each row, with its columns as fields.

So the stage's payload contract, or the default form, decides what a row means, as it does for the stream; and what is
quarantined of a file can be read by people and delivered again.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from math import isfinite

import numpy as np
from arro3.core import Array, DataType

from windrow.columns.arrow import read_parquet_batches
from windrow.columns.parquet_columns import rows_and_plain_bytes
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN, format_rfc3339

NUMBER_COLUMNS = frozenset({"event_time", "temperature", "value", "sequence"})
"""What the default form has as JSON numbers; other columns of a CSV file stay texts."""
_BATCH_BYTES_MAX = 256 * 1024 * 1024
_BATCH_ROWS_MAX = 4_096
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
# The columns of Parquet that have a form in JSON, by how arro3 spells their types.
_TEXT = "(?:Utf8|LargeUtf8|Utf8View)"
_PLAIN = re.compile(rf"{_TEXT}|Dictionary\(\w+, {_TEXT}\)|Boolean|U?Int\d+|Float(?:16|32|64)|Decimal\d*\(.*\)")
_INSTANTS = re.compile(r"Timestamp\((?P<unit>s|ms|µs|ns)(?:, .*)?\)")
_PER_SECOND = {"s": 1, "ms": 1_000, "µs": 1_000_000, "ns": 1_000_000_000}


class UnreadableFile(ValueError):  # noqa: N818 - the domain's noun
    """The file as a whole cannot be read; the message says why."""


class TooManyRowsError(ValueError):
    """The file has more rows than are read."""


def csv_payloads(body: bytes, *, are_numbers: Callable[[str], bool]) -> Iterator[bytes]:
    """Yield a payload for each row of a CSV file in UTF-8, whose first row names the columns.

    Fields have no spaces around them, and an empty one is none. `are_numbers` says of which columns numbers are JSON
    numbers; all else is text. The delimiter is the one of comma, semicolon, tab and bar that the first row has most of.
    A row with another number of fields is no JSON, and so no reading. Raises UnreadableFile, maybe after some rows.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"not UTF-8 at byte {error.start}") from None
    delimiter = delimiter_of(text.partition("\n")[0])
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        _check_names(names)
        fields = [(f"{json.dumps(name)}:", are_numbers(name)) for name in names]
        for row in rows:
            if row:
                yield _csv_payload(row, fields, delimiter)
    except csv.Error as error:
        raise UnreadableFile(f"line {rows.line_num}: {error}") from None


def delimiter_of(first_row: str) -> str:
    """Return what stands between the fields of a CSV file, by its first row."""
    return max(_DELIMITERS, key=first_row.count)


def _check_names(names: list[str]) -> None:
    if not all(names) or not names:
        raise UnreadableFile("the first row does not name every column")
    if len(set(names)) < len(names):
        raise UnreadableFile("two columns have the same name")


def _csv_payload(row: list[str], fields: list[tuple[str, bool]], delimiter: str) -> bytes:
    if len(row) != len(fields):
        return f"{len(row)} fields: {delimiter.join(row)}".encode()
    cells = zip(fields, map(str.strip, row), strict=True)
    return _object(
        f"{name}{cell if is_number and _NUMBER.fullmatch(cell) else json.dumps(cell, ensure_ascii=False)}"
        for (name, is_number), cell in cells
        if cell
    )


def parquet_payloads(body: bytes, *, rows_max: int) -> Iterator[bytes]:
    """Yield a payload for each row of a Parquet file: numbers as they are, instants as RFC 3339 in UTC, cut to ms.

    A number that is not finite, and a null, is none. Raises TooManyRowsError, and UnreadableFile, maybe after some
    rows, for what is damaged or has a column of another kind than texts, numbers, instants and Booleans.
    """
    try:
        rows, plain_bytes = rows_and_plain_bytes(body)
        if rows > rows_max:
            raise TooManyRowsError(f"{rows:,} rows, at most {rows_max:,}")
        # A value may be long and be named by every row: so few rows at once that this fits, too.
        at_once = max(1, min(_BATCH_ROWS_MAX, _BATCH_BYTES_MAX // max(1, plain_bytes)))
        for columns in read_parquet_batches(io.BytesIO(body), rows=at_once):
            fields = [f"{json.dumps(name)}:" for name in columns]
            texts = [_column_as_json(name, column) for name, column in columns.items()]
            for row in zip(*texts, strict=True):
                yield _object(name + text for name, text in zip(fields, row, strict=True) if text is not None)
    except TooManyRowsError:
        raise
    except (ValueError, OverflowError) as error:
        raise UnreadableFile(" ".join(str(error).split())[:200]) from None


def _column_as_json(name: str, column: Array) -> list[str | None]:
    """Return each value of a column as JSON; None where there is none."""
    kind = str(column.type).removeprefix("arro3.core.DataType<").rstrip("\n").removesuffix(">")
    if match := _INSTANTS.fullmatch(kind):
        to_ms = _PER_SECOND[match["unit"]]
        instants = column.cast(DataType.int64()).to_pylist()
        return [None if instant is None else _instant(instant * 1_000 // to_ms) for instant in instants]
    if not _PLAIN.fullmatch(kind):
        raise UnreadableFile(f"the column {name!r} is of the kind {kind}")
    values = column.to_pylist()
    if kind == "Float32":  # the shortest decimal that means it, not that of the double
        return [None if value is None or not isfinite(value) else str(np.float32(value)) for value in values]
    return [_json(value) for value in values]


def _instant(instant_ms: int) -> str:
    """Return an instant as RFC 3339; one outside the years 1 to 9999, which is no reading's, as its number."""
    is_civil = INSTANT_MS_MIN <= instant_ms <= INSTANT_MS_MAX
    return f'"{format_rfc3339(instant_ms)}"' if is_civil else str(instant_ms)


def _json(value: object) -> str | None:
    """Return a value as JSON; None if it is none."""
    match value:
        case None:
            return None
        case Decimal():
            return f"{value:f}"
        case float():
            return repr(value) if isfinite(value) else None
        case _:
            return json.dumps(value, ensure_ascii=False)


def _object(fields: Iterable[str]) -> bytes:
    return f"{{{','.join(fields)}}}".encode()
