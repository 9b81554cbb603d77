"""Read Parquet and JSON with Spark, and print the rows as JSON; run by a Python that has pyspark.

python spark_read.py FOLDER...     prints a line for each folder by rows, then one for each vectorised

By rows, which is with the vectorised reader off, Spark reads Parquet with parquet-mr, as Hive does. This module imports
nothing of windrow.
"""

import datetime
import decimal
import json
import pathlib
import sys
from typing import Any

SETTINGS = {
    "spark.sql.parquet.mergeSchema": "true",  # partials leave out columns
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # dt and hour as the key spells them
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
VECTORISED = {"by rows": "false", "vectorised": "true"}


def main(folders: list[str]) -> None:
    """Print the rows of each folder in both ways."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - the test, which shares `plain`, has no pyspark

    builder = SparkSession.builder.master("local[1]")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for value in VECTORISED.values():
        spark.conf.set("spark.sql.parquet.enableVectorizedReader", value)
        spark.conf.set("spark.sql.parquet.enableNestedColumnVectorizedReader", value)
        for folder in folders:
            is_parquet = any(pathlib.Path(folder).rglob("*.parquet"))
            read = spark.read.parquet(folder) if is_parquet else spark.read.json(folder)
            rows = [row.asDict(recursive=True) for row in read.collect()]
            sys.stdout.write(json.dumps(rows, default=plain) + "\n")
    spark.stop()


def plain(value: Any) -> str:
    """Return what JSON has no type for as text."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds")
    assert isinstance(value, decimal.Decimal)
    return str(value)


if __name__ == "__main__":
    main(sys.argv[1:])
