"""The form of a CSV file: what separates its fields, which lines come before the header, and the header's names."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from windrow.errors import UsageError

_DELIMITERS = (",", ";", "\t", "|")
_COMMENT = "#"
_ANNOTATIONS = ("#group,", "#datatype,", "#default,")
_LINES_MAX = 200
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?|")
_VALUE = re.compile(r"\s*[+-]?[.,]?\d")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How to read a CSV file. skipped_lines: lines before the header; has_comments: lines with # are none of it.

    names: the header's names, without stray spaces, made unique; empty ones become `column N`.
    """

    delimiter: str
    skipped_lines: int
    names: tuple[str, ...]
    has_comments: bool
    has_decimal_comma: bool
    remarks: tuple[str, ...] = ()


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
    cells = [field.strip() for row in rows[header + 1 :] for field in row]
    if has_decimal_comma is None:
        has_decimal_comma = (
            chosen != ","
            and any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
            and not any(_DECIMAL_POINT.fullmatch(cell) for cell in cells)
        )
    remarks = [f"{at} lines before the header are skipped (--skip-lines)"] if at and skipped_lines is None else []
    return CsvForm(
        delimiter=chosen,
        skipped_lines=at,
        names=_unique(fields),
        has_comments=any(is_comment[at + 1 :]),
        has_decimal_comma=has_decimal_comma,
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

    Rows of values may be wider, by surplus fields. Where every row has a number, it is the first as wide as most are.
    """
    usual = Counter(_width(row) for row in rows).most_common(1)[0][0]
    values = next((at for at, row in enumerate(rows) if _width(row) > 1 and any(map(_VALUE.match, row))), len(rows))
    if values:
        return max(range(values), key=lambda at: _width(rows[at]))
    return next(at for at, row in enumerate(rows) if len(row) >= usual and _width(row) >= min(2, usual))


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
