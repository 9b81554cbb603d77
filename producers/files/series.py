"""Which columns of a file are values, and of what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from producers.files.names import (
    QUANTITIES,
    VALUES,
    Samples,
    is_name_of_quantity,
    label_of,
    named,
    quantity_of,
    unit_in,
    without_unit,
)
from producers.files.options import FileOptions
from producers.files.values import MINUS, parts_of, quantity_for
from windrow import quantities
from windrow.errors import UsageError
from windrow.payloads.contract import Quantity
from windrow.payloads.units import symbol_of, unscaled
from windrow.payloads.usual import probable_unit, usual_unit

_NUMBER = re.compile(r"[+\-\u2212]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGIT = re.compile(r"\d", re.ASCII)
_WARM = 60
"""No air is so warm, in °C; rooms are in °F."""
_WITH_UNIT = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


@dataclass(frozen=True, slots=True)
class Series:
    """One column of values. label: what its sensors' ids end with, in a wide file; "" otherwise."""

    column: str
    quantity: Quantity
    label: str


@dataclass(frozen=True, slots=True)
class NamedValues:
    """A column of values of which another says, row by row, what they are: a row for each value."""

    column: str
    quantity_column: str
    options: FileOptions

    def series(self, name: str, unit: str) -> Series:
        """Return what a row's value is, by the name of its quantity and of its unit, or "" if none is told.

        A name that is not known is a quantity of its own. ValueError says what is wrong with the name or the unit.
        """
        known = quantity_of(name)
        own = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        quantity = known or own
        made = _quantity(quantity, unit or unit_in(name), self.options)
        quantities.Quantity(made.name, made.unit)
        return Series(self.column, made, "" if not known or is_name_of_quantity(name) else label_of(name))


def series_of(
    samples: Samples, options: FileOptions, *, taken: set[str], units: Mapping[str, str]
) -> tuple[tuple[Series, ...], list[str]]:
    """Return the columns of values, and what was guessed about them; no column if none is named like a quantity.

    taken: the columns that are something else. units: what is said of some columns beside their names. Several columns
    of one quantity have labels, which tell their sensors apart.
    """
    guesses: list[str] = []
    said = {column: unit for column in samples if (unit := units.get(column) or unit_in(column))}
    if options.value_columns:
        chosen = [_series(column, quantity, options, said) for quantity, column in options.value_columns]
    else:
        names, guesses = _each_in_one_unit(_named_like_quantities(samples, taken), said)
        for quantity, column in list(names):
            odd = improbable(quantity, said.get(column), _without_own_unit(samples, column, options, len(names)))
            if odd:
                names.remove((quantity, column))
                unit = probable_unit(quantity, odd) or "UNIT"
                how = f"--value-column '{quantity}[{unit}]={column}'"
                guesses.append(f"{column!r} is not read, as {odd} is no {quantity} in {usual_unit(quantity)} ({how})")
        chosen = [_series(column, quantity, options, said) for quantity, column in names]
        if not chosen:
            values = _generic(samples, taken)
            chosen = [_series(column, "temperature", options, said) for column in values[:1]]
        guesses += [
            f"{one.column!r} is a {one.quantity.name} in {one.quantity.source_unit} (--value-column, --unit)"
            for one in chosen
            if one.column != "temperature"
        ]
    if not any(_WITH_UNIT.fullmatch(name) for name, _ in options.value_columns):
        guesses += _doubts(chosen, samples, said, options)
    if len({one.quantity.name for one in chosen}) == len(chosen):
        return tuple(replace(one, label="") for one in chosen), guesses
    if len({(one.quantity.name, one.label) for one in chosen}) < len(chosen):
        chosen = [replace(one, label=one.column) for one in chosen]
    return tuple(chosen), guesses


def named_values_of(samples: Samples, options: FileOptions, *, taken: set[str]) -> NamedValues | None:
    """Return where values and the names of their quantities are if each row has one of both; None otherwise.

    Without --quantity-column it takes a column that is called so and has the name of a known quantity, if no column is
    named like a quantity itself. UsageError if nothing is called like a column of values.
    """
    column = options.quantity_column
    if column is None:
        if options.value_columns or _named_like_quantities(samples, taken):
            return None
        candidates = (one for one in named(samples, QUANTITIES) if one not in taken)
        column = next((one for one in candidates if any(map(is_name_of_quantity, samples[one]))), None)
    values = [one for _, one in options.value_columns] or _generic(samples, taken - {column or ""})
    values = [one for one in values if one != column]
    if column is None or not (values or options.quantity_column):
        return None
    if len(values) != 1 and (options.value_columns or not values):
        raise UsageError(f"with quantities in {column!r} there is one column of values: --value-column NAME")
    return NamedValues(values[0], column, options)


def _doubts(chosen: Sequence[Series], samples: Samples, said: Mapping[str, str], options: FileOptions) -> list[str]:
    """Return the columns of temperatures whose unit nobody said, and that are warm for °C."""
    unsaid = [one.column for one in chosen if one.quantity.name == "temperature" and one.column not in said]
    return [
        f"most values of {column!r} are above {_WARM}, in C: are they in F, in K or in parts of C? (--unit)"
        for column in unsaid
        if options.unit is None and _are_warm(samples[column])
    ]


def _are_warm(texts: Sequence[str]) -> bool:
    """Whether most numbers are warmer than air can be in °C."""
    numbers = _numbers(texts)
    return 2 * sum(float(number) > _WARM for number in numbers) > len(numbers)


def _numbers(texts: Sequence[str]) -> list[str]:
    return [text.replace(",", ".").replace(MINUS, "-") for text in texts if _NUMBER.fullmatch(text)]


def unread_columns(samples: Samples, *, read: set[str]) -> tuple[str, ...]:
    """Return the columns with numbers that are not among those that are `read`; named like a quantity, with any digits.

    So a column of values that nobody can read, such as `1,013.2`, is seen to be missing.
    """
    return tuple(
        one
        for one, texts in samples.items()
        if one not in read and (_has_numbers(texts) or (quantity_of(one) and any(map(_DIGIT.search, texts))))
    )


def improbable(quantity: str, unit: str | None, texts: Sequence[str]) -> str | None:
    """Return the first value that is none of the quantity in its usual unit, if most are none and no unit is told."""
    if unit is not None:
        return None
    numbers = _numbers(texts)
    usual = usual_unit(quantity)
    odd = [number for number in numbers if probable_unit(quantity, number) != usual]
    return odd[0] if 2 * len(odd) > len(numbers) else None


def _named_like_quantities(samples: Samples, taken: set[str]) -> list[tuple[str, str]]:
    """Return the columns with numbers that are named like quantities, each behind its quantity."""
    names = ((quantity_of(one), one) for one in samples if one not in taken and _has_numbers(samples[one]))
    return [(quantity, column) for quantity, column in names if quantity]


def _without_own_unit(samples: Samples, column: str, options: FileOptions, columns: int) -> list[str]:
    """Return the texts of a column whose rows name no unit, in the column of units if there is one for `columns`."""
    unit_column = options.unit_column or ("unit" if columns == 1 and "unit" in samples else None)
    if unit_column is None:
        return samples[column]
    return [text for text, unit in zip(samples[column], samples[unit_column], strict=True) if not unit.strip()]


def _each_in_one_unit(
    names: Sequence[tuple[str, str]], said: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the columns without those that say another's temperatures in another unit, and what is told of these."""
    units: dict[str, dict[str, str]] = {}
    for quantity, column in names:
        if quantity == "temperature" and (unit := said.get(column)):
            units.setdefault(without_unit(column), {}).setdefault(symbol_of(unscaled(unit)[1]), column)
    dropped: dict[str, str] = {}
    for columns in units.values():
        kept = columns.get("C") or next(iter(columns.values()))
        dropped |= {column: kept for column in columns.values() if column != kept}
    told = [f"{column!r} is not read, as {kept!r} says the same in another unit" for column, kept in dropped.items()]
    return [one for one in names if one[1] not in dropped], told


def _generic(samples: Samples, taken: set[str]) -> list[str]:
    """Return the columns that are called like values of anything, and have numbers; the likeliest first."""
    return [one for one in named(samples, VALUES) if one not in taken and _has_numbers(samples[one])]


def _has_numbers(texts: list[str]) -> bool:
    return any(_NUMBER.fullmatch(text) or parts_of(text) for text in texts)


def _series(column: str, quantity: str, options: FileOptions, units: Mapping[str, str]) -> Series:
    with_unit = _WITH_UNIT.fullmatch(quantity)
    name, unit = with_unit.groups() if with_unit else (quantity, None)
    said = options.unit if name == "temperature" or usual_unit(name) == "1" else None
    try:
        return Series(column, _quantity(name, unit or said or units.get(column), options), label_of(column))
    except ValueError as error:
        raise UsageError(f"{column!r} as {quantity}: {error}", hint="--unit, --missing, --min, --max") from error


def _quantity(name: str, unit: str | None, options: FileOptions) -> Quantity:
    """Return the quantity of a column in `unit`, by default the usual one; bounds are those of temperatures."""
    is_temperature = name == "temperature"
    return quantity_for(
        name,
        unit=unit or (options.unit if is_temperature else None) or usual_unit(name),
        missing=options.missing,
        minimum=options.minimum if is_temperature else None,
        maximum=options.maximum if is_temperature else None,
    )
