"""Rows as plain Python values, column by column: what printing needs, and no pandas.

pandas takes longer to load than most questions take to answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self


class Instant(int):
    """Milliseconds since the epoch."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainRows:
    """Rows as a list of values for each name.

    NULL and NaN are None, times are Instants, dates are text such as 2026-11-20, decimals of up to 15 digits are floats
    and others Decimal; arrays are lists.
    """

    names: Sequence[str]
    columns: Sequence[list[Any]]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.columns[0]) if self.columns else 0

    def first(self, rows: int) -> Self:
        """Return the first `rows` rows, or all if there are fewer."""
        return replace(self, columns=[column[:rows] for column in self.columns])


def joined(pages: Sequence[PlainRows]) -> PlainRows:
    """Return the rows of all `pages`, at least one, as one."""
    columns = [
        [value for part in parts for value in part] for parts in zip(*(one.columns for one in pages), strict=True)
    ]
    return PlainRows(pages[0].names, columns)


def unique_names(names: Iterable[str]) -> list[str]:
    """Return `names` with repeated ones numbered (`x`, `x_1`)."""
    unique: dict[str, None] = {}
    for name in names:
        candidate, number = name, 0
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique[candidate] = None
    return list(unique)
