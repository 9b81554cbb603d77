"""Virtual time: programs run as coroutines that take turns, and the clock jumps from one event to the next.

    hub ── 10:00:00.000 ─ consumer 3 runs until it awaits S3
        ── 10:00:00.014 ─ dispatcher runs until it sleeps          nothing waits, nothing happens twice at once:
        ── 10:00:00.031 ─ consumer 3's S3 request takes effect     the order is drawn from one seeded source

Stage code is ordinary blocking code. A greenlet lets it stop in the middle of a call without a thread, so the
simulation decides at every awaited call who goes next. What happens in the same millisecond happens in an order
drawn by chance.
"""

import heapq
import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from tests.simulation.process import Process

EVENTS_MAX = 3_000_000
"""Of one simulation; beyond this something goes round in circles."""


class Killed(BaseException):
    """The program is gone; no `except Exception` on the way may notice."""


class Task(greenlet):
    """One line of control. `value`, `error` and `is_killed` say how it ended, once `is_done`."""

    def __init__(
        self, time: "VirtualTime", name: str, function: Callable[[], object], process: "Process | None"
    ) -> None:
        super().__init__(self._main, parent=time.hub)
        self.time = time
        self.name = name
        self.process = process
        self.value: Any = None
        self.error: Exception | None = None
        self.is_done = False
        self.is_killed = False
        self.is_awaited = False
        self._function = function
        self._waiters: list[Task] = []
        self.turn = 0
        """Rises with each suspension, so that a wake-up that comes too late wakes nobody."""

    def _main(self) -> None:
        try:
            if self.is_killed:
                raise Killed
            self.value = self._function()
        except Killed:
            self.is_killed = True
        except Exception as error:  # noqa: BLE001 - whoever awaits the task learns of it
            self.error = error
        self.is_done = True
        for waiter in self._waiters:
            self.time.wake(waiter, waiter.turn)
        if self.error is not None and not self.is_awaited:
            self.time.failed(self.error)

    def kill(self) -> None:
        """End the task where it is suspended; a task cannot kill itself this way."""
        if not self.is_done and not self.is_killed:
            self.is_killed = True
            self.time.wake(self, self.turn)

    def awaited_by(self, waiter: "Task") -> None:
        """Wake `waiter` when this ends."""
        self._waiters.append(waiter)


class Signal:
    """Something that tasks wait for and others announce."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Task, int]] = []

    def wait(self, timeout_ms: int | None = None) -> None:
        """Suspend until the next `fire`, or until the time is over."""
        task = current_task()
        self._waiters.append((task, task.turn + 1))
        task.time.suspend(timeout_ms)

    def fire(self) -> None:
        """Wake everybody who waits now."""
        waiting, self._waiters = self._waiters, []
        for task, turn in waiting:
            task.time.wake(task, turn)


class VirtualTime:
    """The clock, in ms since the epoch, and the events to come."""

    def __init__(self, chance: Random, *, start_ms: int) -> None:
        """Begin at `start_ms`; `chance` orders what happens at the same instant."""
        self.hub = getcurrent()
        self.now_ms = start_ms
        self.events = 0
        self._chance = chance
        self._queue: list[tuple[int, float, int, Callable[[], object]]] = []
        self._tasks: list[Task] = []
        self._error: Exception | None = None

    def spawn(self, name: str, function: Callable[[], object], process: "Process | None" = None) -> Task:
        """Begin a task, at this instant; without a `process` it belongs to the one that spawns it."""
        spawner = getcurrent()
        owner = process or (spawner.process if isinstance(spawner, Task) else None)
        task = Task(self, name, function, owner)
        if owner is not None:
            owner.tasks.append(task)
        self._tasks = [other for other in self._tasks if not other.is_done] if len(self._tasks) > 200 else self._tasks
        self._tasks.append(task)
        self.wake(task, 0)
        return task

    def later(self, delay_ms: float, effect: Callable[[], object]) -> None:
        """Let `effect` happen `delay_ms` from now, whoever is alive then."""
        self._push(delay_ms, effect)

    def wake(self, task: Task, turn: int, delay_ms: float = 0) -> None:
        """Resume `task` in `delay_ms`, unless it was resumed in between (its turn is then another)."""

        def resume() -> None:
            if task.turn == turn and not task.is_done:
                task.turn += 1
                task.switch()

        self._push(delay_ms, resume)

    def suspend(self, timeout_ms: float | None = None) -> None:
        """Give way until someone wakes this task, at the latest after `timeout_ms`."""
        task = current_task()
        task.turn += 1
        if timeout_ms is not None:
            self.wake(task, task.turn, timeout_ms)
        self.hub.switch()
        if task.is_killed:
            raise Killed

    def sleep(self, duration_ms: float) -> None:
        """Give way for `duration_ms`."""
        until_ms = self.now_ms + duration_ms
        while self.now_ms < until_ms or duration_ms <= 0:
            self.suspend(max(0, until_ms - self.now_ms))
            duration_ms = 1

    def join(self, task: Task, timeout_ms: float | None = None) -> bool:
        """Wait until `task` has ended; False when the time was over before."""
        task.is_awaited = True
        until_ms = None if timeout_ms is None else self.now_ms + timeout_ms
        while not task.is_done:
            if until_ms is not None and self.now_ms >= until_ms:
                return False
            task.awaited_by(current_task())
            self.suspend(None if until_ms is None else max(0, until_ms - self.now_ms))
        return True

    def run(self, until_ms: int, *, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Let everything happen up to and including `until_ms`; True as soon as `is_over`."""
        assert getcurrent() is self.hub, "only the hub drives the clock"
        while not is_over():
            if not self._queue or self._queue[0][0] > until_ms:
                self.now_ms = max(self.now_ms, until_ms)
                return is_over()
            at_ms, _, _, happen = heapq.heappop(self._queue)
            self.now_ms = max(self.now_ms, at_ms)
            happen()
            if self._error is not None:
                raise self._error
        return True

    def failed(self, error: Exception) -> None:
        """Nobody awaits the task that ended so: the simulation itself has a fault."""
        self._error = self._error or error

    def close(self) -> None:
        """End every task that is left, so that none of them is resumed by the garbage collector."""
        for task in self._tasks:
            if task.process is not None:
                task.process.is_alive = False
        for task in self._tasks:
            if not task.is_done and task.gr_frame is not None:
                task.is_killed = True
                task.turn += 1
                task.switch()
        self._queue.clear()

    def _push(self, delay_ms: float, happen: Callable[[], object]) -> None:
        self.events += 1
        assert self.events <= EVENTS_MAX, "the simulation goes round in circles"
        at_ms = self.now_ms + max(0, math.ceil(delay_ms))
        heapq.heappush(self._queue, (at_ms, self._chance.random(), self.events, happen))


def current_task() -> Task:
    """The task that runs now; AssertionError in the hub."""
    task = getcurrent()
    assert isinstance(task, Task), "only a task can wait"
    return task
