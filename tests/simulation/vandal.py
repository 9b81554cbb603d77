"""Somebody deletes or overwrites objects by hand. Results must heal; a window that lacks a partial must not shrink."""

from dispatcher.united import union_key
from tests.simulation.simulated_s3 import Delete, Put
from tests.simulation.world import LAKE, RESULTS, World
from windrow.lake.layout import (
    AGGREGATES,
    PARTIALS,
    UNIONS,
    WINDOWS,
    parse_partial_key,
    parse_result_key,
    parse_union_key,
    partials_prefix,
)
from windrow.rows.lineage import Lineage
from windrow.rows.united import digest_of

AWAY_MS = 900_000
OVERWRITTEN = b"what is this?"
"""What an object holds that somebody overwrote."""


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
        world.s3.apply(Put(RESULTS, key, OVERWRITTEN, if_absent=True))


def deletes_lineage(world: World) -> None:
    """A lineage is gone, and its revisions begin anew."""
    key = _some_key(world, RESULTS, WINDOWS)
    if key and parse_result_key(key) not in world.expired:
        world.timeline.add("fault", "v", f"deletes {key}")
        world.monitor.forget(key)
        world.s3.apply(Delete(RESULTS, key))


def takes_partial_away(world: World) -> None:
    """A partial is gone, and after a quarter of an hour somebody puts it back."""
    key = _some_key(world, LAKE, PARTIALS)
    if key and parse_partial_key(key).window not in world.expired:
        world.timeline.add("fault", "v", f"takes {key} away")
        stored = world.s3.buckets[LAKE].pop(key)
        world.time.sleep(AWAY_MS)
        world.s3.buckets[LAKE].setdefault(key, stored)
        world.timeline.add("fault", "v", f"puts {key} back")


def damages_united_set(world: World) -> None:
    """A range of a united set is gone or holds something else."""
    key = _some_key(world, LAKE, UNIONS)
    if key and parse_union_key(key).window not in world.expired:
        world.timeline.add("fault", "v", f"damages {key}")
        world.s3.buckets[LAKE].pop(key)
        if world.chance.random.random() < 0.5:
            world.s3.apply(Put(LAKE, key, OVERWRITTEN, if_absent=True))


def expires_partials(world: World) -> None:
    """All partials that a sound united set stands for are gone, for good."""
    key = _some_key(world, RESULTS, WINDOWS)
    if key is None:
        return
    lineage = Lineage.from_json(world.s3.buckets[RESULTS][key].body)
    lake = world.s3.buckets.get(LAKE, {})
    ranges = lineage.united.ranges if lineage.united else ()
    objects = {one: lake.get(str(union_key(lineage.window, one))) for one in ranges}
    if not ranges or any(stored is None or digest_of(stored.body) != one.digest for one, stored in objects.items()):
        return
    world.expired.add(lineage.window)
    prefix = partials_prefix(lineage.window)
    for gone in [one for one in lake if one.startswith(prefix) and parse_partial_key(one).digest in lineage.digests]:
        world.timeline.add("fault", "v", f"{gone} expires")
        world.s3.apply(Delete(LAKE, gone))


def _some_key(world: World, bucket: str, root: str) -> str | None:
    keys = sorted(key for key in world.s3.buckets.get(bucket, {}) if key.startswith(root))
    return world.chance.pick(keys) if keys else None


VANDALISM = (
    deletes_rows,
    overwrites_rows,
    deletes_lineage,
    takes_partial_away,
    damages_united_set,
    expires_partials,
)
