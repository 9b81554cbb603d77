"""How a program ends: by SIGTERM, which is made an exception, or by itself; in either way what is buffered is sent."""

import atexit
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, Protocol

from windrow.errors import WindrowError

_logger = logging.getLogger("windrow.producers")
# What a shell reports for a process that the signal ended.
EXIT_CODE = 128 + signal.SIGTERM


class Termination:
    """Between `begin` and `end`, SIGTERM raises SystemExit in the main thread.

    Nothing happens in another thread, or where the program handles the signal itself.
    """

    def __init__(self) -> None:
        self._is_ours = False

    def begin(self) -> None:
        """Take the signal."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminate)
            self._is_ours = True

    def end(self) -> None:
        """Give it back."""
        if self._is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._is_ours = False


class Closable(Protocol):
    """What is to be closed in the end."""

    def close(self) -> None:
        """Close it; WindrowError if something is left undone."""
        ...


def closed_at_exit(closable: Closable) -> Callable[[], object]:
    """Close it when the program ends, unless it is gone by then; the function that is returned takes that back.

    A child of a fork closes nothing: what it has a copy of belongs to its parent.
    """
    found, process_id = weakref.ref(closable), os.getpid()

    def close() -> None:
        closable = found()
        if closable is None or os.getpid() != process_id:
            return
        try:
            closable.close()
        except WindrowError as error:
            _logger.error("not everything was sent as the program ended: %s", error)

    atexit.register(close)
    return lambda: atexit.unregister(close)


def _terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(EXIT_CODE)
