"""Writing objects in parallel, but never past the time that a function has left."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from windrow.lake.store import Argument, Mapper, Value

REPORT_RESERVE_MS = 3_000
"""The time a function keeps for its logs, metrics and answer, so that it is not killed before it has reported."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long a function may still work. `remaining_ms` is Lambda's answer, and the only clock."""

    remaining_ms: Callable[[], int]

    def left_ms(self) -> int:
        """Return the time that is left for work, without the reserve for the report; 0 at least."""
        return max(0, self.remaining_ms() - REPORT_RESERVE_MS)


class OutOfTime(Exception):  # noqa: N818 - it says what happened, and nobody made an error
    """Time ran out before everything was written. What was written counts, and the rest may still be written."""


class Puts:
    """A pool of up to `parallel_max` writing threads, kept from one invocation to the next."""

    def __init__(self, parallel_max: int) -> None:
        self._parallel_max = parallel_max
        self._workers = self._start()

    def _start(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._parallel_max, thread_name_prefix="put")

    def until(self, deadline: Deadline) -> Mapper:
        """Return a mapper that raises OutOfTime if `deadline` passes before its last result."""

        def run(function: Callable[[Argument], Value], arguments: Iterable[Argument], /) -> list[Value]:
            futures = [self._workers.submit(function, argument) for argument in arguments]
            _, late = wait(futures, timeout=deadline.left_ms() / 1_000)
            if late:
                self._abandon()
                raise OutOfTime(f"{len(late)} of {len(futures)} writes")
            return [future.result() for future in futures]

        return run

    def _abandon(self) -> None:
        """Leave the threads that hang to themselves and start new ones, so the next batch does not wait for them."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._workers = self._start()
