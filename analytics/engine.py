"""The choice of the engine that answers for a stage."""

from pathlib import Path

from analytics.cache import ObjectCache
from analytics.local import LocalEngine
from analytics.result import Engine
from windrow.stage import Stage

CACHE_FOLDER = "cache"
"""The cache's folder, under the home folder of windrow on this machine."""


def engine_of(stage: Stage, *, home: Path) -> Engine:
    """Return Athena on AWS if the stage has a workgroup, else DuckDB on this machine."""
    if stage.place.endpoint_url is None and stage.workgroup:
        from analytics.athena import AthenaEngine  # noqa: PLC0415 - slow to import, and only on AWS

        return AthenaEngine(place=stage.place, workgroup=stage.workgroup, database=stage.database)
    return local_engine(stage, home=home)


def local_engine(stage: Stage, *, home: Path) -> LocalEngine:
    """Return DuckDB over the stage's buckets, wherever they are."""
    return LocalEngine(lake=stage.lake, results=stage.results, cache=ObjectCache(home / CACHE_FOLDER))
