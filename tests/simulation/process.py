"""A running program as AWS sees it: a clock of its own, a deadline, requests on the wire, and an end at any of them."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from greenlet import getcurrent

from tests.simulation.virtual_time import Killed, Task, VirtualTime

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What is going to happen to a program.

    dies_at: the number of the request (from 1) at which it is killed, before it takes effect or `dies_after`; 0: it
    lives. leaves_request: when it dies before, the request is on the wire and takes effect `leftover_ms` later.
    slowness: how many times as long its requests take. freezes_at: the request before which it stands still for
    `frozen_ms`, 0: before it does anything. skew_ms: how far its clock is ahead.
    """

    dies_at: int = 0
    dies_after: bool = False
    leaves_request: bool = False
    leftover_ms: int = 0
    slowness: float = 1.0
    freezes_at: int = 0
    frozen_ms: int = 0
    skew_ms: int = 0


class Process:
    """One program. Every request it makes goes through `call`; once dead, it makes none."""

    def __init__(
        self,
        time: VirtualTime,
        name: str,
        *,
        fate: Fate = Fate(),
        timeout_ms: float = math.inf,
    ) -> None:
        """Begin now; `timeout_ms` is what it is told about its remaining time."""
        self.time = time
        self.name = name
        self.fate = fate
        self.deadline_ms = time.now_ms + timeout_ms
        self.is_alive = True
        self.requests = 0
        self.tasks: list[Task] = []

    def call(self, effect: Callable[[], Answer], *, latency_ms: float) -> Answer:
        """Await one request: `effect` is what it does where it arrives."""
        if not self.is_alive:
            raise Killed
        self.requests += 1
        is_last = self.requests == self.fate.dies_at
        if is_last and not self.fate.dies_after:
            if self.fate.leaves_request:
                self.time.later(self.fate.leftover_ms, lambda: _ignoring(effect))
            self.die()
        self.freeze(self.requests)
        self.time.sleep(latency_ms * self.fate.slowness)
        if not is_last:
            return effect()
        _ignoring(effect)
        self.die()
        raise Killed

    def freeze(self, number: int) -> None:
        """Stand still, if this request is the one, or 0 and it is to do so at its beginning."""
        if self.fate.frozen_ms and number == self.fate.freezes_at:
            self.time.sleep(self.fate.frozen_ms)

    def die(self) -> None:
        """End all tasks of the program; raises Killed in one of its own."""
        self.is_alive = False
        current = getcurrent()
        for task in self.tasks:
            if task is not current:
                task.kill()
        if current in self.tasks:
            raise Killed

    def now_ms(self) -> int:
        """What its clock says."""
        return self.time.now_ms + self.fate.skew_ms

    def remaining_ms(self) -> int:
        """How long it may still run."""
        return max(0, round(self.deadline_ms - self.time.now_ms))

    def sleep_seconds(self, seconds: float) -> None:
        """`time.sleep`."""
        if not self.is_alive:
            raise Killed
        self.time.sleep(seconds * 1_000)

    def seconds(self) -> float:
        """`time.monotonic`, which no skew touches."""
        return self.time.now_ms / 1_000


def _ignoring(effect: Callable[[], object]) -> None:
    """Nobody hears the answer."""
    with suppress(Exception):
        effect()
