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
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from windrow.timestamps import format_rfc3339, format_sql
from windrow_cli.disarm import for_spreadsheet, for_terminal

if TYPE_CHECKING:
    import pandas as pd

_UNSEEN = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NUMBERS = (int, float, Decimal)


def as_table(frame: "pd.DataFrame", *, width: int | None = None) -> str:
    """Return aligned columns under their names, numbers to the right.

    With a `width`, only as many columns as fit into it, but at least one; a last line names the others.
    """
    columns = [_aligned(str(name), values) for name, values in _columns(frame)]
    fitting = len(columns) if width is None else _fitting(columns, width)
    lines = ["  ".join(row).rstrip() for row in zip(*columns[:fitting], strict=True)]
    if fitting < len(columns):
        others = ", ".join(str(name) for name in frame.columns[fitting:])
        lines.append(f"not shown for want of width: {others} (--format lines shows all)")
    return "\n".join(lines)


def _fitting(columns: list[list[str]], width: int) -> int:
    """Return how many of the columns, each of a width of its own, fit into `width` with two blanks between them."""
    ends = itertools.accumulate(cell_len(column[0]) + 2 for column in columns)
    return max(1, sum(end - 2 <= width for end in ends))


def as_lines(frame: "pd.DataFrame") -> str:
    """Return a block of lines for each row, a line for each value behind the name of its column."""
    columns = [(str(name), [_cell(value) for value in values]) for name, values in _columns(frame)]
    names = max((cell_len(name) for name, _ in columns), default=0)
    padded = [(name + " " * (names - cell_len(name)), cells) for name, cells in columns]
    blocks = ["\n".join(f"{name}  {cells[row]}".rstrip() for name, cells in padded) for row in range(len(frame))]
    return "\n\n".join(blocks)


def _aligned(name: str, values: list[Any]) -> list[str]:
    """Return name and values as cells of one width."""
    cells = [name, *map(_cell, values)]
    width = max(map(cell_len, cells))
    padding = [" " * (width - cell_len(cell)) for cell in cells]
    is_right = any(isinstance(value, _NUMBERS) and not isinstance(value, bool | _Instant) for value in values)
    return [pad + cell if is_right else cell + pad for cell, pad in zip(cells, padding, strict=True)]


def as_csv(frame: "pd.DataFrame", *, has_header: bool = True) -> str:
    """Return RFC 4180 with a header (unless not `has_header`) and line feeds; NULL is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(frame.columns)
    writer.writerows(zip(*(map(_csv_value, values) for _, values in _columns(frame)), strict=True))
    return text.getvalue().removesuffix("\n")


def _csv_texts(frames: "Iterable[pd.DataFrame]") -> Iterator[str]:
    for number, frame in enumerate(frames):
        if number == 0 or not frame.empty:
            yield as_csv(frame, has_header=number == 0)


def _json_texts(frames: "Iterable[pd.DataFrame]") -> Iterator[str]:
    """Yield one array, each row an object on its own line, held back until it is known whether another follows."""
    held: str | None = None
    for line in itertools.chain.from_iterable(map(_json_lines, frames)):
        yield "[" if held is None else f"{held},"
        held = line
    if held is None:
        yield "[]"
    else:
        yield f"{held}\n]"


def _json_lines(frame: "pd.DataFrame") -> Iterator[str]:
    names = [str(name) for name in frame.columns]
    rows = zip(*(map(_json_value, values) for _, values in _columns(frame)), strict=True)
    lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False) for row in rows)
    # json escapes C0 controls alone; DEL, C1 controls and reversed text mean the same when they are escaped.
    return (_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines)


def _table_texts(frames: "Iterable[pd.DataFrame]") -> Iterator[str]:
    """Yield one table; its columns are as wide as they need, so all rows are collected first."""
    import pandas as pd

    pages = list(frames)
    whole = pd.concat(pages, ignore_index=True) if len(pages) > 1 else pages[0]
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    yield as_table(whole, width=shutil.get_terminal_size().columns if is_terminal else None)


def _line_texts(frames: "Iterable[pd.DataFrame]") -> Iterator[str]:
    """Yield the blocks of rows with a blank line between them."""
    number = 0
    for frame in frames:
        if not frame.empty:
            yield ("\n" if number else "") + as_lines(frame)
            number += 1


TEXTS: dict[str, Callable[["Iterable[pd.DataFrame]"], Iterator[str]]] = {
    "table": _table_texts,
    "lines": _line_texts,
    "csv": _csv_texts,
    "json": _json_texts,
}
"""The lines of a result that comes in pages, for each format that is text; at least one page."""


def _columns(frame: "pd.DataFrame") -> list[tuple[Any, list[Any]]]:
    """Return name and values of each column; times as _Instant, NULL as None."""
    return [(name, _plain_values(frame[name])) for name in frame.columns]


class _Instant(int):
    """Milliseconds since the epoch."""


def _plain_values(column: "pd.Series[Any]") -> list[Any]:
    from analytics.result import epoch_ms

    dtype = str(column.dtype)
    if dtype.endswith("UTC]"):
        return [None if ms is None else _Instant(ms) for ms in epoch_ms(column)]
    values = column.dt.strftime("%Y-%m-%d") if dtype.startswith("datetime64") else column
    return [None if missing else value for value, missing in zip(values.tolist(), column.isna(), strict=True)]


def _cell(value: object) -> str:
    """Return a value as one short line without control characters."""
    match value:
        case None:
            text = ""
        case _Instant():
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
        case _Instant():
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
        case _Instant():
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
