"""An endpoint on the loopback interface that gives one answer, whatever it is asked: a network's sign-in page perhaps.

client ──▶ answering endpoint
   ◀── `answer`, byte by byte as the test wants it
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.simulation.loopback import HOST, serving

SECONDS_MAX = 60
JSON = {"Content-Type": "application/x-amz-json-1.1"}
HTML = {"Content-Type": "text/html"}


@dataclass(frozen=True)
class HttpAnswer:
    """A status, headers and a body; a length among the headers is sent as it is, be it a lie."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: JSON)


class AnsweringEndpoint(ThreadingHTTPServer):
    """Listens on a free port; `requests` counts what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.answer = HttpAnswer()
        self.requests = 0

    @property
    def endpoint_url(self) -> str:
        """What a client takes for AWS."""
        return f"http://{HOST}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: AnsweringEndpoint
    timeout = SECONDS_MAX
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        answer = self.server.answer
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        # A length that is a lie must not leave the client waiting.
        self.close_connection = "Content-Length" in answer.headers

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def answering_endpoint() -> AbstractContextManager[AnsweringEndpoint]:
    """One that runs inside the block."""
    return serving(AnsweringEndpoint())
