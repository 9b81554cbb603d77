"""Servers of tests, which run on the loopback interface for as long as a block lasts."""

import contextlib
from collections.abc import Iterator
from socketserver import BaseServer
from threading import Thread
from typing import TypeVar

HOST = "127.0.0.1"

Server = TypeVar("Server", bound=BaseServer)


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Answer requests in a thread of its own inside the block, and close the server behind it."""
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
