"""What a user says about files of readings; what is not said is sniffed or guessed, and told."""

from dataclasses import dataclass
from enum import StrEnum

# What loggers and platforms write where there is no value, in small letters.
MISSING_TEXTS = frozenset(
    ("", "-", "--", "---", "?", "n/a", "na", "nan", "#n/a", "nil", "none", "null", "unavailable", "unknown", "offline")
)


class FileFormat(StrEnum):
    """The format of a file."""

    CSV = "csv"
    JSONL = "jsonl"  # one JSON object a line
    JSON = "json"  # one array of objects, or one object
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """What was said about the files; None and empty mean: not said.

    time_columns: one, or a date and a time of day. value_columns: (quantity, column) pairs; a unit may follow the
    quantity, as in `voltage[mV]`. quantity_column: the column that names each row's quantity; then there is one column
    of values, and its quantity here is empty. sensor_id: a text for all
    readings, in which `{file}` is the file's name without its endings and `{folder}` that of its folder. time_format:
    rfc3339, iso8601, epoch_s, epoch_ms, epoch_us, epoch_ns, or a strftime pattern. unit: of all values without a unit
    of their own. minimum, maximum: bounds in the quantity's unit, as decimal texts. filters: (column, glob) pairs, all
    of which a row must match.
    """

    file_format: FileFormat | None = None
    encoding: str | None = None
    delimiter: str | None = None
    skipped_lines: int | None = None
    has_decimal_comma: bool | None = None
    sensor_column: str | None = None
    sensor_id: str | None = None
    time_columns: tuple[str, ...] = ()
    time_format: str | None = None
    zone: str | None = None
    value_columns: tuple[tuple[str, str], ...] = ()
    quantity_column: str | None = None
    sequence_column: str | None = None
    unit_column: str | None = None
    unit: str | None = None
    missing: tuple[str, ...] = ()
    minimum: str | None = None
    maximum: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
