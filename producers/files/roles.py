"""Which column of a file is what: as the user says, as the names say, or as the values suggest, which is then told."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from producers.files.names import (
    CLOCKS,
    DATES,
    SENSORS,
    TIMES,
    VALUES,
    Samples,
    named,
    names_another_quantity,
    plain,
    quantity_of,
    unit_in,
)
from producers.files.options import FileOptions
from producers.files.series import NamedValues, Series, improbable, named_values_of, series_of, unread_columns
from producers.files.times import guessed_time, named_form, zone_in
from windrow.errors import UsageError
from windrow.payloads.times import TimeForm, Zone
from windrow.payloads.usual import usual_unit
from windrow.payloads.zones import zone_named

_HAS_CLOCK = re.compile(r"\d\D+\d\d:\d\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What the columns of a file are. guesses: what nobody said, for people; unread: columns with other numbers.

    Each reading's sensor id is in `sensor_column`, or `sensor_id` without one; a label of its series follows. Without
    `named_values` each column of `series` has one quantity; with them there are no other values.
    """

    sensor_column: str | None
    sensor_id: str
    time_columns: tuple[str, ...]
    time_form: TimeForm
    series: tuple[Series, ...]
    named_values: NamedValues | None
    sequence_column: str | None
    unit_column: str | None
    guesses: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The columns that hold values."""
        return (self.named_values.column,) if self.named_values else tuple(one.column for one in self.series)


@dataclass(frozen=True, slots=True)
class FileNames:
    """What a file is called: in full, without its endings, and its folder."""

    name: str
    stem: str
    folder: str


@dataclass(frozen=True, slots=True)
class _Notes:
    """Guesses to tell, and what somebody must say first: what is open, with the option that says it.

    units: what the file says of some columns beside their names.
    """

    units: Mapping[str, str]
    guesses: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


def roles_of(
    samples: Samples,
    options: FileOptions,
    names: FileNames,
    *,
    instant_columns: frozenset[str] = frozenset(),
    units: Mapping[str, str] | None = None,
) -> Roles:
    """Return the roles of the columns whose first texts are `samples`; `instant_columns` hold epoch milliseconds.

    units: what the file says of some columns beside their names, a unit or UTC. UsageError names a column that is not
    there, or at once all options without which the file means nothing.
    """
    _check_names(samples, options, names.name)
    notes = _Notes(units=units or {})
    time_columns, form = _time(samples, options, instant_columns, notes)
    sensor = _sensor(samples, options)
    taken = {*time_columns, *(one for one in (sensor, options.sequence_column) if one)}
    named_values = named_values_of(samples, options, taken=taken)
    series = _values(samples, options, notes, sensor, taken) if named_values is None else ()
    if named_values is not None:
        _note_named(samples, options, notes, named_values)
    sensor_id = "" if sensor else _constant_id(options, names, notes, is_wide=any(one.label for one in series))
    if sensor is not None and sensor != SENSORS[0] and options.sensor_column is None:
        notes.guesses.append(f"the sensor's id is {sensor!r} (--sensor-column)")
    if form is None or notes.needs:
        raise _open_questions(notes.needs, samples, names.name)
    unit_column = options.unit_column or ("unit" if "unit" in samples and len(series) <= 1 else None)
    read = {*taken, *(one.column for one in series), unit_column or ""}
    if named_values is not None:
        read |= {named_values.column, named_values.quantity_column}
    return Roles(
        sensor_column=sensor,
        sensor_id=sensor_id,
        time_columns=time_columns,
        time_form=form,
        series=series,
        sequence_column=options.sequence_column or ("sequence" if "sequence" in samples else None),
        unit_column=unit_column,
        named_values=named_values,
        guesses=tuple(notes.guesses),
        unread=() if options.value_columns else unread_columns(samples, read=read),
    )


def _values(
    samples: Samples, options: FileOptions, notes: _Notes, sensor: str | None, taken: set[str]
) -> tuple[Series, ...]:
    """Return the columns of values; a need, if none is named like a quantity, or ids are of another than is guessed."""
    series, guesses = series_of(samples, options, taken=taken, units=notes.units)
    notes.guesses.extend(guesses)
    if not series:
        notes.needs.extend(guesses or ["no column is named like a quantity: --temperature-column or --value-column"])
        return ()
    is_by_default = not options.value_columns and plain(series[0].column) in VALUES
    if sensor is not None and is_by_default:
        ids = _matching(samples, options)(sensor)
        other = next(filter(names_another_quantity, ids), None)
        if other is not None:
            notes.needs.append(
                f"{series[0].column!r} of {other[:60]!r} is no temperature: --where '{sensor}=*temperature*', or"
                " --value-column"
            )
    return series


def _note_named(samples: Samples, options: FileOptions, notes: _Notes, values: NamedValues) -> None:
    """Tell what was guessed of a table with a row for each value, and what must be said first."""
    of_rows = _matching(samples, options)
    names, texts = of_rows(values.quantity_column), of_rows(values.column)
    if options.quantity_column is None:
        found = ", ".join(dict.fromkeys(names))[:120]
        notes.guesses.append(
            f"{values.quantity_column!r} names each row's quantity: {found} (--quantity-column), {values.column!r} its"
            " value (--value-column)"
        )
    unit_column = options.unit_column or ("unit" if "unit" in samples else None)
    units = of_rows(unit_column) if unit_column else [""] * len(names)
    for name in dict.fromkeys(names):
        quantity = quantity_of(name)
        own = [text for one, text, unit in zip(names, texts, units, strict=True) if one == name and not unit.strip()]
        odd = improbable(quantity, unit_in(name), own) if quantity else None
        if odd and unit_column:
            notes.needs.append(
                f"{odd} is no {quantity} in {usual_unit(quantity or '')}, and its {unit_column!r} is empty: --where"
                f" '{unit_column}=?*' leaves such rows out"
            )
        elif odd:
            notes.needs.append(f"{odd} is no {quantity} in {usual_unit(quantity or '')}: --unit-column")


def _matching(samples: Samples, options: FileOptions) -> Callable[[str], list[str]]:
    """Return what gives a column's texts in the first rows that match all filters."""
    columns = [(samples[column], glob) for column, glob in options.filters]
    count = max(map(len, samples.values()), default=0)
    rows = [row for row in range(count) if all(fnmatchcase(texts[row], glob) for texts, glob in columns)]
    return lambda column: [samples[column][row] for row in rows]


def _check_names(samples: Samples, options: FileOptions, file_name: str) -> None:
    said = [options.sensor_column, options.sequence_column, options.unit_column, options.quantity_column]
    said += options.time_columns
    said += [column for _, column in options.value_columns] + [column for column, _ in options.filters]
    for name in said:
        if name is not None and name not in samples:
            raise UsageError(
                f"{file_name} has no column {name!r}; it has: {', '.join(list(samples)[:20])}",
                hint="name the columns: --sensor-column, --time-column, --temperature-column, --value-column",
            )


def _open_questions(needs: Sequence[str], samples: Samples, file_name: str) -> UsageError:
    first = [f"{name}={texts[0] if texts else ''}" for name, texts in samples.items()]
    return UsageError(
        f"{file_name} leaves open what only you know: {'; '.join(needs)}",
        hint=f"its columns and first row: {', '.join(first)[:300]}",
    )


def _sensor(samples: Samples, options: FileOptions) -> str | None:
    if options.sensor_column or options.sensor_id:
        return options.sensor_column
    for column in named(samples, SENSORS):
        texts = samples[column]
        # A column `id` whose values never come again numbers the rows.
        repeats = len(set(texts)) <= max(1, len(texts) // 2)
        is_filled = 2 * sum(map(bool, texts)) > len(texts)
        if is_filled and (repeats or plain(column) not in {"id", "name"}):
            return column
    return None


def _constant_id(options: FileOptions, names: FileNames, notes: _Notes, *, is_wide: bool) -> str:
    if options.sensor_id:
        return options.sensor_id.replace("{file}", names.stem).replace("{folder}", names.folder)
    if is_wide:
        notes.guesses.append(f"no column names the sensors: their ids are {names.stem}/ and a label (--sensor-id)")
        return names.stem
    notes.needs.append("nothing names the sensor: --sensor-id or --sensor-column")
    return ""


def _time(
    samples: Samples, options: FileOptions, instant_columns: frozenset[str], notes: _Notes
) -> tuple[tuple[str, ...], TimeForm | None]:
    """Return the columns of the time and their form; no form, and a note, if something must be said first."""
    candidates = [options.time_columns] if options.time_columns else _time_candidates(samples, instant_columns)
    for columns in candidates:
        form = TimeForm("epoch_ms") if set(columns) <= instant_columns else _form(columns, samples, options, notes)
        if form is None and not notes.needs:
            continue
        if not options.time_columns and columns != (TIMES[0],):
            notes.guesses.append(f"the time is {' and '.join(map(repr, columns))} (--time-column)")
        return columns, form
    seen = [text for columns in candidates for text in samples[columns[0]][:1]]
    notes.needs.append(
        f"times like {seen[0][:40]!r} are of no known form: --time-format"
        if seen
        else "no column holds times: --time-column"
    )
    return (), None


def _time_candidates(samples: Samples, instant_columns: frozenset[str]) -> list[tuple[str, ...]]:
    """Return the columns, or pairs of a date and a clock, that may be the time, the likeliest first."""
    single: list[tuple[str, ...]] = [(column,) for column in named(samples, TIMES)]
    dates, clocks = named(samples, DATES), named(samples, CLOCKS)
    is_bare = {date for date in dates if not any(":" in text for text in samples[date][:5])}
    pairs: list[tuple[str, ...]] = [(date, clock) for date in dates if date in is_bare for clock in clocks]
    others: list[tuple[str, ...]] = [
        (column,)
        for column, texts in samples.items()
        if (column,) not in single and (column in instant_columns or any(_HAS_CLOCK.search(text) for text in texts[:5]))
    ]
    # The begin and the end of what was asked for are the same in all rows.
    others.sort(key=lambda columns: len(set(samples[columns[0]])) == 1)
    return [*pairs, *single, *others]


def _form(columns: tuple[str, ...], samples: Samples, options: FileOptions, notes: _Notes) -> TimeForm | None:
    told = [zone_in(text) for column in columns for text in (column, notes.units.get(column, ""))]
    of_file = next((one for one in told if one), None)
    zone = _said_zone(options) or of_file
    if zone and of_file and zone.offsets_s != of_file.offsets_s:
        notes.guesses.append(f"{' and '.join(map(repr, columns))} says {of_file.name}, but --zone counts")
    joined = [" ".join(texts).strip() for texts in zip(*(samples[one] for one in columns), strict=True)]
    like = f"times like {next((text for text in joined if text), '')[:40]!r}"
    if options.time_format is not None:
        return _named_form(options.time_format, zone, like, notes)
    guess = guessed_time([text for text in joined if text], zone=zone)
    if len(guess.forms) > 1:
        notes.needs.append(f"{like} may be {' or '.join(str(form.pattern) for form in guess.forms)}: --time-format")
    if guess.needs_zone:
        notes.needs.append(f"{like} name no time zone: --zone")
    if len(guess.forms) != 1 or guess.needs_zone:
        return None
    form = guess.forms[0]
    if form.form not in {"iso8601", "epoch_ms"}:
        notes.guesses.append(f"{like} are {form.pattern or form.form} (--time-format)")
    return form


def _said_zone(options: FileOptions) -> Zone | None:
    if options.zone is None:
        return None
    try:
        return zone_named(options.zone)
    except ValueError as error:
        raise UsageError(f"--zone: {error}") from error


def _named_form(name: str, zone: Zone | None, like: str, notes: _Notes) -> TimeForm | None:
    try:
        return named_form(name, zone)
    except ValueError as error:
        if "a zone is needed" not in str(error):
            raise UsageError(f"--time-format: {error}") from error
    notes.needs.append(f"{like} name no time zone: --zone")
    return None
