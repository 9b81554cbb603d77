"""What the view compare_flink says of rows in two folders, by DuckDB."""

from collections import Counter
from pathlib import Path

import duckdb
import sqlglot

from tests.template_views import VIEWS, document

Verdicts = dict[str, Counter[str]]
"""Kind of sensor, the first word of its id -> verdict, with the columns that differ -> number of rows."""


def verdicts(windrow: Path, flink: Path) -> Verdicts:
    """Compare the rows under `windrow`, keyed as in a results bucket, with those under `flink`."""
    sql = sqlglot.transpile(document(VIEWS["compare_flink"])["originalSql"], read="trino", write="duckdb")[0]
    with duckdb.connect() as connection:
        for table, files in (
            ("aggregates", windrow / "aggregates/dt=*/hour=*/*.parquet"),
            ("aggregates_flink", flink / "dt=*/hour=*/part-*"),
        ):
            connection.execute(
                f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true,"
                " hive_types = {'dt': VARCHAR, 'hour': INTEGER})"
            )
        found = connection.execute(f"SELECT sensor_id, verdict, differs FROM ({sql}) AS compared").fetchall()
    counted: Verdicts = {}
    for sensor, verdict, differs in found:
        text = f"{verdict}: {differs}" if verdict == "different" else verdict
        counted.setdefault(sensor.split()[0], Counter())[text] += 1
    return counted


def equal(counts: "Counter[str]") -> tuple[int, int]:
    """Return how many rows are equal, and how many there are."""
    return counts["equal"], counts.total()
