"""The requests that the presets make of Athena, as text: the golden files in athena/, one for each.

.venv/bin/python -m tests.golden.athena_sql     writes them anew, to be reviewed as a diff
"""

from pathlib import Path

from analytics import presets
from analytics.query import Query
from windrow.timerange import TimeRange
from windrow.timestamps import parse_rfc3339_ms

FOLDER = Path(__file__).parent / "athena"

_MORNING = TimeRange(parse_rfc3339_ms("2026-11-20T10:00:00Z"), parse_rfc3339_ms("2026-11-20T12:00:00Z"))
_OVER_MIDNIGHT = TimeRange(parse_rfc3339_ms("2026-11-20T22:05:00Z"), parse_rfc3339_ms("2026-11-21T01:10:00Z"))

QUERIES: dict[str, Query] = {
    "completeness": presets.completeness(_MORNING),
    "fleet": presets.fleet(_MORNING),
    "fleet_over_midnight": presets.fleet(_OVER_MIDNIGHT),
    "fleet_by_day": presets.fleet(_OVER_MIDNIGHT, window="1d"),
    "hottest": presets.hottest(_MORNING, sensors=3),
    "latest": presets.latest(_MORNING),
    "latest_by_hour": presets.latest(_MORNING, window="1h"),
    "sensor": presets.sensor("o'brien's", _MORNING),
    "sensors": presets.sensors(_MORNING),
    "excursions": presets.excursions(_MORNING),
    "silences": presets.silences(_MORNING),
}


def text_of(query: Query) -> str:
    """The SQL, then the execution parameters, one a line."""
    return "\n".join([query.sql, "", "-- ExecutionParameters", *(f"-- {value}" for value in query.literals()), ""])


def main() -> None:
    """Write the golden files."""
    FOLDER.mkdir(exist_ok=True)
    for stale in FOLDER.glob("*.sql"):
        stale.unlink()
    for name, query in QUERIES.items():
        (FOLDER / f"{name}.sql").write_text(text_of(query))


if __name__ == "__main__":
    main()
