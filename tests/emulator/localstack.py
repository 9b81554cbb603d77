"""Where a LocalStack for the tests is: one that runs, or one that we start; without either, the tests are skipped.

WINDROW_LOCALSTACK_ENDPOINT     a LocalStack that runs, such as http://localhost:4566
WINDROW_LOCALSTACK_KIT          a folder with start.sh and stop.sh, which run one on port $LSKIT_PORT
"""

import http.client
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ENDPOINT = "WINDROW_LOCALSTACK_ENDPOINT"
KIT = "WINDROW_LOCALSTACK_KIT"
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60


@contextmanager
def running() -> Iterator[str]:
    """The endpoint of a LocalStack; pytest.skip if there is none to be had."""
    endpoint, kit = os.environ.get(ENDPOINT), os.environ.get(KIT)
    if endpoint:
        yield endpoint
    elif kit:
        with _started(Path(kit)) as started:
            yield started
    else:
        pytest.skip(f"no LocalStack: set {ENDPOINT}, or {KIT}")


@contextmanager
def _started(kit: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"LSKIT_PORT": str(port)}

    def run(script: str, *, is_checked: bool, seconds_max: int) -> None:
        command = [kit / script]
        subprocess.run(command, env=environment, check=is_checked, timeout=seconds_max, stdout=subprocess.DEVNULL)

    with ExitStack() as afterwards:
        afterwards.callback(run, "stop.sh", is_checked=False, seconds_max=STOP_SECONDS_MAX)
        run("start.sh", is_checked=True, seconds_max=START_SECONDS_MAX)
        endpoint = f"http://localhost:{port}"
        if not _answers(endpoint):
            afterwards.pop_all()  # it is somebody else's, and goes on running
            pytest.skip("another LocalStack of the kit runs already: name it in the first variable")
        yield endpoint


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
