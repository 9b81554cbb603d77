"""The standard library's thread pool with coroutines in the place of threads, for the stage code that starts some.

`submit`, `map`, `shutdown`, `wait` and `Lock` behave as documented in `concurrent.futures` and `threading`; a worker
that awaits something lets the others go on, in the simulation's order.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import dispatcher.room
import processors.fanout
import processors.puts
import processors.replay
import producers.courier
import producers.producer
from tests.simulation.process import Process
from tests.simulation.virtual_time import Killed, Signal, Task, current_task


class CoroutineFuture(Future[Any]):
    """A Future whose result is awaited in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self._settled = Signal()
        self.add_done_callback(lambda _: self._settled.fire())

    def result(self, timeout: float | None = None) -> Any:
        """Wait, then as documented."""
        self.settle(timeout)
        return super().result(timeout=0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, then as documented."""
        self.settle(timeout)
        return super().exception(timeout=0)

    def settle(self, timeout: float | None = None) -> None:
        """Wait until it is done, at most `timeout` seconds."""
        time = current_task().time
        until_ms = None if timeout is None else time.now_ms + timeout * 1_000
        while not self.done():
            if until_ms is not None and time.now_ms >= until_ms:
                return
            self._settled.wait(None if until_ms is None else math.ceil(until_ms - time.now_ms))


class CoroutinePool(Executor):
    """At most `max_workers` coroutines at once; what they raise is in the futures."""

    def __init__(self, max_workers: int, thread_name_prefix: str = "worker") -> None:
        self._max_workers = max_workers
        self._name = thread_name_prefix
        self._waiting: deque[tuple[CoroutineFuture, Callable[[], object]]] = deque()
        self._workers: list[Task] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> CoroutineFuture:
        """Begin `fn` as soon as a worker is free."""
        future = CoroutineFuture()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        self._workers = [worker for worker in self._workers if not worker.is_done]
        if len(self._workers) < self._max_workers:
            self._workers.append(current_task().time.spawn(self._name, self._work))
        return future

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        """All at once; the results in order, the first error raised where its result would be."""
        futures = [self.submit(fn, *arguments) for arguments in zip(*iterables, strict=True)]
        return (future.result() for future in futures)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As documented."""
        if cancel_futures:
            for future, _ in self._waiting:
                future.cancel()
            self._waiting.clear()
        if wait:
            time = current_task().time
            for worker in self._workers:
                time.join(worker)

    def _work(self) -> None:
        while self._waiting:
            future, function = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function()
            except Killed:
                raise
            except Exception as error:  # noqa: BLE001 - whoever asks for the result learns of it
                future.set_exception(error)
            else:
                future.set_result(result)


class CoroutineLock:
    """`threading.Lock` as a context manager."""

    def __init__(self) -> None:
        self._holder: Task | None = None
        self._released = Signal()

    def __enter__(self) -> None:
        while self._holder is not None and not self._holder.is_done:
            self._released.wait()
        self._holder = current_task()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._released.fire()


class CoroutineCondition:
    """`threading.Condition` over a lock that its holder may take again."""

    def __init__(self) -> None:
        self._holder: Task | None = None
        self._depth = 0
        self._released = Signal()
        self._notified = Signal()

    def __enter__(self) -> None:
        self._acquire(depth=1)

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._holder = None
            self._released.fire()

    def wait(self, timeout: float | None = None) -> None:
        """As documented: without the lock meanwhile; it may end for no reason."""
        depth, self._depth, self._holder = self._depth, 0, None
        self._released.fire()
        self._notified.wait(None if timeout is None else math.ceil(timeout * 1_000))
        self._acquire(depth=depth)

    def wait_for(self, predicate: Callable[[], object]) -> None:
        """Wait until it is true."""
        while not predicate():
            self.wait()

    def notify_all(self) -> None:
        """Wake everybody who waits."""
        self._notified.fire()

    def _acquire(self, *, depth: int) -> None:
        task = current_task()
        if self._holder is task:
            self._depth += depth
            return
        while self._holder is not None and not self._holder.is_done:
            self._released.wait()
        self._holder, self._depth = task, depth


class CoroutineThread:
    """`threading.Thread`: a task of the process that starts it."""

    def __init__(self, *, target: Callable[[], object], name: str, daemon: bool) -> None:  # noqa: ARG002 - as documented
        self._target = target
        self._name = name
        self._task: Task | None = None

    def start(self) -> None:
        """Begin."""
        self._task = current_task().time.spawn(self._name, self._target)

    def join(self) -> None:
        """Wait for its end."""
        assert self._task is not None
        self._task.time.join(self._task)


class ProcessTime:
    """The module `time`, as the process of the current task has it: its clock may be wrong, and may jump."""

    @staticmethod
    def monotonic() -> float:
        """Seconds."""
        return _process().seconds()

    @staticmethod
    def time_ns() -> int:
        """Nanoseconds since the epoch."""
        return _process().now_ms() * 1_000_000


def _process() -> Process:
    process = current_task().process
    assert process is not None
    return process


def wait(
    futures: Iterable[CoroutineFuture], timeout: float | None = None
) -> tuple[set[CoroutineFuture], set[CoroutineFuture]]:
    """Wait for all of them, at most `timeout` seconds together; those that are done, and the others."""
    futures = list(futures)
    time = current_task().time
    until_ms = None if timeout is None else time.now_ms + timeout * 1_000
    for future in futures:
        future.settle(None if until_ms is None else max(0.0, (until_ms - time.now_ms) / 1_000))
    done = {future for future in futures if future.done()}
    return done, set(futures) - done


@contextmanager
def without_threads() -> Iterator[None]:
    """Let the stages' modules find these names where they look for those of the standard library."""
    with lent(
        (dispatcher.room, "threading", SimpleNamespace(Condition=CoroutineCondition)),
        (processors.fanout, "ThreadPoolExecutor", CoroutinePool),
        (processors.fanout, "wait", wait),
        (processors.fanout, "threading", SimpleNamespace(Lock=CoroutineLock)),
        (processors.puts, "ThreadPoolExecutor", CoroutinePool),
        (processors.puts, "wait", wait),
        (processors.replay, "ThreadPoolExecutor", CoroutinePool),
        (producers.producer, "threading", SimpleNamespace(Condition=CoroutineCondition, Thread=CoroutineThread)),
        (producers.producer, "time", ProcessTime),
        (producers.producer, "close_at_exit", lambda _producer: lambda: None),
        (producers.courier, "time", ProcessTime),
    ):
        yield


@contextmanager
def lent(*instead: tuple[ModuleType, str, object]) -> Iterator[None]:
    """Let names of modules mean something else for a while."""
    before = [(module, name, getattr(module, name)) for module, name, _ in instead]
    try:
        for module, name, value in instead:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


__all__ = ["CancelledError", "CoroutineLock", "CoroutinePool", "lent", "wait", "without_threads"]
