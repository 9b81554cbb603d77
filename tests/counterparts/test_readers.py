"""Readers of Parquet besides the engines: each reads every file, and every column is what pyarrow reads."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars
import pytest

from analytics.tables import TABLES
from tests.counterparts import fastparquet_read
from tests.counterparts.conftest import UNIONS
from tests.counterparts.files_read import Row, counted, names_of, rows_of_file
from tests.counterparts.spark_read import plain
from tests.counterparts.table import Counterpart

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-counterparts" / "bin" / "python"
PROGRAM = Path(__file__).parent / "readers" / "read.mjs"
VERSIONS = json.loads(PROGRAM.with_name("package.json").read_text())["dependencies"]
PARQUET_FOLDERS = [name for name, table in TABLES.items() if table.suffix == ".parquet"] + [UNIONS]
READ_SECONDS_MAX = 120
DECIMALS = {"sum_squares_milli2", "beyond_milli_ms"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files into the rows of each; `has_decimals`: not only doubles, which are exact up to 2**53."""

    read: Callable[[Sequence[Path]], list[list[Row]]]
    version: str
    has_decimals: bool = True


def _by_polars(paths: Sequence[Path]) -> list[list[Row]]:
    return [_as_json(polars.read_parquet(path, hive_partitioning=False).to_dicts()) for path in paths]


def _by_duckdb(paths: Sequence[Path]) -> list[list[Row]]:
    found = []
    for path in paths:
        read = duckdb.sql(f"SELECT * FROM read_parquet('{path}', hive_partitioning = false)")
        found.append(_as_json([dict(zip(read.columns, row, strict=True)) for row in read.fetchall()]))
    return found


def _as_json(rows: list[Row]) -> list[Row]:
    found: list[Row] = json.loads(json.dumps(rows, default=plain))
    return found


def _by_fastparquet(paths: Sequence[Path]) -> list[list[Row]]:
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: make counterparts creates it, with fastparquet in it")
    return _printed([str(PYTHON), fastparquet_read.__file__, *map(str, paths)])


def _by_node(reader: str) -> Callable[[Sequence[Path]], list[list[Row]]]:
    def read(paths: Sequence[Path]) -> list[list[Row]]:
        node = shutil.which("node")
        if node is None or not (PROGRAM.parent / "node_modules" / reader).is_dir():
            pytest.skip(f"needs node, and: npm install --prefix {PROGRAM.parent.relative_to(ROOT)}")
        return _printed([node, str(PROGRAM), reader, *map(str, paths)])

    return read


def _printed(command: list[str]) -> list[list[Row]]:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=READ_SECONDS_MAX
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return [json.loads(line) for line in ended.stdout.splitlines()]


READERS = {
    "polars": Reader(_by_polars, polars.__version__),
    "DuckDB": Reader(_by_duckdb, duckdb.__version__),
    "fastparquet": Reader(_by_fastparquet, "2026.9.0", has_decimals=False),
    "hyparquet": Reader(_by_node("hyparquet"), VERSIONS["hyparquet"], has_decimals=False),
    "parquet-wasm": Reader(_by_node("parquet-wasm"), VERSIONS["parquet-wasm"]),
}
COUNTERPART = Counterpart(
    ", ".join(READERS), ", ".join(one.version for one in READERS.values()), "every column of every Parquet file"
)


@pytest.mark.parametrize("folder", PARQUET_FOLDERS)
@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_the_same_rows(files: Path, name: str, folder: str) -> None:
    """Of each file by itself, as pyarrow reads it; decimals as doubles where the reader has no others."""
    reader = READERS[name]
    paths = sorted((files / folder).rglob("*.parquet"))
    assert paths
    for path, found in zip(paths, reader.read(paths), strict=True):
        assert isinstance(found, list), (path, found)
        expected = rows_of_file(path)
        names = names_of(expected)
        assert names_of(found) == names
        as_it_has_them = list if reader.has_decimals else _with_doubles
        assert counted(as_it_has_them(found), names) == counted(as_it_has_them(expected), names)


def _with_doubles(rows: list[Row]) -> list[Row]:
    return [{name: float(value) if name in DECIMALS else value for name, value in row.items()} for row in rows]
