"""The CPU time of `windrow ingest --dry-run` for a million rows, all of the command's own process."""

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click.testing

from bench.measure import ROUNDS, Finding, medians
from windrow_cli.ingest import ingest

_ROWS = 1_000_000
_SECONDS_AT_MOST = 3.0


def ingest_csv() -> Iterator[Finding]:
    """Sensors, epoch milliseconds and temperatures as a logger writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = _csv(Path(folder))
        yield _finding("ingest.csv", path)


def ingest_parquet() -> Iterator[Finding]:
    """The same rows, with instants and doubles."""
    import duckdb  # noqa: PLC0415 - slow to import, and only needed here

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        with duckdb.connect() as connection:
            instant = "to_timestamp(0) + to_milliseconds(event_time)"
            rows = f"SELECT sensor_id, {instant} AS event_time, temperature FROM '{_csv(Path(folder))}'"  # noqa: S608 - our own names
            connection.execute(f"COPY ({rows}) TO '{path}'")
        yield _finding("ingest.parquet", path)


def _csv(folder: Path) -> Path:
    path = folder / "rows.csv"
    with path.open("w") as file:
        file.write("sensor_id,event_time,temperature\n")
        for k in range(_ROWS):
            time = 1_795_168_800_000 + k // 1000 * 10_000 + k % 1000
            file.write(f"site-{k % 10:02d}/sensor-{k % 1000:06d},{time},{k * 7919 % 40_000 / 1000 - 5:.3f}\n")
    return path


def _finding(name: str, path: Path) -> Finding:
    def run() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            result = click.testing.CliRunner().invoke(ingest, [str(path), "--dry-run", "--backfill"])
        assert "1,000,000" in result.stdout, result.output

    (seconds,) = medians(run, rounds=min(3, ROUNDS))
    return Finding(name=name, ours=seconds, unit="CPU s", at_most=_SECONDS_AT_MOST)


BENCHES: dict[str, Callable[[], Iterator[Finding]]] = {"ingest.csv": ingest_csv, "ingest.parquet": ingest_parquet}
