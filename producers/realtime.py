"""Sending a fleet's readings when they are measured: paced by the clock, in slices of a quarter of a second."""

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from producers.deliveries import Delivery

TICK_MS = 250


class Clock:
    """now_ms: epoch milliseconds; sleep: takes seconds."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """By default the machine's own."""
        self._now_ms = now_ms
        self._sleep = sleep

    def now_ms(self) -> int:
        """What time it is."""
        return self._now_ms()

    def in_time(self, batches: Iterable[Delivery]) -> Iterator[Delivery]:
        """The batches, cut by event time into slices, each when its readings have been measured.

        Within a slice the order stays, so out-of-order readings stay so by up to a tick.
        """
        for batch in batches:
            slot = batch.readings.event_time_ms // TICK_MS
            for tick in np.unique(slot).tolist():
                wait_ms = (tick + 1) * TICK_MS - self._now_ms()
                if wait_ms > 0:
                    self._sleep(wait_ms / 1_000)
                yield batch.take(np.flatnonzero(slot == tick))
