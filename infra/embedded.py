"""The embedded stack: MiniStack as a child process on the loopback interface, and its files on disk.

All its files are in ``<home>/embedded``: ``state.json`` (pid, port), ``log.txt``, and ``tmp`` (the functions' unpacked
code). ``down`` removes the folder.
"""

import contextlib
import fcntl
import http.client
import importlib.metadata
import json
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra import child_process
from infra.child_process import ChildProcess
from infra.waiting import wait_for
from windrow.aws.clients import DEFAULT_REGION, EMBEDDED, Place
from windrow.errors import WindrowError

COMMAND = (sys.executable, "-m", "infra.mended_ministack")
PORT_WANTED = 4566
HOST = "127.0.0.1"
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 5.0
PORT_ATTEMPTS_MAX = 3
# A function worker is stopped after being idle for this long; starting one takes about a second.
WORKER_IDLE_SECONDS_MAX = 3600
HEALTH_PATH = "/_ministack/health"
# The variables that the child inherits: no AWS profile, key or proxy, so none reaches the functions.
INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A running embedded stack. Its health check returns ``token``, which no other server on the port can."""

    process: ChildProcess
    port: int
    token: str
    log: Path

    @property
    def endpoint_url(self) -> str:
        """The URL of all its services."""
        return f"http://{HOST}:{self.port}"


def version() -> str:
    """Return the version of the installed MiniStack, such as ``1.5.33``."""
    return importlib.metadata.version("ministack")


def up(home: Path, *, port: int = PORT_WANTED, enforces_iam: bool = False) -> Embedded:
    """Start the stack and wait until it answers; if one is already running, return it unchanged.

    If ``port`` is taken or 0, another free port is used. With ``enforces_iam``, functions may only do what their roles
    allow. If the stack does not start, WindrowError has the last line of its log.
    """
    with _locked(home):
        running = status(home)
        if running is not None:
            _wait_until_healthy(running)
            return running
        _remove(_folder(home))  # left by a stack that crashed
        return _start(home, port, enforces_iam=enforces_iam)


def status(home: Path) -> Embedded | None:
    """Return the running stack of ``home``; None if none is running or its pid now belongs to another process."""
    try:
        state = json.loads(_state_file(home).read_text())
        found = ChildProcess(int(state["pid"]), str(state["started"]))
        port, token = int(state["port"]), str(state["token"])
    except (OSError, ValueError, KeyError):  # no file, or one that a crash cut short
        return None
    if not child_process.is_running(found):
        return None
    return Embedded(process=found, port=port, token=token, log=log_file(home))


def is_healthy(embedded: Embedded) -> bool:
    """Return whether the stack answers its health check within two seconds."""
    connection = http.client.HTTPConnection(HOST, embedded.port, timeout=2)  # ignores proxy settings
    try:
        connection.request("GET", HEALTH_PATH)
        response = connection.getresponse()
        return response.status == http.HTTPStatus.OK and json.loads(response.read()).get("edition") == embedded.token
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def down(home: Path, *, keeps_log: bool = False) -> bool:
    """Stop the stack and its function workers, and remove its files; return False if none was running.

    With ``keeps_log`` its log stays where it is, for whoever looks for what went wrong.
    """
    if not home.exists():
        return False
    with _locked(home):
        running = status(home)
        if running is not None:
            child_process.stop(running.process, patience_seconds=STOP_SECONDS_MAX)
            if child_process.is_running(running.process):
                message = f"the embedded stack (pid {running.process.pid}) does not stop"
                raise WindrowError(message, hint=f"end it: kill -9 {running.process.pid}")
        _remove(_folder(home), but=log_file(home) if keeps_log else None)
        _lock_file(home).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it stays if it has other files
        home.rmdir()
    return running is not None


def place(home: Path) -> Place:
    """Return where the stack of ``home`` answers; WindrowError if it is not running."""
    running = status(home)
    if running is None:
        raise WindrowError("the embedded stack is not running", hint="run: windrow up")
    return Place(EMBEDDED, running.endpoint_url, DEFAULT_REGION)


def log_file(home: Path) -> Path:
    """Return where the stack of ``home`` writes its log; the file is gone once the stack is down."""
    return _folder(home) / "log.txt"


def _start(home: Path, port: int, *, enforces_iam: bool) -> Embedded:
    folder = _folder(home)
    (folder / "tmp").mkdir(parents=True)
    for _ in range(PORT_ATTEMPTS_MAX):
        chosen = port if port and _is_free(port) else _free_port()
        token = uuid.uuid4().hex
        started = child_process.start(
            COMMAND,
            environment=_environment(folder, chosen, token, enforces_iam=enforces_iam),
            folder=folder,
            log=log_file(home),
        )
        embedded = Embedded(process=started, port=chosen, token=token, log=log_file(home))
        state = {"pid": started.pid, "started": started.started, "port": chosen, "token": token}
        _state_file(home).write_text(json.dumps(state) + "\n")
        try:
            _wait_until_healthy(embedded)
        except WindrowError:
            child_process.stop(started, patience_seconds=STOP_SECONDS_MAX)
            _state_file(home).unlink()
            if not any("already in use" in line for line in _log_lines(embedded.log)):
                raise
            embedded.log.unlink()
            port = _free_port()  # another process took the port first
            continue
        return embedded
    raise WindrowError(f"no free port was found near {port}", hint="run: windrow up --port N")


def _wait_until_healthy(embedded: Embedded) -> None:
    def answers() -> bool:
        if not child_process.is_running(embedded.process):
            message = f"the embedded stack ended at once: {_log_lines(embedded.log)[-1]}"
            raise WindrowError(message, hint=f"see {embedded.log}")
        return is_healthy(embedded)

    message = f"the embedded stack (pid {embedded.process.pid}) did not answer within {START_SECONDS_MAX:.0f} s"
    late = WindrowError(message, hint=f"see {embedded.log}, or run: windrow down")
    wait_for(answers, seconds_max=START_SECONDS_MAX, pause_seconds=child_process.PAUSE_SECONDS, complaint=late)


def _environment(folder: Path, port: int, token: str, *, enforces_iam: bool) -> dict[str, str]:
    """Return the child's whole environment, which its function workers inherit."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | {
        "AUTH": "true" if enforces_iam else "false",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_EDITION": token,  # free text that the health check returns
        "MINISTACK_REGION": DEFAULT_REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_STATE_TRANSITION_SECONDS": "0",
        "LAMBDA_WARM_TTL_SECONDS": str(WORKER_IDLE_SECONDS_MAX),
        "DOCKER_HOST": f"unix://{folder}/no-docker",
        "S3_DATA_DIR": f"{folder}/s3",
        "STATE_DIR": f"{folder}/state",
        "TMPDIR": f"{folder}/tmp",  # noqa: S108 - our own folder
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _folder(home: Path) -> Path:
    return home / "embedded"


def _state_file(home: Path) -> Path:
    return _folder(home) / "state.json"


def _lock_file(home: Path) -> Path:
    return home / "embedded.lock"


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Let one ``up`` or ``down`` of a home run at a time. The lock is released if its process dies."""
    while True:
        home.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), _lock_file(home).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:  # otherwise a ``down`` removed the file while we waited
                yield
                return


def _remove(folder: Path, *, but: Path | None = None) -> None:
    """Remove the folder, except ``but``, a file right in it."""
    if but is None or not but.exists():
        shutil.rmtree(folder, ignore_errors=not folder.exists())
        return
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != but:
            path.unlink()


def _log_lines(log: Path) -> list[str]:
    """Return the lines of the log that are not blank; at least one."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        text = ""
    return [line.strip() for line in text.splitlines() if line.strip()] or ["its log is empty"]
