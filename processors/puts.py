"""Writing objects in parallel, but never past the time that a function has left."""

from collections.abc import Callable, Iterable, Sequence
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
    """Time ran out before everything was written. What was written counts, and the rest may still be written.

    done: the places of the arguments whose calls returned in time, ascending.
    """

    def __init__(self, message: str, done: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.done = tuple(done)


class Puts:
    """A pool of up to `parallel_max` writing threads, kept from one invocation to the next."""

    def __init__(self, parallel_max: int) -> None:
        self._parallel_max = parallel_max
        self._workers = self._start()

    def _start(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._parallel_max, thread_name_prefix="put")

    def until(self, deadline: Deadline, *, share: float = 1.0) -> Mapper:
        """Return a mapper that raises OutOfTime if `deadline` passes before its last result.

        It takes at most this `share` of the time that is left when it begins.
        """

        def run(function: Callable[[Argument], Value], arguments: Iterable[Argument], /) -> list[Value]:
            futures = [self._workers.submit(function, argument) for argument in arguments]
            on_time, late = wait(futures, timeout=share * deadline.left_ms() / 1_000)
            if late:
                self._abandon()
                done = [place for place, future in enumerate(futures) if future in on_time and not future.exception()]
                raise OutOfTime(f"{len(late)} of {len(futures)} writes", done)
            return [future.result() for future in futures]

        return run

    def _abandon(self) -> None:
        """Leave the threads that hang to themselves and start new ones, so the next batch does not wait for them."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._workers = self._start()
