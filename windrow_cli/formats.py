"""Rows as text: a table or lines for people, CSV, or JSON; none cuts a value off.

Times are UTC: RFC 3339 in CSV and JSON. Numbers are exact there; the table rounds to three places. Text is exact in
JSON; in CSV it is no formula, and on a terminal it has no control characters.
"""

import csv
import io
import itertools
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Union

from rich.cells import cell_len

from analytics.plain import Instant
from windrow.disarm import for_spreadsheet, for_terminal
from windrow.timestamps import format_rfc3339, format_sql

if TYPE_CHECKING:
    import pandas as pd

    from analytics.plain import PlainRows

_UNSEEN = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NUMBERS = (int, float, Decimal)
Rows = Union["PlainRows", "pd.DataFrame"]
"""What is printed: plain values, or a frame of results."""


def as_table(rows: Rows, *, width: int | None = None) -> str:
    """Return aligned columns under their names, numbers to the right.

    With a `width`, only as many columns as fit into it, but at least one; a last line names the others.
    """
    plain = _plain(rows)
    columns = [_aligned(name, values) for name, values in zip(plain.names, plain.columns, strict=True)]
    fitting = len(columns) if width is None else _fitting(columns, width)
    lines = ["  ".join(row).rstrip() for row in zip(*columns[:fitting], strict=True)]
    if fitting < len(columns):
        others = ", ".join(plain.names[fitting:])
        lines.append(f"not shown for want of width: {others} (--format lines shows all)")
    return "\n".join(lines)


def _fitting(columns: list[list[str]], width: int) -> int:
    """Return how many of the columns, each of a width of its own, fit into `width` with two blanks between them."""
    ends = itertools.accumulate(cell_len(column[0]) + 2 for column in columns)
    return max(1, sum(end - 2 <= width for end in ends))


def as_lines(rows: Rows) -> str:
    """Return a block of lines for each row, a line for each value behind the name of its column."""
    plain = _plain(rows)
    width = max(map(cell_len, plain.names), default=0)
    names = [name + " " * (width - cell_len(name)) for name in plain.names]
    columns = [(name, list(map(_cell, values))) for name, values in zip(names, plain.columns, strict=True)]
    blocks = ["\n".join(f"{name}  {cells[row]}".rstrip() for name, cells in columns) for row in range(len(plain))]
    return "\n\n".join(blocks)


def _aligned(name: str, values: list[Any]) -> list[str]:
    """Return name and values as cells of one width."""
    cells = [name, *map(_cell, values)]
    width = max(map(cell_len, cells))
    padding = [" " * (width - cell_len(cell)) for cell in cells]
    is_right = any(isinstance(value, _NUMBERS) and not isinstance(value, bool | Instant) for value in values)
    return [pad + cell if is_right else cell + pad for cell, pad in zip(cells, padding, strict=True)]


def as_csv(rows: Rows, *, has_header: bool = True) -> str:
    """Return RFC 4180 with a header (unless not `has_header`) and line feeds; NULL is empty."""
    plain = _plain(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(plain.names)
    writer.writerows(zip(*(map(_csv_value, values) for values in plain.columns), strict=True))
    return text.getvalue().removesuffix("\n")


def _csv_texts(pages: Iterable[Rows]) -> Iterator[str]:
    for number, page in enumerate(pages):
        if number == 0 or len(page):
            yield as_csv(page, has_header=number == 0)


def _json_texts(pages: Iterable[Rows]) -> Iterator[str]:
    """Yield one array, each row an object on its own line, held back until it is known whether another follows."""
    held: str | None = None
    for line in itertools.chain.from_iterable(map(_json_lines, pages)):
        yield "[" if held is None else f"{held},"
        held = line
    if held is None:
        yield "[]"
    else:
        yield f"{held}\n]"


def _json_lines(rows: Rows) -> Iterator[str]:
    plain = _plain(rows)
    values = zip(*(map(_json_value, column) for column in plain.columns), strict=True)
    objects = (dict(zip(plain.names, row, strict=True)) for row in values)
    lines = (json.dumps(one, ensure_ascii=False, allow_nan=False) for one in objects)
    # json escapes C0 controls alone; DEL, C1 controls and reversed text mean the same when they are escaped.
    return (_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines)


def _table_texts(pages: Iterable[Rows]) -> Iterator[str]:
    """Yield one table; its columns are as wide as they need, so all rows are collected first."""
    from analytics.plain import joined

    plain = list(map(_plain, pages))
    whole = joined(plain) if len(plain) > 1 else plain[0]
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    yield as_table(whole, width=shutil.get_terminal_size().columns if is_terminal else None)


def _line_texts(pages: Iterable[Rows]) -> Iterator[str]:
    """Yield the blocks of rows with a blank line between them."""
    number = 0
    for page in pages:
        if len(page):
            yield ("\n" if number else "") + as_lines(page)
            number += 1


TEXTS: dict[str, Callable[[Iterable[Rows]], Iterator[str]]] = {
    "table": _table_texts,
    "lines": _line_texts,
    "csv": _csv_texts,
    "json": _json_texts,
}
"""The lines of a result that comes in pages, for each format that is text; at least one page."""


def _plain(rows: "Rows") -> "PlainRows":
    from analytics.plain import PlainRows

    if isinstance(rows, PlainRows):
        return rows
    from analytics.frames import plain_rows

    return plain_rows(rows)


def _cell(value: object) -> str:
    """Return a value as one short line without control characters."""
    match value:
        case None:
            text = ""
        case Instant():
            text = f"{format_sql(value).removesuffix('.000')}Z"
        case float():
            text = f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.3g}"
        case _:
            text = _text(value)
    return for_terminal(text)


def _csv_value(value: object) -> str:
    """Return a value as CSV has it: text that would be a formula with an apostrophe before it."""
    return csv_text(value) if isinstance(value, str) else _text(value)


def csv_text(value: object) -> Any:
    """Return text as a spreadsheet may have it, on a terminal without control characters; anything else unchanged."""
    if not isinstance(value, str):
        return value
    text = for_spreadsheet(value)
    return for_terminal(text) if sys.stdout is not None and sys.stdout.isatty() else text


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case Instant():
            return format_rfc3339(value)
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return json.dumps(_json_value(value), ensure_ascii=False)
        case _:
            return str(value)


def _json_value(value: object) -> object:
    """Return a JSON value: a whole decimal as a number, another one as text, NaN and infinity as null."""
    match value:
        case Instant():
            return format_rfc3339(value)
        case bool() | int() | str() | None:
            return value
        case float() | Decimal():
            return _json_number(value)
        case list():
            return [_json_value(element) for element in value]
        case dict():
            return {str(name): _json_value(element) for name, element in value.items()}
        case _:
            return str(value)


def _json_number(value: float | Decimal) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return int(value) if value == value.to_integral_value() else str(value)
