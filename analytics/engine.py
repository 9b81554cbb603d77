"""Which engine answers for a deployment."""

from pathlib import Path

from analytics.athena import AthenaEngine
from analytics.cache import ObjectCache
from analytics.local import LocalEngine
from analytics.result import Engine
from windrow.aws.clients import client
from windrow.aws.deployment import Deployment
from windrow.lake.s3 import S3Store

CACHE_FOLDER = "cache"
"""Under the home of windrow on this machine."""


def engine_of(deployment: Deployment, *, home: Path) -> Engine:
    """Athena where the place has a real one and the stage a workgroup, else DuckDB on this machine."""
    place = deployment.place
    if place.endpoint_url is None and deployment.workgroup:
        return AthenaEngine(place=place, workgroup=deployment.workgroup, database=deployment.database)
    return local_engine(deployment, home=home)


def local_engine(deployment: Deployment, *, home: Path) -> LocalEngine:
    """DuckDB over the deployment's buckets, wherever they are."""
    s3 = client("s3", deployment.place)
    return LocalEngine(
        lake=S3Store(s3, deployment.lake_bucket),
        results=S3Store(s3, deployment.results_bucket),
        cache=ObjectCache(home / CACHE_FOLDER),
    )
