"""Which columns of a file are values, and of what."""

import re
from dataclasses import dataclass, replace

from producers.files.names import VALUES, Samples, label_of, named, quantity_of, unit_in, usual_unit
from producers.files.options import FileOptions
from producers.files.values import quantity_for
from windrow.errors import UsageError
from windrow.payloads.contract import Quantity

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Series:
    """One column of values. label: what its sensors' ids end with, in a wide file; "" otherwise."""

    column: str
    quantity: Quantity
    label: str


def series_of(samples: Samples, options: FileOptions, *, taken: set[str]) -> tuple[tuple[Series, ...], list[str]]:
    """Return the columns of values, and what was guessed about them; no column if none is named like a quantity.

    taken: the columns that are something else. Several columns of one quantity have labels, which tell their sensors
    apart.
    """
    guesses: list[str] = []
    if options.value_columns:
        chosen = [_series(column, quantity, options) for quantity, column in options.value_columns]
    else:
        names = [(quantity_of(one), one) for one in samples if one not in taken and _has_numbers(samples[one])]
        chosen = [_series(column, quantity, options) for quantity, column in names if quantity]
        if not chosen:
            values = [one for one in named(samples, VALUES) if one not in taken]
            chosen = [_series(column, "temperature", options) for column in values[:1]]
        guesses = [
            f"{one.column!r} is a {one.quantity.name} in {one.quantity.source_unit} (--value-column, --unit)"
            for one in chosen
            if one.column != "temperature"
        ]
    if len({one.quantity.name for one in chosen}) == len(chosen):
        return tuple(replace(one, label="") for one in chosen), guesses
    if len({(one.quantity.name, one.label) for one in chosen}) < len(chosen):
        chosen = [replace(one, label=one.column) for one in chosen]
    return tuple(chosen), guesses


def _has_numbers(texts: list[str]) -> bool:
    return any(_NUMBER.fullmatch(text) for text in texts)


def _series(column: str, quantity: str, options: FileOptions) -> Series:
    is_temperature = quantity == "temperature"
    said = options.unit if is_temperature or usual_unit(quantity) == "1" else None
    try:
        made = quantity_for(
            quantity,
            unit=said or unit_in(column) or usual_unit(quantity),
            missing=options.missing,
            minimum=options.minimum if is_temperature else None,
            maximum=options.maximum if is_temperature else None,
        )
    except ValueError as error:
        raise UsageError(f"{column!r} as {quantity}: {error}", hint="--unit, --missing, --min, --max") from error
    return Series(column, made, label_of(column))
