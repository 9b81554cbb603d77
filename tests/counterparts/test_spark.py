"""A real Spark reads every file by rows, which is parquet-mr's way and so Hive's and older Glue jobs' too."""

import io
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from analytics.tables import TABLES, ExternalTable
from tests.counterparts import spark_by_rows
from tests.counterparts.conftest import FilledStage
from tests.counterparts.java import java_home
from tests.counterparts.table import Counterpart

COUNTERPART = Counterpart("Spark by rows", "3.5.9", "every column of every Parquet file, against pyarrow")

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-counterparts" / "bin" / "python"
JAVA_OLDEST, JAVA_NEWEST = 8, 17  # of Spark 3.5
SPARK_SECONDS_MAX = 300
PARQUET_TABLES = [table for table in TABLES.values() if table.suffix == ".parquet"]


@pytest.fixture(scope="session")
def files(filled: FilledStage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each table, which has its files as they lie in its bucket."""
    folder = tmp_path_factory.mktemp("files")
    for table in PARQUET_TABLES:
        store = filled.stage.lake if table.bucket == "lake" else filled.stage.results
        for listed in store.list_objects(table.root):
            stored = store.get(listed.key)
            assert stored is not None
            path = folder / table.name / listed.key.removeprefix(table.root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored.body)
    return folder


@pytest.fixture(scope="session")
def read_by_spark(files: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table as Spark reads them, with the partition columns."""
    java = java_home(oldest=JAVA_OLDEST, newest=JAVA_NEWEST)
    if java is None:
        pytest.skip(f"Spark 3.5 needs Java {JAVA_OLDEST} to {JAVA_NEWEST}: set JAVA_HOME")
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: make counterparts creates it, with pyspark in it")
    ended = subprocess.run(
        [PYTHON, spark_by_rows.__file__, *(str(files / table.name) for table in PARQUET_TABLES)],
        cwd=files,
        env={"PATH": os.environ["PATH"], "JAVA_HOME": str(java), "LANG": "C.UTF-8", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SPARK_SECONDS_MAX,
    )
    errors = [line for line in ended.stderr.splitlines() if "Exception" in line or "Error" in line]
    assert ended.returncode == 0, "\n".join(errors)
    lines = ended.stdout.splitlines()
    return {table.name: json.loads(line) for table, line in zip(PARQUET_TABLES, lines, strict=True)}


@pytest.mark.parametrize("table", PARQUET_TABLES, ids=lambda table: table.name)
def test_spark_reads_the_same_rows(
    read_by_spark: dict[str, list[dict[str, Any]]], files: Path, table: ExternalTable
) -> None:
    """Every column of every row, as pyarrow reads it, and the partitions of the keys."""
    expected = list(_read_by_pyarrow(files / table.name))
    assert expected
    names = {name for row in expected for name in row}
    assert {name for row in read_by_spark[table.name] for name in row} == names
    assert _counted(read_by_spark[table.name], names) == _counted(expected, names)


def _read_by_pyarrow(folder: Path) -> Iterable[dict[str, Any]]:
    """Yield the rows of all files, each read by itself, with the partition columns of its key."""
    for path in sorted(folder.rglob("*.parquet")):
        partition = dict(part.split("=") for part in path.relative_to(folder).parts if "=" in part)
        rows = pyarrow.parquet.read_table(io.BytesIO(path.read_bytes())).to_pylist()
        yield from (row | partition for row in json.loads(json.dumps(rows, default=spark_by_rows.plain)))


def _counted(rows: Iterable[dict[str, Any]], names: Iterable[str]) -> Counter[str]:
    """Return how often each row occurs; a column that its file leaves out is NULL."""
    ordered = sorted(names)
    return Counter(json.dumps([row.get(name) for name in ordered]) for row in rows)
