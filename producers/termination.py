"""Sending what is buffered when the program ends, by SIGTERM (which becomes an exception) or by itself."""

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
# The exit code that a shell reports for a process ended by the signal.
EXIT_CODE = 128 + signal.SIGTERM


class Termination:
    """A handler of SIGTERM: between `begin` and `end` the signal raises SystemExit in the main thread.

    It does nothing in another thread, or if the program handles the signal itself.
    """

    def __init__(self) -> None:
        self._is_ours = False

    def begin(self) -> None:
        """Install the handler."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminate)
            self._is_ours = True

    def end(self) -> None:
        """Restore the default."""
        if self._is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._is_ours = False


class Closable(Protocol):
    """An object to be closed when the program ends."""

    def close(self) -> None:
        """Close it; WindrowError if something is left undone."""
        ...


def close_at_exit(closable: Closable) -> Callable[[], object]:
    """Close the object when the program ends, if it still exists; return a function that undoes this.

    A child of a fork closes nothing: its copy belongs to the parent.
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
