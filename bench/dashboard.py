"""The dashboard's refresh: 10,000 sensors and 24 hours of windows, one of which is new, in the server's CPU time.

The baseline answers the same panels from SQL over all rows, each time anew.
"""

import functools
import hashlib
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from analytics import presets
from analytics.cache import ObjectCache
from analytics.dashboard import Dashboard
from analytics.local import LocalEngine
from analytics.query import Query
from bench.measure import Finding, cpu_seconds, medians
from tests.rows_file import encode_rollup
from windrow.columns.strings import Strings
from windrow.lake.layout import lineage_key, rows_key
from windrow.lake.store import ListedObject, StoredObject
from windrow.reading import Readings
from windrow.rows.lineage import Lineage
from windrow.rows.partial import Partial, partials_of
from windrow.rows.rollup import roll
from windrow.timerange import TimeRange
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window

SENSORS = 10_000
WINDOWS = 288
READINGS_PER_ROW = 3
START_MS = 1_795_132_800_000
END_MS = START_MS + WINDOWS * WINDOW_MS
REFRESH_CPU_MS_MAX = 300


class Memory:
    """A bucket in memory, as far as the dashboard reads it."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get(self, key: str) -> StoredObject | None:
        body = self.objects.get(key)
        return None if body is None else StoredObject(body, _etag(body))

    def put(self, key: str, body: bytes | IO[bytes], *, if_match: str | None = None, if_absent: bool = False) -> str:
        assert isinstance(body, bytes)
        assert if_match is None
        assert not if_absent
        self.objects[key] = body
        return _etag(body)

    def delete(self, key: str) -> None:
        del self.objects[key]

    def delete_all(self, keys: Iterable[str]) -> None:
        del keys

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        return (ListedObject(key, _etag(self.objects[key]), len(self.objects[key])) for key in keys)

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        found = {key[: key.index(delimiter, len(prefix)) + 1] for key in self.objects if key.startswith(prefix)}
        return iter(sorted(found))


@functools.cache  # an object that is not written again keeps its tag
def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def refresh() -> Iterator[Finding]:
    """All panels, a page of the heatmap and one sensor's history, when a window was rolled since the last refresh."""
    memory = Memory(dict(itertools.chain.from_iterable(map(_objects, range(WINDOWS)))))
    versions = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(lake=Memory({}), results=memory, cache=ObjectCache(Path(folder)))
        made = Dashboard(engine=engine, results=memory, stage="bench", clock_ms=lambda: END_MS)
        answer = functools.partial(_refresh, made)
        yield Finding(name="dashboard.first", ours=cpu_seconds(answer) * 1e3, unit="cpu-ms")
        settled, baseline = medians(answer, functools.partial(_baseline, engine), rounds=3)

        def with_a_new_window() -> None:
            memory.objects.update(_objects(WINDOWS - 1, version=next(versions)))
            answer()

        prepared = medians(lambda: _objects(WINDOWS - 1, version=next(versions)), rounds=3)[0]
        renewed = medians(with_a_new_window, rounds=5)[0] - prepared
    yield Finding(name="dashboard.settled", ours=settled * 1e3, unit="cpu-ms")
    yield Finding(
        name="dashboard.refresh",
        ours=renewed * 1e3,
        baseline=baseline * 1e3,
        ratio=baseline / renewed,
        at_most=REFRESH_CPU_MS_MAX,
        unit="cpu-ms",
    )


def _refresh(made: Dashboard) -> None:
    bounds = format_rfc3339(START_MS), format_rfc3339(END_MS)
    page = made.heatmap(*bounds, search="", sort="rising", page=0, per_page=25)
    answers = [made.overview(*bounds), page, made.history(*bounds, sensor_id="site-03/sensor-000003")]
    assert all(len(json.dumps(answer)) > 1_000 for answer in answers)


def _baseline(engine: LocalEngine) -> None:
    time_range = TimeRange(START_MS, END_MS)
    for query in (
        presets.fleet(time_range),
        presets.completeness(time_range),
        presets.latest(time_range),
        presets.hottest(time_range),
        presets.sensor("site-03/sensor-000003", time_range),
        Query(
            "SELECT sensor_id, window_start, sum_milli, readings FROM aggregates"
            " WHERE sensor_id < 'site-00/sensor-0003'"
        ),
    ):
        engine.run(query)


def _objects(place: int, *, version: int = 0) -> list[tuple[str, bytes]]:
    """Rows and lineage of a window; another `version` has other rows."""
    window = Window(START_MS + place * WINDOW_MS)
    partial = _partial(window, seed=place + 1000 * version)
    rollup = roll(partial)
    lineage = Lineage(
        window=window,
        fingerprint="f" * 32,
        digests=tuple(f"{number:032x}" for number in range(30)),
        rows_sha256=rollup.rows_sha256,
        result_etag="e" * 32,
        revision=1 + version,
        readings=len(partial),
        sensors=SENSORS,
        conflicts=0,
        duplicates_removed=0,
        late=0,
        quarantined=0,
        partials=30,
        shards=("bench-shardId-000000000000",),
        is_final=False,
        scheduled_time_ms=window.end_ms + 120_000,
    )
    return [(rows_key(window), encode_rollup(rollup)), (lineage_key(window), lineage.to_json())]


def _partial(window: Window, *, seed: int) -> Partial:
    rng = np.random.default_rng(seed)
    count = SENSORS * READINGS_PER_ROW
    sensor = np.repeat(np.arange(SENSORS), READINGS_PER_ROW)
    times = window.start_ms + np.tile(np.arange(READINGS_PER_ROW), SENSORS) * 100_000
    readings = Readings(
        sensor_ids=_sensor_ids(),
        sensor=sensor.astype(np.int32),
        event_time_ms=times.astype(np.int64),
        sequence=np.zeros(count, np.int64),
        value_milli=(15_000 + sensor * 37 % 9_000 + rng.normal(0, 300, count)).astype(np.int32),
    )
    (partial,) = partials_of(readings)
    return partial


@functools.cache
def _sensor_ids() -> Strings:
    return Strings.of(f"site-{number % 10:02}/sensor-{number:06}" for number in range(SENSORS))


BENCHES = {"dashboard.refresh": refresh}
