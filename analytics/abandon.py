"""Work that ends early once nobody waits for its answer any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from windrow.errors import WindrowError

LOOK_SECONDS = 0.1
"""How often somebody who waits for a lock looks whether the answer is still wanted."""

Check = Callable[[], object]
"""Called between the steps of long work; raises Abandoned or TimeIsUp if no answer is wanted any more."""


class Abandoned(WindrowError):  # noqa: N818 - the domain's noun
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("nobody waits for this answer any more")


class TimeIsUp(WindrowError):  # noqa: N818 - the domain's noun
    """The time for the answer is up; what was read for it so far is kept, so that the same question may end sooner."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("reading the range takes longer than an answer may", hint="ask again, or for a shorter range")


def always_wanted() -> None:
    """Be the check of an answer that is always wanted."""


@contextmanager
def held(lock: threading.Lock, check: Check) -> Iterator[None]:
    """Hold `lock`; give up waiting for it when `check` raises."""
    while not lock.acquire(timeout=LOOK_SECONDS):
        check()
    try:
        check()
        yield
    finally:
        lock.release()
