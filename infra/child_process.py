"""Child processes that outlive the command, identified by pid and start time and stopped with their whole group."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.waiting import poll

PAUSE_SECONDS = 0.05
# Children of this process, kept so that they can be reaped and leave no zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A process on this machine. ``started`` is its start time as the system prints it, because pids are reused."""

    pid: int
    started: str


def start(command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> ChildProcess:
    """Start ``command`` in ``folder``, detached from the terminal and in a process group of its own."""
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - the command is ours: this interpreter and a module
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return ChildProcess(child.pid, _started(child.pid) or "")


def is_running(process: ChildProcess) -> bool:
    """Return whether this process still runs; False if its pid now belongs to another one."""
    _reap(process.pid)
    return process.started != "" and _started(process.pid) == process.started


def stop(process: ChildProcess, *, patience_seconds: float) -> None:
    """End the process and its whole group: SIGTERM, then SIGKILL for what is left after ``patience_seconds``.

    Do nothing if the process no longer runs, because its pid may belong to another process.
    """
    if not is_running(process):
        return
    for name in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, name)
        if poll(lambda: not _group_exists(process.pid), seconds_max=patience_seconds, pause_seconds=PAUSE_SECONDS):
            return


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def _group_exists(pid: int) -> bool:
    _reap(pid)
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS raises it for a group whose members are all exiting
        return True
    return True


def _started(pid: int) -> str | None:
    """Return the start time of ``pid`` as the system prints it; None if there is no such process."""
    if Path("/proc/self/stat").exists():
        return _started_from_proc(pid)
    answer = subprocess.run(  # noqa: S603 - fixed arguments
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return answer.stdout.strip() or None


def _started_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name is in parentheses and may contain anything; state is field 3, starttime field 22 (proc(5)).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
