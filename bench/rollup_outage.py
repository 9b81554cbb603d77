"""The tick after an outage of the dispatcher, on a store that takes 30 ms for each request: windows a second.

python -m bench.rollup_outage       a week without any tick: some minutes; `make bench` does four hours of it
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from dispatcher.handler import READERS, WORKERS
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.room import Room
from dispatcher.tick import Tick
from tests.simulation.lake import LAKE, RESULTS, Row, at, partial_put
from tests.simulation.simulated_s3 import Answer, Operation, S3State, SimulatedStore
from windrow.lifetimes import Lifetimes
from windrow.window import WINDOW_MS, Window

REQUEST_SECONDS = 0.03
SCHEDULED = at("10:07")
LIFETIMES = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24)
WEEK_WINDOWS = 7 * 24 * 12
SENSORS = 50
SHARDS = 2


class SlowStore:
    """A simulated S3 for threads; every request takes its time, of which it uses no CPU."""

    def __init__(self) -> None:
        self.state = S3State()
        self._lock = threading.Lock()

    def perform(self, operation: Operation) -> Answer:
        """Answer one request."""
        time.sleep(REQUEST_SECONDS)
        with self._lock:
            return self.state.apply(operation)

    def buckets(self) -> Buckets:
        """Both buckets."""
        return Buckets(lake=SimulatedStore(self.perform, LAKE), results=SimulatedStore(self.perform, RESULTS))


def outage(windows: int) -> SlowStore:
    """A store with partials of so many windows, each with sensors of its own missing, and no tick in all that time."""
    store = SlowStore()
    for back in range(windows):
        window = Window(SCHEDULED - 120_000 - (back + 1) * WINDOW_MS)
        for shard in range(SHARDS):
            rows: list[Row] = [
                (f"sensor-{number:04}", number, 0, 20_000 + number)
                for number in range(shard, SENSORS, SHARDS)
                if (number + back) % 17
            ]
            store.state.apply(partial_put(window, rows, first=back + 1, shard=shard))
    return store


def ticked(windows: int, *, is_parallel: bool) -> tuple[float, Mapping[str, int]]:
    """The windows a second of one whole tick, and its requests; one after another if it is not parallel."""
    store = outage(windows)
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(WORKERS) as workers:
        tick = Tick(
            buckets=store.buckets(),
            lifetimes=LIFETIMES,
            scheduled_time_ms=SCHEDULED,
            mapper=readers.map if is_parallel else map,
            work_mapper=workers.map if is_parallel else map,
            room=Room() if is_parallel else None,
        )
        started = time.perf_counter()
        report = tick.run()
        seconds = time.perf_counter() - started
    assert report.outcomes[RollOutcome.ROLLED] >= windows, report.outcomes
    return windows / seconds, report.s3_calls


def main() -> None:
    """Print what the tick after a week without any takes."""
    started = time.process_time()
    windows_per_second, calls = ticked(WEEK_WINDOWS, is_parallel=True)
    seconds = WEEK_WINDOWS / windows_per_second
    print(f"{WEEK_WINDOWS:,} windows, {sum(calls.values()):,} requests of {1_000 * REQUEST_SECONDS:.0f} ms:", end=" ")
    print(f"{seconds:.0f} s, {time.process_time() - started:.0f} of them CPU with the making of the store")


if __name__ == "__main__":
    main()
