"""The times of elements, in the form that a contract says, as a column."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.payloads.times import EPOCH_SIZES, EPOCH_UNITS_PER_S, TimeForm
from windrow.reading import BadReading
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.numbers import read_numbers, read_times


def read_event_times(form: TimeForm, values: Sequence[object] | None, arrived_ms: Int64s) -> tuple[Int64s, Mask]:
    """Return the instants that the values mean, int64[n], and which of them surely mean one, bool[n].

    values: None for a form that needs none.
    """
    if form.form == "arrival" or values is None:
        return arrived_ms, np.full(len(arrived_ms), form.form == "arrival")
    if form.form == "epoch":
        return _of_any_size(_numbers(values))
    if form.form in EPOCH_UNITS_PER_S:
        return read_numbers(_numbers(values), _part(EPOCH_UNITS_PER_S[form.form]), are_texts=True)
    if form.form == "rfc3339":
        return read_times(values)
    # Of ISO 8601 what is RFC 3339 too; the rest, and any pattern, one by one.
    count = len(values)
    iso = form.form == "iso8601"
    instants, is_read = read_times(values) if iso else (np.zeros(count, np.int64), np.zeros(count, bool))
    for place in np.flatnonzero(~is_read).tolist():
        if type(values[place]) is str:
            try:
                instants[place], is_read[place] = form.parse_ms(values[place], arrival_ms=0), True
            except BadReading:
                continue
    return instants, is_read


def _numbers(values: Sequence[object]) -> list[object]:
    """Return the values without texts that have blanks around their number: no time has."""
    return [None if type(one) is str and one != one.strip() else one for one in values]


def _part(units_per_s: int) -> MappedNumber:
    return MappedNumber.of(
        "event_time_ms", Fraction(1000, units_per_s), Fraction(0), least=INSTANT_MS_MIN, most=INSTANT_MS_MAX
    )


def _of_any_size(values: Sequence[object]) -> tuple[Int64s, Mask]:
    """Read times whose size tells their unit."""
    instants, is_read = np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    least = 0
    for units, end in [*EPOCH_SIZES.items(), (10**9, 2**63 - 1)]:
        pending = np.flatnonzero(~is_read)
        if not len(pending):
            break
        part = replace(_part(units), whole_least=least, whole_end=end)
        of_size, has_size = read_numbers([values[place] for place in pending.tolist()], part, are_texts=True)
        instants[pending], is_read[pending] = of_size, has_size
        least = end
    return instants, is_read
