"""The form of a CSV file: what separates its fields, which lines come before the header, and the header's names."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from windrow.errors import UsageError
from windrow.payloads.units import is_known

_DELIMITERS = (",", ";", "\t", "|")
_COMMENT = "#"
_ANNOTATIONS = ("#group,", "#datatype,", "#default,")
_LINES_MAX = 200
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?|")
_VALUE = re.compile(r"\s*[+-]?[.,]?\d")
_VALUE_WITHIN = re.compile(r"(?<![A-Za-z^/])\d")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How to read a CSV file. header_lines: lines before its rows; has_comments: lines with # are none of it.

    names: the header's names, without stray spaces, made unique; empty ones become `column N`. units: what a line below
    the names says of some of them, such as `°F`, or `UTC` of a time. fields: how many most rows have, if that is less
    than there are names; such rows lack the last ones.
    """

    delimiter: str
    header_lines: int
    names: tuple[str, ...]
    has_comments: bool
    has_decimal_comma: bool
    units: Mapping[str, str]
    fields: int
    remarks: tuple[str, ...]


def csv_form(
    text: str, *, name: str, delimiter: str | None, skipped_lines: int | None, has_decimal_comma: bool | None
) -> CsvForm:
    """Sniff the form from the file's beginning, as far as it is not given; UsageError names a file without a header.

    The delimiter is the one that most lines agree about. What stands before the header is a title.
    """
    lines = text.replace("\r\n", "\n").split("\n")[:_LINES_MAX]
    skip = skipped_lines or 0
    is_comment = [line.startswith(_COMMENT) for line in lines]
    body = [line for line, comment in zip(lines[skip:], is_comment[skip:], strict=True) if line.strip() and not comment]
    if not body:
        raise UsageError(f"{name} has no line with fields", hint="is it empty, or --skip-lines too large?")
    chosen = delimiter or max(_DELIMITERS, key=lambda one: _agreement(body, one))
    rows = [row for row in csv.reader(body, delimiter=chosen) if row]
    header = 0 if skipped_lines is not None else _header(rows)
    at = next(at for at in range(skip, len(lines)) if lines[at] == body[header])
    fields = [field.strip() for field in rows[header]]
    if all(_NUMBER.fullmatch(field) for field in fields):
        raise UsageError(
            f"{name}, line {at + 1}, has numbers where the names of the columns should be: {lines[at][:80]!r}",
            hint="add a line of names; readings cannot be told from their places",
        )
    names, below = _unique(fields), _rows_of_units(rows[header + 1 :])
    cells = [field.strip() for row in rows[header + 1 + below :] for field in row]
    if has_decimal_comma is None:
        has_decimal_comma = (
            chosen != ","
            and any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
            and not any(_DECIMAL_POINT.fullmatch(cell) for cell in cells)
        )
    remarks = [f"{at} lines before the header are skipped (--skip-lines)"] if at and skipped_lines is None else []
    if below:
        remarks.append(f"the line below the names says their units: {lines[at + 1][:80]!r}")
    return CsvForm(
        delimiter=chosen,
        header_lines=_line_after(lines, at, 1 + below),
        names=names,
        has_comments=any(is_comment[at + 1 :]),
        has_decimal_comma=has_decimal_comma,
        fields=_fields_of(rows[header + 1 + below :], len(names)),
        units=_units_of(names, rows[header + 1]) if below else {},
        remarks=tuple(remarks),
    )


def check_annotated(lines: Iterable[str], *, name: str) -> None:
    """Check that an annotated CSV file has one header; UsageError names the first line of another.

    Query tools write a table behind the other, each with its own annotations (lines with #) and names of columns.
    """
    first, is_behind_annotation = None, True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not line.startswith(_COMMENT) and is_behind_annotation:
            header = [field.strip() for field in next(csv.reader([line]))]
            first = first or header
            if header != first:
                raise UsageError(
                    f"{name} holds tables of different columns: line {number} begins another, {line.strip()[:80]!r}",
                    hint="export them to a file each, or pivoted to one table",
                )
        is_behind_annotation = line.startswith(_COMMENT)


def is_annotated(text: str) -> bool:
    """Whether a CSV file begins with annotations, as query tools write them."""
    return text.startswith(_ANNOTATIONS)


def _header(rows: list[list[str]]) -> int:
    """Return which row has the names: the first of the widest without any number, before the first that has some.

    Rows of values may be wider, by surplus fields; what is narrower than most is part of a title. Where every row has a
    number, it is the first as wide as most are. Files that begin with TOA5 have one title line.
    """
    if rows[0][0].strip() == "TOA5" and len(rows) > 1:
        return 1
    usual = Counter(_width(row) for row in rows).most_common(1)[0][0]
    wide = (at for at, row in enumerate(rows) if _width(row) >= max(2, usual) and any(map(_VALUE.match, row)))
    values = next(wide, len(rows))
    if values:
        return max(range(values), key=lambda at: _width(rows[at]))
    return next(at for at, row in enumerate(rows) if len(row) >= usual and _width(row) >= min(2, usual))


def _rows_of_units(rows: list[list[str]]) -> int:
    """Return how many of the rows below the names have no values: one that says units, and one of other words."""
    if not rows or _has_values(rows[0]) or not any(map(is_known, map(_bare, rows[0]))):
        return 0
    return 1 if len(rows) < 2 or _has_values(rows[1]) else 2


def _fields_of(rows: list[list[str]], names: int) -> int:
    """Return how many fields most rows have, at most as many as there are names; two, and rows of both widths."""
    widths = Counter(len(row) for row in rows)
    usual = max(widths, key=lambda width: widths[width], default=names)
    return usual if 1 < usual < names and widths[names] else names


def _has_values(row: list[str]) -> bool:
    return any(_VALUE_WITHIN.search(field) and not is_known(_bare(field)) for field in row)


def _units_of(names: tuple[str, ...], row: list[str]) -> dict[str, str]:
    found = {name: _bare(field) for name, field in zip(names, row, strict=False)}
    return {name: unit for name, unit in found.items() if is_known(unit) or unit.upper() in {"UTC", "GMT"}}


def _bare(field: str) -> str:
    return field.strip().strip("[]()").strip()


def _line_after(lines: list[str], at: int, count: int) -> int:
    """Return the number of the line after `count` rows from the line `at` on; blank lines and comments are none."""
    rows = (number for number in range(at, len(lines)) if lines[number].strip() and not lines[number].startswith("#"))
    return next(number for row, number in enumerate(rows, 1) if row == count) + 1


def _agreement(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Return the share of lines with the usual number of fields, if that is above one, and that number."""
    widths = Counter(_width(row) for row in csv.reader(lines, delimiter=delimiter) if row)
    wide = [(count, width) for width, count in widths.items() if width > 1]
    if not wide:
        return 0.0, 0
    count, width = max(wide)
    return count / sum(widths.values()), width


def _width(row: list[str]) -> int:
    """Return the number of fields up to the last one that is not empty."""
    return max((at + 1 for at, field in enumerate(row) if field.strip()), default=0)


def _unique(fields: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for number, field in enumerate(fields, 1):
        name, again = field or f"column {number}", 2
        while name in names:
            name, again = f"{field or 'column'} {again}", again + 1
        names.append(name)
    return tuple(names)
