"""What the presets' SQL is in DuckDB: translated beforehand, because to translate it takes longer than to answer it.

analytics/translations.json is written by `python -m tests.golden.translations`; a test compares it with what
analytics.translate makes of the same SQL today.
"""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analytics.prune import Condition, Scan
from analytics.query import Query

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Translation:
    """A query as DuckDB's SQL, and its scans for pruning. Cached, so never change it."""

    sql: str
    scans: tuple[Scan, ...]


def translation_of(query: Query) -> Translation:
    """Return the translation of `query`; UsageError if it is not a single SELECT, or has no counterpart in DuckDB."""
    return _translation(query.sql, len(query.parameters))


@functools.lru_cache(maxsize=64)
def _translation(sql: str, parameters: int) -> Translation:
    """Look up or translate; cached, because presets and the dashboard ask the same SQL with other values."""
    known = _stored().get(sql)
    if known is not None and known["parameters"] == parameters:
        return Translation(known["duckdb"], tuple(map(_scan, known["scans"])))
    return translate(Query(sql, ("",) * parameters))


def translate(query: Query) -> Translation:
    """Return the translation of `query`, made anew; errors as `translation_of`."""
    # Slow to import, and most questions are presets.
    from analytics.scans import scans  # noqa: PLC0415
    from analytics.select import parse_select  # noqa: PLC0415
    from analytics.translate import resolve, to_duckdb  # noqa: PLC0415

    resolved = resolve(parse_select(query))
    return Translation(to_duckdb(resolved), tuple(scans(resolved)))


def to_json(query: Query) -> dict[str, Any]:
    """Return the translation of `query`, made anew, as it stands in the file."""
    made = translate(query)
    return {"parameters": len(query.parameters), "duckdb": made.sql, "scans": [asdict(one) for one in made.scans]}


@functools.cache
def _stored() -> dict[str, dict[str, Any]]:
    """Return what the file has: Trino's SQL -> its translation."""
    stored: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def _scan(stored: dict[str, Any]) -> Scan:
    conditions = (Condition(one["sql"], one["columns"], tuple(one["parameters"])) for one in stored["conditions"])
    return Scan(stored["table"], tuple(conditions))
