"""The local server under load: who watches live values, and who asks everything else, for a minute.

200 clients ask for live values every ten seconds, as the page does, and know what they got last. Beside them 50
requests come each second, over all paths that a viewer may ask, whether the last ones are answered or not. The server
is a process of its own over 10,000 sensors: two hours of rows, and an open window that gets a new partial every 20
seconds. Times are from when a request was due to the last octet of its answer.
"""

import asyncio
import itertools
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlencode

from analytics.cache import ObjectCache
from analytics.dashboard import Dashboard
from analytics.local import LocalEngine
from analytics.open_windows import LOOK_MS_MIN, OpenWindows
from analytics.web import application
from bench.api import BATCHES, LIVE_SENSORS, deliver
from bench.dashboard import END_MS, WINDOWS, Memory, _objects
from bench.measure import Finding
from windrow.aws.clients import EMBEDDED, Place
from windrow.columns.strings import Strings
from windrow.window import Window
from windrow_cli.dashboard import HOST, listening, server_of

SECONDS = 60
WATCHERS = 200
WATCH_SECONDS = 10.0
REQUESTS_PER_SECOND = 50
CONNECTIONS = 32
"""Over which those requests come; one more is opened when all wait."""
BATCH_SECONDS = 20.0
HOURS_WINDOWS = 24
"""Windows of rows: two hours, which the page shows unless it is told otherwise."""
GROWTH_MB_MAX = 64
PATHS = (
    *("overview", "sensors", "excursions", "progress") * 3,  # what the page asks at each refresh
    *("fleet", "windows", "silences", "movers", "latest", "sensor", "quantities"),
)
SENSORS_LOOKED_AT = 20
ANSWERS = frozenset({200, 304})


@dataclass
class Answers:
    """What came of the requests: seconds of each path, and what was no answer."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def add(self, path: str, due: float, status: int) -> None:
        """Count an answer that is here now."""
        self.seconds.setdefault(path, []).append(time.monotonic() - due)
        if status not in ANSWERS:
            self.errors.append(f"{path}: {status}")


class Connection:
    """One kept connection to the server; it asks one thing after the other."""

    def __init__(self, port: int) -> None:
        """Connect at the first request."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, target: str, known: str = "") -> tuple[int, str]:
        """Return the status and the tag of an answer, which is read to its end.

        A server closes connections that are idle for some seconds; then it is asked by a new one, as by a browser.
        """
        if self._streams is not None:
            try:
                return await self._exchange(*self._streams, target, known)
            except (asyncio.IncompleteReadError, ConnectionError):
                self._streams[1].close()
        self._streams = await asyncio.open_connection(HOST, self._port)
        return await self._exchange(*self._streams, target, known)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, known: str
    ) -> tuple[int, str]:
        tag = f"If-None-Match: {known}\r\n" if known else ""
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{tag}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        await reader.readexactly(int(fields.get("content-length", 0)))
        return int(head[0].split()[1]), fields.get("etag", "")


def load() -> Iterator[Finding]:
    """The times within which 95 of 100 are answered; RuntimeError if one was not, or if memory grows."""
    with _serving() as (port, server):
        asyncio.run(_warm(port))
        early_mb = _resident_mb(server)
        answers, halfway_mb = asyncio.run(_asked(port, server))
        late_mb = _resident_mb(server)
    if answers.errors:
        raise RuntimeError(f"{len(answers.errors)} requests failed, such as {answers.errors[:3]}")
    others = list(itertools.chain.from_iterable(own for path, own in answers.seconds.items() if path != "live"))
    yield Finding(name="api.load.live.p95", ours=_p95_ms(answers.seconds["live"]), unit="ms")
    yield Finding(name="api.load.p95", ours=_p95_ms(others), unit="ms")
    yield Finding(name="api.load.answers", ours=sum(map(len, answers.seconds.values())), unit="requests")
    yield Finding(name="api.load.memory", ours=late_mb, baseline=early_mb, unit="MB")
    yield Finding(name="api.load.growth", ours=late_mb - halfway_mb, at_most=GROWTH_MB_MAX, unit="MB")


def _p95_ms(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] * 1e3


async def _warm(port: int) -> None:
    """Ask everything once: what is measured is a server that has read its rows."""
    connection, random = Connection(port), Random(0)  # noqa: S311 - not for secrets
    for path in dict.fromkeys(("live", *PATHS)):
        status, _ = await connection.get(_target(path, random))
        assert status in ANSWERS, (path, status)


async def _asked(port: int, server: "subprocess.Popen[str]") -> tuple[Answers, float]:
    """Return all answers, and the server's memory after half of the time."""
    answers, until = Answers(), time.monotonic() + SECONDS
    watchers = [_watch(port, until, number, answers) for number in range(WATCHERS)]
    sampled: list[float] = []

    async def sample() -> None:
        await asyncio.sleep(SECONDS / 2)
        sampled.append(_resident_mb(server))

    await asyncio.gather(*watchers, _ask(port, until, answers), sample())
    return answers, sampled[0]


async def _watch(port: int, until: float, number: int, answers: Answers) -> None:
    """Ask for live values every WATCH_SECONDS, each watcher at moments of its own."""
    connection, known = Connection(port), ""
    due = until - SECONDS + WATCH_SECONDS * number / WATCHERS
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        status, known = await connection.get("/v1/live?per_page=1", known)
        answers.add("live", due, status)
        due += WATCH_SECONDS


async def _ask(port: int, until: float, answers: Answers) -> None:
    """Ask REQUESTS_PER_SECOND, each when it is due, by a connection that waits for nothing."""
    random, idle = Random(1), [Connection(port) for _ in range(CONNECTIONS)]  # noqa: S311 - not for secrets

    async def one(due: float) -> None:
        connection = idle.pop() if idle else Connection(port)
        path = random.choice(PATHS)
        status, _ = await connection.get(_target(path, random))
        answers.add(path, due, status)
        idle.append(connection)

    async with asyncio.TaskGroup() as group:
        for number in range(SECONDS * REQUESTS_PER_SECOND):
            due = until - SECONDS + number / REQUESTS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(one(due))


def _target(path: str, random: Random) -> str:
    if path in {"progress", "quantities"}:
        return f"/v1/{path}"
    query: dict[str, object] = {} if path == "live" else {"from": "-2h"}
    if path == "sensor":
        number = random.randrange(SENSORS_LOOKED_AT)
        query["sensor"] = f"site-{number % 10:02}/sensor-{number:06}"
    if path in {"sensors", "latest"}:
        query |= {"page": random.randrange(400), "search": random.choice(["", "site-03/"])}
    return f"/v1/{path}?{urlencode(query)}"


def _resident_mb(server: "subprocess.Popen[str]") -> float:
    """Return what the server has in memory now, by Linux's status of the process."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


@contextmanager
def _serving() -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run the server in a process of its own; yield its port."""
    command = [sys.executable, "-m", "bench.load"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own interpreter
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline()), server
    finally:
        server.terminate()
        server.wait(timeout=30)


def serve() -> None:
    """Print the port, and serve until somebody ends it."""
    rows = range(WINDOWS - HOURS_WINDOWS, WINDOWS)
    memory = Memory(dict(itertools.chain.from_iterable(map(_objects, rows))))
    lake, window = Memory({}), Window.containing(END_MS)
    series = Strings.of([f"site-{n % 10:02}/sensor-{n:06}" for n in range(LIVE_SENSORS)])
    deliver(lake, window, series, 0)
    began = time.monotonic()

    def delivering() -> None:
        for batch in range(1, BATCHES):
            time.sleep(BATCH_SECONDS)
            deliver(lake, window, series, batch)

    threading.Thread(target=delivering, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, listening(None) as listener:
        made = Dashboard(
            engine=LocalEngine(lake=lake, results=memory, cache=ObjectCache(Path(folder))),
            results=memory,
            stage="bench",
            clock_ms=lambda: END_MS + round((time.monotonic() - began) * 1e3),
            open_windows=OpenWindows(lake=lake, results=memory, look_ms_min=LOOK_MS_MIN),
        )
        print(listener.getsockname()[1], flush=True)
        server_of(application(made, Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1"))).run(sockets=[listener])


BENCHES = {"api.load": load}

if __name__ == "__main__":
    serve()
