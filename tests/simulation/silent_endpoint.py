"""An endpoint that passes every request on and never answers: what it took is done, and the client does not hear of it.

client ──▶ silent endpoint ──▶ stand-in for AWS
  ╳ nothing     ◀── its answer, kept in `answers`
"""

import contextlib
import json
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

from tests.simulation.loopback import HOST, serving

SECONDS_MAX = 60


class SilentEndpoint(ThreadingHTTPServer):
    """Listens on a free port of the loopback interface, in front of `upstream_url`."""

    daemon_threads = True

    def __init__(self, upstream_url: str) -> None:
        super().__init__((HOST, 0), _Handler)
        self.upstream = urlsplit(upstream_url).netloc
        self.answers: Queue[tuple[int, dict[str, Any]]] = Queue()

    @property
    def endpoint_url(self) -> str:
        """What a client takes for AWS."""
        return f"http://{HOST}:{self.server_port}"

    def next_answer(self) -> dict[str, Any]:
        """What a request that went unanswered had done; waits until it is done."""
        status, answer = self.answers.get(timeout=SECONDS_MAX)
        assert status == 200
        return answer


class _Handler(BaseHTTPRequestHandler):
    server: SilentEndpoint
    timeout = SECONDS_MAX

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with contextlib.closing(HTTPConnection(self.server.upstream, timeout=SECONDS_MAX)) as connection:
            connection.request("POST", self.path, body, dict(self.headers))
            response = connection.getresponse()
            self.server.answers.put((response.status, json.loads(response.read())))
        with contextlib.suppress(OSError):
            self.rfile.read(1)  # until the client hangs up


def silent_endpoint(upstream_url: str) -> AbstractContextManager[SilentEndpoint]:
    """One that runs inside the block."""
    return serving(SilentEndpoint(upstream_url))
