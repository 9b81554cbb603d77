"""What the rules of a stage take of a tick, in CPU seconds: held times in the roll, and excursions behind it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import numpy as np

from dispatcher.due import FIRST_TICK_AFTER_MS
from dispatcher.excursions import Excursions
from dispatcher.held import HeldWriter
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.tick import Tick
from tests.simulation.simulated_s3 import Put, S3State, SimulatedStore
from windrow.columns.strings import Strings
from windrow.lake.layout import Origin, PartialKey
from windrow.lifetimes import Lifetimes
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.rules.stored import rules_of, store_rules
from windrow.window import WINDOW_MS, Window

WINDOW = Window(1_795_169_100_000)
READINGS = 12
LIFETIMES = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24)
# Values are 18 to 27 °C, evenly, a sensor's own and a little noise: about one sensor in a hundred is beyond a limit.
OF_ONE_ROW = """
[[rule]]
name = "warm"
above = 26.9
statistic = "max"
windows = 3

[[rule]]
name = "outside"
outside = [18.05, 26.95]
"""
MINUTES = """
[[rule]]
name = "minutes"
above = 26.9
minutes = 20
"""
OF_EACH_SENSOR = """
[[rule]]
name = "falls"
rate = 60

[[rule]]
name = "stuck"
stuck = true
windows = 24
"""
RULES = {"rows": OF_ONE_ROW, "minutes": OF_ONE_ROW + MINUTES, "all": OF_ONE_ROW + MINUTES + OF_EACH_SENSOR}


class Stopwatch:
    """Adds up the CPU time of the calls that it wraps."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        @wraps(function)
        def call(*positional: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return function(*positional, **named)
            finally:
                self.seconds += time.process_time() - started

        return call


def seconds_of(sensors: int, rules: str) -> tuple[float, float]:
    """CPU seconds of the rules in one tick, and of the whole tick, which rolls one window of so many sensors.

    The window before it was rolled and judged by the tick before.
    """
    state = S3State()
    lake = SimulatedStore(state.apply, "lake")
    stored = rules_of(lake, store_rules(lake, rules.encode()))
    buckets = Buckets(lake=lake, results=SimulatedStore(state.apply, "results"))
    ids = Strings.of(f"site-{number % 10:02}/sensor-{number:07}" for number in range(sensors))
    whole = 0.0
    for number in range(2):
        window = Window(WINDOW.start_ms + number * WINDOW_MS)
        _put(state, window, ids)
        watch = Stopwatch()
        tick = Tick(
            buckets=buckets,
            lifetimes=LIFETIMES,
            scheduled_time_ms=window.end_ms + FIRST_TICK_AFTER_MS,
            rules=stored,
        )
        with _timed(watch):
            started = time.process_time()
            report = tick.run()
            whole = time.process_time() - started
        assert (window, RollOutcome.ROLLED) in [(one.window, one.outcome) for one in report.windows], window
        assert not report.rules_failed, report.rules_failed
    return watch.seconds, whole


@contextmanager
def _timed(watch: Stopwatch) -> Iterator[None]:
    places = ((HeldWriter, "add"), (HeldWriter, "finish"), (Excursions, "settle_recent"))
    patches = [patch.object(owner, name, watch.timed(getattr(owner, name))) for owner, name in places]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def _put(state: S3State, window: Window, ids: Strings) -> None:
    """One partial with all readings of a window."""
    chance = np.random.default_rng(window.index)
    sensor = np.repeat(np.arange(len(ids)), READINGS).astype(np.int32)
    event_time_ms = np.tile(np.arange(READINGS) * 25_000, len(ids)) + window.start_ms
    value = (18_000 + sensor * 37 % 9_000 + chance.normal(0, 20, len(sensor))).astype(np.int32)
    partial = Partial.of(window, Readings(ids, sensor, event_time_ms, np.ones(len(sensor), np.int64), value))
    origin = Origin(stream="fleet", shard="shardId-000000000000", first=window.index, last=window.index)
    key = PartialKey(window=window, origin=origin, digest=partial.digest)
    state.apply(Put("lake", str(key), encode_partial(partial, DeliveryCounts())))
