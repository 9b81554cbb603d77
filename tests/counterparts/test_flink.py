"""Flink 2.3 as another consumer of the stream: the application that Engine=flink deploys, over records in a file.

Where lateness stays within the watermark its rows are windrow's, column by column. Where it does not, they differ, and
docs/flink.md has the table that is measured here.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet
import pytest

from tests.counterparts import flink
from tests.counterparts.flink_fleet import MINUTE, SECOND, START_MS, Sent, records_of, write
from tests.counterparts.table import Counterpart
from windrow.reading import Readings
from windrow.window import WINDOW_MS
from windrow.wire.json.encode import encode_readings

COUNTERPART = Counterpart("Flink SQL", flink.VERSION, "rows of the application in infra/flink, against windrow's own")

SENSORS, WINDOWS, INTERVAL_MS = 30, 5, 10_000
KINDS = ("", "\x1fhumidity\x1f%")
"""What a series has behind its sensor."""
NOT_IN_FLINK = {"conflicts"}
"""Flink keeps the first value of an identity and counts no others."""

Key = tuple[Any, ...]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_rows_are_equal_where_lateness_stays_within_the_watermark(parallelism: int, tmp_path: Path) -> None:
    """Duplicates, echoes, disorder and broken payloads, of two quantities: every column but conflicts is equal."""
    ours, theirs = _both(_steady(Random(7)), tmp_path, parallelism=parallelism)
    assert len(ours) == SENSORS * len(KINDS) * WINDOWS
    assert theirs == ours


def test_what_is_given_twice_is_the_same_set(tmp_path: Path) -> None:
    """A stream that is read again from its start, without a snapshot, has every row once more in Flink's table."""
    records, for_flink = write(records_of(_steady(Random(8))), tmp_path)
    results = tmp_path / "flink"
    for _ in range(2):
        flink.run(for_flink, results, parallelism=1)
    rows = [_key(row) for row in flink.rows(results)]
    assert len(rows) == 2 * len(set(rows)) == 2 * SENSORS * len(KINDS) * WINDOWS
    again = tmp_path / "again.tsv"
    again.write_bytes(records.read_bytes() * 2)
    assert _windrow(again, tmp_path / "twice") == _windrow(records, tmp_path / "once")


def _steady(random: Random) -> Iterator[Sent]:
    """Yield a fleet's payloads: each within four minutes of its time, some of them again, and some broken."""
    for sensor in range(SENSORS):
        for start_ms in range(START_MS, START_MS + WINDOWS * WINDOW_MS, INTERVAL_MS):
            time_ms = start_ms + random.randrange(INTERVAL_MS)
            payloads = _payloads(f"site-{sensor % 3}/sensor ä {sensor}", time_ms, random)
            late_ms = random.randrange(4 * MINUTE) if random.random() < 0.03 else random.randrange(2 * SECOND)
            for payload in payloads:
                yield Sent(time_ms + late_ms, str(sensor), payload)
                if random.random() < 0.03:
                    yield Sent(time_ms + late_ms + random.randrange(30 * SECOND), str(sensor), payload)
                if random.random() < 0.01:
                    yield Sent(time_ms + late_ms, str(sensor), payload[: random.randrange(len(payload))])


def _payloads(sensor: str, time_ms: int, random: Random) -> list[bytes]:
    rows = [(sensor + kind, time_ms, random.randrange(3), random.randrange(-40_000, 60_000)) for kind in KINDS]
    return encode_readings(Readings.of(rows))


def _both(
    sent: Iterator[Sent], folder: Path, *, parallelism: int
) -> tuple[dict[Key, dict[str, Any]], dict[Key, dict[str, Any]]]:
    """Return windrow's rows and Flink's by their keys."""
    records, for_flink = write(records_of(sent), folder)
    flink.run(for_flink, folder / "flink", parallelism=parallelism)
    found = flink.rows(folder / "flink")
    theirs = {_key(row): row for row in found}
    assert len(theirs) == len(found)
    for row in found:
        start = row["window_start"]
        assert (row.pop("dt"), row.pop("hour")) == (f"{start:%Y-%m-%d}", f"{start:%H}")
    return _windrow(records, folder / "windrow"), theirs


def _windrow(records: Path, results: Path) -> dict[Key, dict[str, Any]]:
    """Return windrow's rows by their keys, without what Flink does not have."""
    flink.spent_by(
        [sys.executable, "-m", "tests.counterparts.flink_windrow", str(records), str(results)],
        results.with_suffix(".log"),
    )
    rows = [
        {name: value for name, value in row.items() if name not in NOT_IN_FLINK}
        for path in sorted(results.glob("aggregates/dt=*/hour=*/*.parquet"))
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()
    ]
    assert len({_key(row) for row in rows}) == len(rows)
    return {_key(row): row for row in rows}


def _key(row: dict[str, Any]) -> Key:
    return tuple(row[name] for name in ("window_start", "sensor_id", "quantity", "unit"))
