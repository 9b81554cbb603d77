"""Sending a fleet's readings as they are measured: by the clock, in slices of a quarter of a second."""

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from producers.fleet_batches import FleetBatch

TICK_MS = 250


class Pacer:
    """Holds batches back until their event times. now_ms: gives epoch milliseconds; sleep: takes seconds."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._now_ms = now_ms
        self._sleep = sleep

    def paced(self, batches: Iterable[FleetBatch]) -> Iterator[FleetBatch]:
        """Cut batches by event time into slices of TICK_MS, and yield each once its readings have been measured.

        A slice keeps its order, so readings may still be out of order by up to a slice.
        """
        for batch in batches:
            slot = batch.readings.event_time_ms // TICK_MS
            for tick in np.unique(slot).tolist():
                wait_ms = (tick + 1) * TICK_MS - self._now_ms()
                if wait_ms > 0:
                    self._sleep(wait_ms / 1_000)
                yield batch.take(np.flatnonzero(slot == tick))
