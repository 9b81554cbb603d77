"""Child processes: told apart from others with the same pid, and stopped with all their children."""

import os
import sys
import time
from pathlib import Path

import pytest

from infra import child_process
from infra.child_process import ChildProcess

pytestmark = pytest.mark.slow

# A process that starts another one, as the emulator does with function workers, and says so.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    """Start a Python program; it is stopped after the test. Returns the process and its first line of output."""
    started = []

    def go(program: str) -> tuple[ChildProcess, str]:
        log = tmp_path / f"log-{len(started)}"
        child = child_process.start([sys.executable, "-c", program], environment=os.environ, folder=tmp_path, log=log)
        started.append(child)
        return child, first_line(log)

    yield go
    for child in started:
        child_process.stop(child, patience_seconds=0.5)


def first_line(log: Path) -> str:
    """What the program prints first."""
    for _ in range(200):
        text = log.read_text()
        if text.endswith("\n"):
            return text.splitlines()[0]
        time.sleep(0.05)
    raise AssertionError(f"no line in {log}")


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that ended and was not reaped yet does not count."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_stop_takes_the_children_along(start):
    """No worker of a stopped process survives it."""
    parent, child_pid = start(FAMILY)
    assert child_process.is_running(parent)
    child_process.stop(parent, patience_seconds=5)
    assert not child_process.is_running(parent)
    assert not is_alive(int(child_pid))


def test_process_that_ignores_term_is_killed(start):
    """After the patience is over there is no asking any more."""
    child, _ = start(STUBBORN)
    child_process.stop(child, patience_seconds=0.2)
    assert not child_process.is_running(child)


def test_recycled_pid_is_left_alone(start):
    """The same pid with another start time is another process: it neither counts as running nor is stopped."""
    child, _ = start(STUBBORN)
    former = ChildProcess(child.pid, "a time long ago")
    assert not child_process.is_running(former)
    child_process.stop(former, patience_seconds=0.2)
    assert child_process.is_running(child)


def test_process_of_unknown_start_is_not_ours():
    """Without a start time nothing is claimed, not even our own pid."""
    assert not child_process.is_running(ChildProcess(os.getpid(), ""))
