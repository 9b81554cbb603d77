"""What the questions of the command are in DuckDB's SQL: analytics/translations.json, which the local engine reads.

.venv/bin/python -m tests.golden.translations     writes it anew, to be reviewed as a diff
"""

import json
from collections.abc import Iterator

from analytics import presets
from analytics.query import Query
from analytics.translations import FILE, to_json
from windrow.timerange import TimeRange

_RANGE = TimeRange(0, 300_000)


def queries() -> Iterator[Query]:
    """Yield every SQL text that the command asks by itself, with any values."""
    for quantity in (presets.TEMPERATURE, "humidity"):
        for window in presets.TABLES_BY_WINDOW:
            options = {"window": window, "quantity": quantity}
            yield presets.fleet(_RANGE, **options)
            yield presets.sensors(_RANGE, **options)
            yield presets.sensor("", _RANGE, **options)
            yield presets.latest(_RANGE, **options)
            yield presets.hottest(_RANGE, **options)
    yield presets.completeness(_RANGE)
    yield presets.silences(_RANGE)
    yield presets.silences(_RANGE, quantity="humidity")
    yield presets.excursions(_RANGE)
    yield presets.excursions(_RANGE, quantity="humidity")
    yield presets.sensor_ids(_RANGE)
    yield presets.quantities(_RANGE)


def text() -> str:
    """Return what the file should have."""
    return json.dumps({query.sql: to_json(query) for query in queries()}, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
