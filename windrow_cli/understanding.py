"""What `windrow ingest` says before it sends: what it understood of the files, and what is odd about them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from windrow.timestamps import format_rfc3339

if TYPE_CHECKING:
    from producers.files.identities import SharedIdentities
    from producers.files.recording import Recording
    from producers.files.survey import FileSurvey

_FILES_SHOWN_MAX = 10
_TEXT_SHOWN_MAX = 120
_COLUMNS_SHOWN_MAX = 10
_YEAR_1973_MS = 100_000_000_000


def file_lines(recordings: "Sequence[Recording]") -> Iterator[str]:
    """Yield for each file what its columns are taken for, and what of that is a guess; equal ones once."""
    seen: dict[tuple[str, ...], list[str]] = {}
    for one in recordings:
        seen.setdefault(tuple(_one_file(one)), []).append(one.file.name)
    for lines, names in seen.items():
        more = f" and {len(names) - _FILES_SHOWN_MAX:,} more" if len(names) > _FILES_SHOWN_MAX else ""
        yield ", ".join(names[:_FILES_SHOWN_MAX]) + more
        yield from lines


def _one_file(recording: "Recording") -> Iterator[str]:
    from producers.files.payloads import PayloadRecording
    from producers.files.recording import FileRecording

    form = recording.file.file_format.upper() + (f", {recording.file.encoding}" if recording.file.encoding else "")
    yield f"  form: {form}"
    if isinstance(recording, PayloadRecording):
        yield f"  payloads: {recording.contract_name}"
    if not isinstance(recording, FileRecording):
        return
    roles = recording.roles
    # An id made of the file's name differs from file to file.
    yield f"  sensor: {roles.sensor_column or repr(roles.sensor_id)}"
    zone = f" in {roles.time_form.zone.name}" if roles.time_form.zone else ""
    yield f"  time: {' '.join(roles.time_columns)}, {roles.time_form.pattern or roles.time_form.form}{zone}"
    for one in roles.series:
        label = f", sensors .../{one.label}" if one.label else ""
        unit = f"unit in {roles.unit_column}" if roles.unit_column else one.quantity.source_unit
        yield f"  {one.quantity.name}: {one.column}, {unit}{label}"
    if roles.named_values:
        unit = f", unit in {roles.unit_column}" if roles.unit_column else ""
        yield f"  values: {roles.named_values.column}, quantity in {roles.named_values.quantity_column}{unit}"
    if roles.unread:
        more = ", ..." if len(roles.unread) > _COLUMNS_SHOWN_MAX else ""
        yield f"  not read: {', '.join(roles.unread[:_COLUMNS_SHOWN_MAX])}{more}"
    if roles.sequence_column:
        yield f"  sequence: {roles.sequence_column}"
    for guess in recording.guesses:
        yield f"  guessed: {guess}"


def survey_lines(survey: "FileSurvey") -> Iterator[str]:
    """Yield what the files hold: readings, the first and the last one, and what is left out, by reason."""
    counts = ", ".join(f"{count:,} of {quantity}" for quantity, count in survey.readings.items()) or "no readings"
    yield f"{survey.rows:,} rows: {counts}"
    if survey.first_ms is not None and survey.last_ms is not None:
        yield f"first {format_rfc3339(survey.first_ms)}, last {format_rfc3339(survey.last_ms)}"
    for quantity, values in survey.values.items():
        if values.least is not None and values.most is not None:
            yield f"{quantity} from {_plain(values.least)} to {_plain(values.most)} {_unit(values.unit)}"
    if survey.filtered:
        yield f"{survey.filtered:,} rows do not match --where"
    if survey.left_out:
        yield f"{survey.left_out_rows:,} rows are not readings and are left out"
    for reason, count in survey.left_out.most_common():
        yield f"  {reason}: {count:,}"
        for one in survey.samples.get(reason, []):
            yield f"    {one.where}: {one.why}: {one.text[:_TEXT_SHOWN_MAX]}"


def suspect_lines(survey: "FileSurvey") -> list[str]:
    """Return a line for each value that looks like no value."""
    return [
        f"{_written(value, values.unit)} ({count:,} times) is far from all other values: no value? (--missing,"
        " --min, --max)"
        for values in survey.values.values()
        for value, count in sorted(values.suspects.items())
    ]


def _written(value: int, unit: str) -> str:
    """Return a value with its unit, and in °F if that is how the file has it."""
    from producers.files.values import as_written

    plain = f"{_plain(value)} {_unit(unit)}"
    fahrenheit = as_written(value) if unit == "C" else None
    return plain if fahrenheit is None else f"{fahrenheit} °F, which is {plain}"


def shared_lines(shared: "SharedIdentities", *, readings: int, is_numbered: bool) -> Iterator[str]:
    """Yield what is to be said about readings that share sensor, time and sequence."""
    if not shared.readings:
        return
    told = f"{shared.readings:,} of {readings:,} readings share sensor, time and sequence with another"
    if is_numbered:
        yield f"{told}: they are numbered by their order"
        return
    yield f"{told}, {shared.conflicting:,} of them with different values: minute resolution?"
    for one in shared.examples:
        values = f"{one.values} values" if one.values > 1 else "one value"
        yield f"  {one.sensor_id} at {format_rfc3339(one.event_time_ms)}: {one.readings:,} readings, {values}"
    kept = shared.identities
    yield f"  {kept:,} of them will count, of different values the greatest; --number-equal-times keeps all"


def arrival_lines(survey: "FileSurvey", *, horizon_hours: int, is_backfill: bool) -> Iterator[str]:
    """Yield what is to be said about readings that are too old or in the future."""
    if survey.too_late and not is_backfill:
        yield (
            f"{survey.too_late:,} of {survey.sent:,} readings are older than {horizon_hours} h and will be"
            " quarantined as too late: see --retime and --backfill"
        )
    if survey.too_early:
        becomes = "are left out" if is_backfill else "will be quarantined as too early"
        yield f"{survey.too_early:,} of {survey.sent:,} readings are in the future and {becomes}"


def likely_cause(survey: "FileSurvey", *, is_backfill: bool) -> str:
    """Return why nothing in the files is good, and what to do, as far as it can be told."""
    if survey.sent:
        return _cause_of_times(survey, is_backfill=is_backfill)
    if survey.filtered == survey.rows and survey.rows:
        return "no row matches --where"
    if any("outside the years" in one.why for one in survey.samples.get("event_time", [])):
        return "the times lie after the year 9999: these look like microseconds or nanoseconds, --time-unit us or ns"
    causes = {
        "event_time": "the times cannot be read: --time-format, --time-unit, --zone",
        "value": "the values are no numbers: is --temperature-column right, or --decimal-comma missing?",
        "value_range": "the values are out of range: --unit, --min, --max",
        "missing_value": "no row has a value: is --temperature-column right?",
        "unreadable": "the rows have another number of fields than the header: --delimiter, --skip-lines",
        "unit": "the unit is not known: --unit-column, --unit",
        "sensor_id": "the ids are no sensor ids: --sensor-column, --sensor-id",
    }
    most = survey.left_out.most_common(1)
    return causes.get(most[0][0], "") if most else "the files have no rows"


def _cause_of_times(survey: "FileSurvey", *, is_backfill: bool) -> str:
    """Return why readings lie where none of them counts."""
    if (survey.last_ms or 0) < _YEAR_1973_MS:
        return "the times lie before 1973: these look like seconds, --time-unit s"
    if survey.too_early == survey.sent:
        return "all lie in the future: is the zone right (--zone), or the time format (--time-format)?"
    return "" if is_backfill else "all are too old for the stream: --backfill, or --retime now to move them"


def report_of(
    survey: "FileSurvey", shared: "SharedIdentities", *, is_dry_run: bool, is_backfill: bool
) -> dict[str, Any]:
    """Return the counts as JSON's types; for a backfill nothing is too late."""
    return {
        "rows": survey.rows,
        "readings": survey.sent,
        "bad_rows": survey.left_out_rows,
        "left_out": dict(survey.left_out),
        "first": None if survey.first_ms is None else format_rfc3339(survey.first_ms),
        "last": None if survey.last_ms is None else format_rfc3339(survey.last_ms),
        **({} if is_backfill else {"too_late": survey.too_late}),
        "too_early": survey.too_early,
        "equal_identities": shared.readings,
        "equal_identities_conflicting": shared.conflicting,
        "is_dry_run": is_dry_run,
    }


def _unit(symbol: str) -> str:
    return f"°{symbol}" if symbol in {"C", "F"} else symbol


def _plain(milli: int) -> str:
    sign, size = "-" if milli < 0 else "", abs(milli)
    return f"{sign}{size // 1000}.{size % 1000:03}".rstrip("0").rstrip(".")
