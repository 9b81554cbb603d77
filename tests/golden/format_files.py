"""One stored object of each format and version, in formats/: what older releases wrote, and newer ones must read.

.venv/bin/python -m tests.golden.format_files     writes those of the versions that this release writes, and no other
"""

from pathlib import Path

from windrow.period import Grain, Period
from windrow.reading import Reading, Readings
from windrow.rows import lineage, partial_parquet, period_lineage, united_parquet
from windrow.rows.lineage import Lineage
from windrow.rows.partial import Partial, partials_of
from windrow.rows.partial_parquet import DeliveryCounts
from windrow.rows.period_lineage import PeriodLineage, PeriodPart
from windrow.window import Window

FOLDER = Path(__file__).parent / "formats"
START_MS = 1_795_168_800_000  # 2026-11-20T10:00Z

READINGS = Readings.of(
    [
        Reading("site-00/sensor-000001", START_MS + 7, 0, 21_500),
        Reading("site-00/sensor-000001", START_MS + 10_007, 1, 21_625),
        Reading("é", START_MS + 299_999, 9_223_372_036_854_775_807, -273_150),
    ]
)
DELIVERY = DeliveryCounts(late=2, duplicates=1)
LINEAGE = Lineage(
    window=Window(START_MS),
    fingerprint=lineage.fingerprint(["ab", "cd"]),
    digests=("ab", "cd"),
    rows_sha256="ef" * 32,
    result_etag='"0123"',
    revision=3,
    readings=3,
    sensors=2,
    conflicts=1,
    duplicates_removed=4,
    late=2,
    quarantined=5,
    partials=2,
    shards=("dev-shardId-000000000000",),
    is_final=False,
    scheduled_time_ms=START_MS + 420_000,
)
PERIOD_LINEAGE = PeriodLineage(
    period=Period(Grain.HOUR, START_MS),
    parts=(PeriodPart(START_MS, "ef" * 32, '"0123"'),),
    rows_sha256="01" * 32,
    result_etag='"4567"',
    revision=1,
    readings=3,
    sensors=2,
    conflicts=1,
    scheduled_time_ms=START_MS + 4_000_000,
)
WRITTEN = {
    "partial": partial_parquet.FORMAT,
    "lineage": lineage.FORMAT,
    "period_lineage": period_lineage.FORMAT,
    "united_range": united_parquet.FORMAT,
}


def partial() -> Partial:
    """The partial of READINGS."""
    (found,) = partials_of(READINGS)
    return found


def path_of(kind: str, version: int) -> Path:
    """Where the object of a format's version is."""
    return FOLDER / f"{kind}-{version}"


def main() -> None:
    """Write the objects of the present versions."""
    FOLDER.mkdir(exist_ok=True)
    bodies = {
        "partial": partial_parquet.encode_partial(partial(), DELIVERY),
        "lineage": LINEAGE.to_json(),
        "period_lineage": period_lineage.to_json_lines([PERIOD_LINEAGE]),
        "united_range": united_parquet.encode_range(partial()),
    }
    for kind, body in bodies.items():
        path_of(kind, WRITTEN[kind]).write_bytes(body)


if __name__ == "__main__":
    main()
