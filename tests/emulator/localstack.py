"""Where a LocalStack for the tests is: one that runs, or one that we start; without either, the tests are skipped.

WINDROW_LOCALSTACK_ENDPOINT     a LocalStack that runs, such as http://localhost:4566
WINDROW_LOCALSTACK_KIT          a folder with start.sh and stop.sh, which run one on port $LSKIT_PORT

A kit runs one LocalStack at a time. Whoever wants it waits for its lock, so that two runs of the tests on one machine
do not start it twice. A kit that was not set up says so and starts nothing; one that is set up must start.
"""

import fcntl
import hashlib
import http.client
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.waiting import poll

ENDPOINT = "WINDROW_LOCALSTACK_ENDPOINT"
KIT = "WINDROW_LOCALSTACK_KIT"
PORT = "LSKIT_PORT"
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60
LOCK_SECONDS_MAX = 1800.0
"""How long to wait for another run of the tests to be done with the kit; these tests take a few minutes."""
NOT_SET_UP = "setup.sh"
"""What start.sh names when it has nothing to start yet."""


@contextmanager
def running(environment: dict[str, str]) -> Iterator[str]:
    """The endpoint of a LocalStack that `environment` leads to; pytest.skip, with the reason, if there is none."""
    endpoint, kit = environment.get(ENDPOINT), environment.get(KIT)
    if endpoint:
        yield endpoint
    elif kit:
        with _locked(Path(kit)), _started(Path(kit), environment) as started:
            yield started
    else:
        pytest.skip(f"no LocalStack: set {ENDPOINT}, or {KIT}")


@contextmanager
def _locked(kit: Path) -> Iterator[None]:
    """Hold the lock of this kit; the system releases it with the process, so none is left behind."""
    digest = hashlib.sha256(str(kit.resolve()).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"windrow-localstack-{digest}.lock").open("w") as lock:

        def is_ours() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not poll(is_ours, seconds_max=LOCK_SECONDS_MAX, pause_seconds=1.0):
            pytest.fail(f"{kit}: another run has used it for {LOCK_SECONDS_MAX:.0f} s")
        yield


@contextmanager
def _started(kit: Path, environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = environment | {PORT: str(port)}
    endpoint = f"http://localhost:{port}"
    ended = _run(kit / "start.sh", variables, seconds_max=START_SECONDS_MAX)
    if ended.returncode != 0 and NOT_SET_UP in ended.stderr:
        pytest.skip(f"{kit} is not set up: {ended.stderr.strip()}")
    if ended.returncode == 0 and not _answers(endpoint):
        # Somebody else's, who does not know of the lock: it goes on running.
        pytest.skip(f"a LocalStack of {kit} runs already: name it in {ENDPOINT}")
    try:
        assert ended.returncode == 0, f"{kit} did not start: {ended.stderr}"
        yield endpoint
    finally:
        _run(kit / "stop.sh", variables, seconds_max=STOP_SECONDS_MAX)


def _run(script: Path, variables: dict[str, str], *, seconds_max: int) -> subprocess.CompletedProcess[str]:
    """Run a script of the kit; what it leaves running must not hold our pipes, so its words go to files."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        command = [script]
        code = subprocess.run(
            command, env=variables, check=False, timeout=seconds_max, stdout=said, stderr=complained
        ).returncode
        said.seek(0)
        complained.seek(0)
        return subprocess.CompletedProcess(command, code, said.read(), complained.read())


def _answers(endpoint: str) -> bool:
    where = urlsplit(endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
    try:
        connection.request("GET", "/_localstack/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
