"""The tables that can be queried: their columns with Trino's types, and where their objects are.

Their columns are those of the codecs, as in Glue. Times are in UTC, without a zone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from windrow import schemas
from windrow.lake import layout

ColumnTypes = tuple[tuple[str, str], ...]
PARTITION_COLUMNS: ColumnTypes = (("dt", "varchar"), ("hour", "integer"))


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table over files: the rows of all objects under `<root>dt=.../hour=.../` that end in `suffix`.

    `own_columns` are (name, Trino type), without the partition columns. In a key, the hour is followed by the start of
    the window; it is the same as in the column `window_start`, if there is one.
    """

    name: str
    bucket: Literal["lake", "results"]
    root: str
    suffix: Literal[".parquet", ".json", ".jsonl.gz"]
    own_columns: ColumnTypes

    @property
    def columns(self) -> ColumnTypes:
        """The columns in the order of SELECT *: the table's own, then the partition columns."""
        return self.own_columns + PARTITION_COLUMNS


def trino_type_of_glue(glue_type: str) -> str:
    """Return Trino's name of a Glue (Hive) type."""
    if glue_type.startswith("array<"):
        return f"array({trino_type_of_glue(glue_type[6:-1])})"
    return {"string": "varchar", "int": "integer"}.get(glue_type, glue_type)


def _of_glue(columns: Iterable[tuple[str, str]]) -> ColumnTypes:
    return tuple((name, trino_type_of_glue(glue_type)) for name, glue_type in columns)


AGGREGATES = ExternalTable("aggregates", "results", layout.AGGREGATES, ".parquet", _of_glue(schemas.AGGREGATES))
WINDOWS = ExternalTable("windows", "results", layout.WINDOWS, ".json", _of_glue(schemas.WINDOWS))
PARTIALS = ExternalTable("partials", "lake", layout.PARTIALS, ".parquet", _of_glue(schemas.PARTIALS))
QUARANTINE = ExternalTable("quarantine", "lake", layout.QUARANTINE, ".jsonl.gz", _of_glue(schemas.QUARANTINE))
# Hours and days have the columns of a window; their `hour` is that of the period's start.
AGGREGATES_1H = replace(AGGREGATES, name="aggregates_1h", root=layout.AGGREGATES_1H)
AGGREGATES_1D = replace(AGGREGATES, name="aggregates_1d", root=layout.AGGREGATES_1D)
SILENCES = ExternalTable("silences", "results", layout.SILENCES, ".parquet", _of_glue(schemas.SILENCES))
EXCURSIONS = ExternalTable("excursions", "results", layout.EXCURSIONS, ".parquet", _of_glue(schemas.EXCURSIONS))
_OF_RESULTS = (AGGREGATES, AGGREGATES_1H, AGGREGATES_1D, WINDOWS, SILENCES, EXCURSIONS)
TABLES: dict[str, ExternalTable] = {table.name: table for table in (*_OF_RESULTS, PARTIALS, QUARANTINE)}
