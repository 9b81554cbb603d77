"""Real Sparks read every file: by rows, as parquet-mr and so Hive and older Glue jobs do, and vectorised."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from analytics.tables import TABLES
from tests.counterparts import spark_read
from tests.counterparts.conftest import UNIONS
from tests.counterparts.files_read import counted, names_of, rows_of
from tests.counterparts.java import java_home
from tests.counterparts.table import Counterpart

ROOT = Path(__file__).parents[2]
# The environment that has it; both run on the same Java.
SPARKS = {"3.5.9": ".venv-counterparts", "4.3.0": ".venv-counterparts-spark4"}
COUNTERPART = Counterpart(
    "Spark by rows and vectorised", ", ".join(SPARKS), "every column of every file, against pyarrow and JSON"
)

JAVA = 17  # the newest of Spark 3.5, and the oldest of Spark 4
SPARK_SECONDS_MAX = 900
FOLDERS = [*TABLES, UNIONS]


@pytest.fixture(scope="session", params=SPARKS)
def read_by_spark(files: Path, request: pytest.FixtureRequest) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows by way and folder as Spark reads them, with the partition columns."""
    java = java_home(oldest=JAVA, newest=JAVA)
    if java is None:
        pytest.skip(f"Spark 3.5 and 4 need Java {JAVA}: set JAVA_HOME")
    python = ROOT / SPARKS[request.param] / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python}: make counterparts creates it, with pyspark in it")
    ended = subprocess.run(
        [python, spark_read.__file__, *(str(files / folder) for folder in FOLDERS)],
        cwd=files,
        env={"PATH": os.environ["PATH"], "JAVA_HOME": str(java), "LANG": "C.UTF-8", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SPARK_SECONDS_MAX,
    )
    errors = [line for line in ended.stderr.splitlines() if "Exception" in line or "Error" in line]
    assert ended.returncode == 0, "\n".join(errors)
    asked = [(way, folder) for way in spark_read.VECTORISED for folder in FOLDERS]
    return {one: json.loads(line) for one, line in zip(asked, ended.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("way", spark_read.VECTORISED)
def test_spark_reads_the_same_rows(
    read_by_spark: dict[tuple[str, str], list[dict[str, Any]]], files: Path, folder: str, way: str
) -> None:
    """Every column of every row, as pyarrow and Python's JSON read it, and the partitions of the keys."""
    expected = list(rows_of(files / folder))
    assert expected
    names = names_of(expected)
    found = read_by_spark[way, folder]
    assert names_of(found) == names
    assert counted(found, names) == counted(expected, names)
