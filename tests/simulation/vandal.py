"""Somebody deletes or overwrites objects by hand. Results must heal; a window that lacks a partial must not shrink."""

from tests.simulation.simulated_s3 import Delete, Put
from tests.simulation.world import LAKE, RESULTS, World
from windrow.lake.layout import AGGREGATES, PARTIALS, WINDOWS

AWAY_MS = 900_000


def deletes_rows(world: World) -> None:
    """A rows object is gone."""
    key = _some_key(world, RESULTS, AGGREGATES)
    if key:
        world.timeline.add("fault", "v", f"deletes {key}")
        world.s3.apply(Delete(RESULTS, key))


def overwrites_rows(world: World) -> None:
    """A rows object holds something else."""
    key = _some_key(world, RESULTS, AGGREGATES)
    if key:
        world.timeline.add("fault", "v", f"overwrites {key}")
        world.s3.buckets[RESULTS].pop(key)
        world.s3.apply(Put(RESULTS, key, b"what is this?", if_absent=True))


def deletes_lineage(world: World) -> None:
    """A lineage is gone, and its revisions begin anew."""
    key = _some_key(world, RESULTS, WINDOWS)
    if key:
        world.timeline.add("fault", "v", f"deletes {key}")
        world.monitor.forget(key)
        world.s3.apply(Delete(RESULTS, key))


def takes_partial_away(world: World) -> None:
    """A partial is gone, and after a quarter of an hour somebody puts it back."""
    key = _some_key(world, LAKE, PARTIALS)
    if key:
        world.timeline.add("fault", "v", f"takes {key} away")
        stored = world.s3.buckets[LAKE].pop(key)
        world.time.sleep(AWAY_MS)
        world.s3.buckets[LAKE].setdefault(key, stored)
        world.timeline.add("fault", "v", f"puts {key} back")


def _some_key(world: World, bucket: str, root: str) -> str | None:
    keys = sorted(key for key in world.s3.buckets.get(bucket, {}) if key.startswith(root))
    return world.chance.pick(keys) if keys else None


VANDALISM = (deletes_rows, overwrites_rows, deletes_lineage, takes_partial_away)
