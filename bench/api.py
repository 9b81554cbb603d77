"""The hosted API: an HTTP API event in, a response out, over 10,000 sensors and 24 hours, in the server's CPU time.

The baseline asks the same of DuckDB by the preset's SQL, each time anew.
"""

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from mangum import Mangum

from analytics import presets
from analytics.api.endpoints import Endpoints
from analytics.api_handler import TEXT_TYPES, groups_of
from analytics.cache import ObjectCache
from analytics.dashboard import Dashboard
from analytics.live_values import live_values
from analytics.local import LocalEngine
from analytics.open_windows import OpenWindows
from analytics.web import hosted
from bench.dashboard import END_MS, START_MS, WINDOWS, Memory, _objects
from bench.measure import Finding, cpu_seconds, medians
from windrow.aws.clients import EMBEDDED, Place
from windrow.columns.strings import Strings
from windrow.lake.layout import Origin, PartialKey
from windrow.quantities import TEMPERATURE
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.timerange import TimeRange
from windrow.timestamps import format_rfc3339
from windrow.window import Window

BOUNDS = {"from": format_rfc3339(START_MS), "to": format_rfc3339(END_MS)}
FLEET_CPU_MS_MAX = 300
SENSOR_CPU_MS_MAX = 1_500
LIVE_CPU_MS_MAX = 250
LIVE_SENSORS = 10_000
BATCHES = 15
"""Of twenty seconds each, in a window."""


def event(path: str, **query: str) -> dict[str, object]:
    """A request as an HTTP API hands it on, of a user who may see the results."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": urlencode(BOUNDS | query),
        "headers": {"host": "bench", "accept-encoding": "gzip"},
        "requestContext": {
            "http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"},
            "authorizer": {"jwt": {"claims": {"cognito:groups": "[viewer]"}}},
        },
    }


def answers() -> Iterator[Finding]:
    """The first answer, which reads a day of rows; then the fleet, and a sensor that was not asked for before."""
    memory = Memory(dict(itertools.chain.from_iterable(map(_objects, range(WINDOWS)))))
    time_range = TimeRange(START_MS, END_MS)
    sensors = (f"site-{number % 10:02}/sensor-{number:06}" for number in itertools.count())
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(lake=Memory({}), results=memory, cache=ObjectCache(Path(folder)))
        made = Dashboard(engine=engine, results=memory, stage="bench", clock_ms=lambda: END_MS)
        place = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")
        endpoints = Endpoints(dashboard=made, place=place, groups=groups_of)
        answer = Mangum(hosted(endpoints), lifespan="off", text_mime_types=TEXT_TYPES)

        def ask(path: str, **query: str) -> None:
            response = answer(event(path, **query), None)  # type: ignore[arg-type] # the context is not looked at
            assert response["statusCode"] == 200, json.dumps(response)[:500]

        yield Finding(name="api.first", ours=cpu_seconds(lambda: ask("/v1/fleet")) * 1e3, unit="cpu-ms")
        fleet, by_sql = medians(lambda: ask("/v1/fleet"), lambda: engine.run(presets.fleet(time_range)), rounds=5)
        sensor, sensor_by_sql = medians(
            lambda: ask("/v1/sensor", sensor=next(sensors)),
            lambda: engine.run(presets.sensor(next(sensors), time_range)),
            rounds=5,
        )
    yield _finding("api.fleet", fleet, by_sql, FLEET_CPU_MS_MAX)
    yield _finding("api.sensor", sensor, sensor_by_sql, SENSOR_CPU_MS_MAX)


def _finding(name: str, ours: float, baseline: float, at_most: float) -> Finding:
    return Finding(
        name=name, ours=ours * 1e3, baseline=baseline * 1e3, ratio=baseline / ours, at_most=at_most, unit="cpu-ms"
    )


def live() -> Iterator[Finding]:
    """Open windows of 10,000 sensors that send once in ten seconds: the first look, then one that has a new partial."""
    window = Window.containing(END_MS)
    lake, series = Memory({}), Strings.of([f"site-{n % 10:02}/sensor-{n:06}" for n in range(LIVE_SENSORS)])
    for batch in range(BATCHES - 1):
        deliver(lake, window, series, batch)
    windows = OpenWindows(lake=lake, results=Memory({}))

    def look() -> None:
        shown = live_values(windows.at(window.end_ms - 1), TEMPERATURE, search="", page=0, per_page=200)
        assert shown["total"] == LIVE_SENSORS

    yield Finding(name="api.live.first", ours=cpu_seconds(look) * 1e3, unit="cpu-ms")
    deliver(lake, window, series, BATCHES - 1)
    yield Finding(name="api.live", ours=cpu_seconds(look) * 1e3, at_most=LIVE_CPU_MS_MAX, unit="cpu-ms")


def deliver(lake: Memory, window: Window, series: Strings, batch: int) -> None:
    """Write the partial of the readings of twenty seconds, two of each sensor."""
    step_ms = np.tile(np.array([0, 10_000]), len(series)) + 20_000 * batch
    partial = Partial.of_groups(
        window,
        series,
        readings=np.full(len(series), 2),
        offset_ms=step_ms,
        sequence=np.zeros(len(step_ms), np.int64),
        value_milli=(20_000 + (step_ms + np.arange(len(step_ms))) % 997).astype(np.int32),
    )
    origin = Origin(stream="bench", shard="shardId-000000000000", first=batch, last=batch)
    key = PartialKey(window=window, origin=origin, digest=partial.digest)
    lake.put(str(key), encode_partial(partial, DeliveryCounts()))


BENCHES = {"api.fleet": answers, "api.live": live}
