"""The local page's server among clients that misbehave: dropped sockets, halves of requests, who does not read."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from unittest import mock

import pytest
import uvicorn

from analytics.dashboard import Dashboard
from analytics.web import application
from tests.unit.test_open_windows import NOW_MS, START_MS, Lake
from windrow.aws.clients import Place
from windrow.reading import Reading
from windrow_cli.dashboard import HOST, listening, server_of

SOCKETS = 1_000
AT_ONCE = 250
WAIT_SECONDS_MAX = 60.0
WHOLE = b"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PARTS = (b"", WHOLE[:20], WHOLE, b"\x16\x03\x01 no HTTP at all\r\n\r\n")
"""What a socket sends before it is dropped."""
LARGE = b"GET /static/vendor/uPlot.iife.min.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Served:
    """A running server."""

    server: uvicorn.Server
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=WAIT_SECONDS_MAX)

    def sensors(self) -> list[str]:
        """What somebody gets who behaves."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=WAIT_SECONDS_MAX)
        connection.request("GET", "/v1/live")
        response = connection.getresponse()
        assert response.status == 200
        found: list[str] = json.loads(response.read())["sensors"]
        connection.close()
        return found

    def until_nobody_is_connected(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while self.server.server_state.connections or self.server.server_state.tasks:
            assert time.monotonic() < deadline, "the server holds what nobody waits for"
            time.sleep(0.01)


@pytest.fixture
def served() -> Iterator[Served]:
    """The page as the command serves it, over one live reading."""
    lake = Lake()
    lake.deliver([Reading("a", START_MS, 0, 1_000)])
    made = Dashboard(
        engine=mock.Mock(), results=lake.results, stage="dev", clock_ms=lambda: NOW_MS, open_windows=lake.open
    )
    listener = listening(None)
    server = server_of(application(made, Place("embedded", "http://127.0.0.1:1", "us-east-1")))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not server.started:
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.005)
    yield Served(server, listener.getsockname()[1])
    server.should_exit = True
    thread.join(timeout=WAIT_SECONDS_MAX)
    assert not thread.is_alive()


@pytest.mark.slow
def test_a_thousand_sockets_that_are_opened_and_dropped_hurt_nobody(served: Served) -> None:
    """Without a word, amid a request, after one, or with something else than HTTP; others are answered meanwhile."""
    for _ in range(SOCKETS // AT_ONCE):
        with ExitStack() as opened:
            for number in range(AT_ONCE):
                one = opened.enter_context(served.connect())
                one.sendall(PARTS[number % len(PARTS)])
            assert served.sensors() == ["a"]
    served.until_nobody_is_connected()
    assert served.sensors() == ["a"]


@pytest.mark.slow
def test_who_does_not_read_keeps_nobody_waiting(served: Served) -> None:
    """Ten who ask for 50 files in a row and read none of them, and ten who never end their first line."""
    with ExitStack() as opened:
        for _ in range(10):
            opened.enter_context(served.connect()).sendall(LARGE * 50)
            opened.enter_context(served.connect()).sendall(WHOLE[:10])
        assert served.sensors() == ["a"]
    served.until_nobody_is_connected()
