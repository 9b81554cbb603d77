"""A simulated client in front of tests that are no tasks of a simulation."""

from typing import Any

from tests.simulation.virtual_time import VirtualTime


class Driven:
    """A simulated client for tests that are no tasks: each call is one, and time runs until it is done."""

    def __init__(self, client: object, time: VirtualTime) -> None:
        self._client = client
        self._time = time

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            task = self._time.spawn(name, lambda: getattr(self._client, name)(**arguments))
            task.is_awaited = True
            assert self._time.run(self._time.now_ms + 60_000, is_over=lambda: task.is_done)
            if task.error is not None:
                raise task.error
            return task.value

        return call
