"""Writing in parallel, but never beyond the time that is left."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

from processors.consumer import Mapper, PlannedObject
from processors.deadline import Deadline

_Write = tuple[PlannedObject, ...]


class OutOfTime(Exception):  # noqa: N818 - what happened, not an error of anyone
    """Not everything was written in time; what was counts, and the rest may still be."""


class Puts:
    """Up to `parallel_max` threads that write, kept from one invocation to the next."""

    def __init__(self, parallel_max: int) -> None:
        self._parallel_max = parallel_max
        self._workers = self._start()

    def _start(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._parallel_max, thread_name_prefix="put")

    def until(self, deadline: Deadline) -> Mapper:
        """A mapper that raises OutOfTime when `deadline` comes before its last result."""

        def run(
            function: Callable[[_Write], list[PlannedObject]], writes: Iterable[_Write], /
        ) -> list[list[PlannedObject]]:
            futures = [self._workers.submit(function, write) for write in writes]
            _, late = wait(futures, timeout=deadline.left_ms() / 1_000)
            if late:
                self._abandon()
                raise OutOfTime(f"{len(late)} of {len(futures)} writes")
            return [future.result() for future in futures]

        return run

    def _abandon(self) -> None:
        """Leave the threads to what they wait for, so that the next batch does not wait for it too."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._workers = self._start()
