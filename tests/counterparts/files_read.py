"""What lies in the buckets, as pyarrow and Python's own JSON read it: what every other reader is compared with."""

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet

from tests.counterparts.spark_read import plain

Row = dict[str, Any]


def rows_of(folder: Path) -> Iterator[Row]:
    """Yield the rows of all files below `folder`, each read by itself, with the partition columns of its key."""
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        partition = dict(part.split("=") for part in path.relative_to(folder).parts if "=" in part)
        yield from (row | partition for row in rows_of_file(path))


def rows_of_file(path: Path) -> list[Row]:
    """Return the rows of one file; times and decimals as text."""
    body = path.read_bytes()
    if path.suffix == ".parquet":
        rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
        return list(json.loads(json.dumps(rows, default=plain)))
    text = gzip.decompress(body) if path.suffix == ".gz" else body
    return [json.loads(line) for line in text.splitlines()]


def counted(rows: Iterable[Row], names: Iterable[str]) -> Counter[str]:
    """Return how often each row occurs; a column that its file leaves out is NULL, as is a field of a nested object."""
    ordered = sorted(names)
    return Counter(json.dumps([_without_nulls(row.get(name)) for name in ordered]) for row in rows)


def _without_nulls(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(field) for name, field in sorted(value.items()) if field is not None}


def names_of(rows: Iterable[Row]) -> set[str]:
    """Return every column that one of the rows has."""
    return {name for row in rows for name in row}
