"""Which engine answers for a stage."""

from pathlib import Path

from analytics.athena import AthenaEngine
from analytics.cache import ObjectCache
from analytics.local import LocalEngine
from analytics.result import Engine
from windrow.stage import Stage

CACHE_FOLDER = "cache"
"""Under the home of windrow on this machine."""


def engine_of(stage: Stage, *, home: Path) -> Engine:
    """Athena where the place has a real one and the stage a workgroup, else DuckDB on this machine."""
    if stage.place.endpoint_url is None and stage.workgroup:
        return AthenaEngine(place=stage.place, workgroup=stage.workgroup, database=stage.database)
    return local_engine(stage, home=home)


def local_engine(stage: Stage, *, home: Path) -> LocalEngine:
    """Return DuckDB over the stage's buckets, wherever they are."""
    return LocalEngine(lake=stage.lake, results=stage.results, cache=ObjectCache(home / CACHE_FOLDER))
