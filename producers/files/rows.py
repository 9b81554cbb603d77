"""Rows of a table as readings, or as left out for a reason."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from producers.files.roles import Roles
from producers.files.series import Series
from producers.files.table import TableBatch, name_of
from producers.files.texts import each_once, strings_of_texts, taken
from producers.files.times import parse_times
from producers.files.values import Refused, parse_values
from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.errors import UsageError
from windrow.quantities import Quantity, with_suffixes
from windrow.reading import BadReading, Readings, Reason, are_sensor_ids, check_sensor_id, check_sequence


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is no reading, or a cell of it: the row's number in its file, the reason, the detail for people."""

    row: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class QuantityReadings:
    """Readings of one quantity, and the row of its file that each came from: int64[n]."""

    quantity: str
    unit: str
    readings: Readings
    rows: Int64s

    @property
    def series(self) -> Readings:
        """The same readings, as those of this quantity of their sensors."""
        suffix = Quantity(self.quantity, self.unit).suffix
        ids = self.readings.sensor_ids
        if not suffix:
            return self.readings
        named = with_suffixes(ids, Strings.of([suffix]), np.zeros(len(ids), np.int64))
        return replace(self.readings, sensor_ids=named)


@dataclass(frozen=True, slots=True, eq=False)
class FileBatch:
    """What some rows of a file are. filtered: rows that a filter left out; missing: cells without a value."""

    rows: int
    found: tuple[QuantityReadings, ...]
    left_out: tuple[LeftOut, ...]
    filtered: int
    missing: int


def read_batch(batch: TableBatch, roles: Roles, filters: tuple[tuple[str, str], ...]) -> FileBatch:
    """Return what the rows of `batch` are, of those that match all `filters`."""
    chosen = np.ones(batch.rows, bool)
    for column, glob in filters:
        chosen &= _matching(batch.columns[column], glob)
    chosen[list(batch.unreadable)] = True
    filtered = int(np.count_nonzero(~chosen))
    chosen[list(batch.unreadable)] = False
    why: dict[int, tuple[Reason, str]] = {}
    instants, is_time, bad_times = parse_times(batch.columns[name_of(roles.time_columns)], roles.time_form)
    ids, place, bad_ids = _sensors(batch, roles)
    sequences, bad_sequences = _sequences(batch, roles)
    of_rows, bad_names = _series_of_rows(batch, roles)
    not_at_any_time = {row: (Reason.EVENT_TIME, text) for row, text in bad_times.items()}
    for some in (bad_names, bad_sequences, bad_ids, not_at_any_time):
        why |= some
    is_sound = chosen & is_time
    is_sound[list(why)] = False
    units = batch.columns[roles.unit_column] if roles.unit_column and not roles.named_values else None
    has_value, refused, missing = np.zeros(batch.rows, bool), np.zeros(batch.rows, bool), 0
    left_out = [LeftOut(batch.first + row, *why[row]) for row in sorted(why) if chosen[row]]
    found: list[QuantityReadings] = []
    for one, rows in of_rows:
        values, is_value, others = _parsed(batch, one, rows, units)
        kept = is_sound & is_value
        has_value |= kept
        for row, cell in others.items():
            if not is_sound[row]:
                continue
            if cell.is_missing:
                missing += 1
                continue
            refused[row] = True
            name = f"{one.column}: " if len(roles.series) > 1 else ""
            left_out.append(LeftOut(batch.first + row, cell.reason, name + cell.detail))
        if rows is None or kept.any():
            found.append(
                _quantity_readings(one, np.flatnonzero(kept), ids, place, instants, sequences, values, batch.first)
            )
    empty = np.flatnonzero(is_sound & ~has_value & ~refused) + batch.first
    left_out += [LeftOut(row, Reason.MISSING_VALUE, "no value") for row in empty.tolist()]
    return FileBatch(batch.rows, tuple(found), tuple(left_out), filtered, missing)


def _series_of_rows(
    batch: TableBatch, roles: Roles
) -> tuple[list[tuple[Series, Int64s | None]], dict[int, tuple[Reason, str]]]:
    """Return each series with the rows that have its values, None for all, and why some rows are of none."""
    named = roles.named_values
    if named is None:
        return [(one, None) for one in roles.series], {}
    names, name_of_row = strings_of_texts(batch.columns[named.quantity_column]).rank()
    units, unit_of_row = Strings.of([""]), np.zeros(batch.rows, np.int64)
    if roles.unit_column:
        units, unit_of_row = strings_of_texts(batch.columns[roles.unit_column]).rank()
    found: list[tuple[Series, Int64s | None]] = []
    bad: dict[int, tuple[Reason, str]] = {}
    pair_of_row = name_of_row * len(units) + unit_of_row
    name_texts, unit_texts = names.to_list(), units.to_list()
    for pair in np.unique(pair_of_row).tolist():
        rows = np.flatnonzero(pair_of_row == pair)
        name, unit = name_texts[pair // len(units)], unit_texts[pair % len(units)]
        try:
            found.append((named.series(name, unit.strip()), rows))
        except ValueError as error:
            bad |= dict.fromkeys(rows.tolist(), (Reason.QUANTITY, f"{named.quantity_column}: {error}"[:200]))
    return found, bad


def _parsed(
    batch: TableBatch, series: Series, rows: Int64s | None, units: Payloads | None
) -> tuple[Int64s, Mask, dict[int, Refused]]:
    """Parse the values of a series, which are in `rows`: thousandths and whether there are any, of all rows."""
    texts = batch.columns[series.column]
    if rows is None:
        return parse_values(texts, series.quantity, units)
    values, is_value = np.zeros(batch.rows, np.int64), np.zeros(batch.rows, bool)
    values[rows], is_value[rows], others = parse_values(taken(texts, rows), series.quantity, None)
    return values, is_value, {int(rows[at]): refused for at, refused in others.items()}


def _quantity_readings(
    series: Series,
    rows: Int64s,
    ids: Strings,
    place: Int64s,
    instants: Int64s,
    sequences: Int64s,
    values: Int64s,
    first: int,
) -> QuantityReadings:
    named = Strings.of(f"{one}/{series.label}" for one in ids.to_list()) if series.label else ids
    readings = Readings(
        named,
        place[rows].astype(np.int32),
        instants[rows],
        sequences[rows],
        values[rows].astype(np.int32),
    )
    return QuantityReadings(series.quantity.name, series.quantity.unit, readings, rows + first)


def _sensors(batch: TableBatch, roles: Roles) -> tuple[Strings, Int64s, dict[int, tuple[Reason, str]]]:
    """Return the distinct ids, each row's place among them, and why some rows have none."""
    if roles.sensor_column is None:
        check = _id_reason(roles.sensor_id)
        if check:
            raise UsageError(f"--sensor-id {roles.sensor_id!r}: {check}")
        return Strings.of([roles.sensor_id]), np.zeros(batch.rows, np.int64), {}
    distinct, place = strings_of_texts(batch.columns[roles.sensor_column]).rank()
    is_id = are_sensor_ids(distinct) & distinct.are_utf8()
    bad: dict[int, tuple[Reason, str]] = {}
    if not is_id.all():
        for row in np.flatnonzero(~is_id[place]).tolist():
            text = distinct.octets_at(int(place[row])).decode("utf-8", "replace")
            bad[row] = (Reason.SENSOR_ID, _id_reason(text) or "not UTF-8")
        kept = np.flatnonzero(is_id)
        places = np.zeros(len(is_id), np.int64)
        places[kept] = np.arange(len(kept))
        distinct, place = distinct.take(kept), places[place]
    return distinct, place, bad


def _id_reason(sensor_id: str) -> str:
    try:
        check_sensor_id(sensor_id)
    except BadReading as error:
        return error.detail
    return ""


def _sequences(batch: TableBatch, roles: Roles) -> tuple[Int64s, dict[int, tuple[Reason, str]]]:
    if roles.sequence_column is None:
        return np.zeros(batch.rows, np.int64), {}
    texts = batch.columns[roles.sequence_column]
    sequences, bad = np.zeros(batch.rows, np.int64), {}
    for row, found in enumerate(each_once(texts, np.arange(batch.rows), _sequence)):
        if isinstance(found, str):
            bad[row] = (Reason.SEQUENCE, found)
        else:
            sequences[row] = found
    return sequences, bad


def _sequence(text: str) -> int | str:
    cell = text.strip()
    if not cell:
        return 0
    whole, _, fraction = cell.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) < 20 and not fraction.strip("0")):
        return f"{ascii(cell)[:40]} is no integer from 0 to 2^63-1"
    try:
        check_sequence(int(whole))
    except BadReading as error:
        return error.detail
    return int(whole)


def _matching(texts: Payloads, glob: str) -> Mask:
    distinct, place = strings_of_texts(texts).rank()
    matches = np.array([fnmatchcase(text, glob) for text in distinct.to_list()], bool)
    return matches[place] if len(matches) else np.zeros(0, bool)
