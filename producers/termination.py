"""SIGTERM as an exception: what runs is left in order, and what is buffered is sent."""

import signal
import threading
from types import FrameType
from typing import NoReturn

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


def _terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(EXIT_CODE)
