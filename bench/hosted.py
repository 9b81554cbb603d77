"""The hosted stack under load, on the embedded stack: requests over the HTTP API, and sockets that hear live values.

WATCHERS sockets hear what changes, BATCH_VALUES values each BATCH_SECONDS, while requests come at REQUESTS_PER_SECOND
over CONNECTIONS connections, as they are due. The embedded stack is one process that starts another for each call of a
function that runs at the same time, on the cores of this machine: what is measured is mostly that, and not AWS.
`python -m bench.hosted 50` tries another rate.
"""

import asyncio
import http.client
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlencode, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request, TextMessage

from bench.load import ANSWERS, PATHS
from bench.measure import Finding
from infra import api_code, embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec
from tests.emulator.access_tokens import access_token
from windrow.aws.clients import client
from windrow.deployment import stack_name
from windrow.live.newest import NewestValue, item_of
from windrow.quantities import TEMPERATURE
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event

SECONDS = 60
WATCHERS = 200
OPENED_AT_ONCE = 8
BATCH_SECONDS = 2
"""How long Lambda collects changes; the embedded stack ignores that, so they come as batches."""
BATCH_VALUES = 20
REQUESTS_PER_SECOND = 50
"""What the embedded stack answers beside that; see docs/performance.md."""
CONNECTIONS = 4
SENSORS, SITES = 120, 10
GROWTH_MB_MAX = 256
ANSWER_SECONDS_MAX = 30.0
"""What an HTTP API waits for ("Quotas for HTTP APIs": maximum integration timeout)."""
DRAIN_SECONDS = 10.0
ANY_FREE_PORT = 0


@dataclass
class Heard:
    """What came of requests and changes: seconds each, what failed, and each socket's newest value of each sensor."""

    answers: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    newest: list[dict[str, int]] = field(default_factory=lambda: [{} for _ in range(WATCHERS)])


def hosted(rate: float = REQUESTS_PER_SECOND) -> Iterator[Finding]:
    """The times within which 95 of 100 are answered and heard; RuntimeError if one is not, or if memory grows."""
    with tempfile.TemporaryDirectory(prefix="windrow-bench-") as folder:
        home = Path(folder)
        server = embedded.up(home, port=ANY_FREE_PORT)
        try:
            stage = _deployed(home)
            found, memory_mb, cpu = asyncio.run(_measured(home, stage, server.process.pid, rate))
        finally:
            embedded.down(home)
    early_mb, halfway_mb, late_mb = memory_mb
    yield Finding(name="api.hosted.stack.cpu", ours=cpu[0], unit="CPU seconds of the stack itself")
    yield Finding(name="api.hosted.functions.cpu", ours=cpu[1], unit="CPU seconds of its functions")
    yield Finding(name="api.hosted.p95", ours=_p95_ms(found.answers), unit="ms")
    yield Finding(name="api.hosted.push.p95", ours=_p95_ms(found.delays), unit="ms")
    yield Finding(name="api.hosted.answers", ours=len(found.answers), unit="requests")
    yield Finding(name="api.hosted.heard", ours=len(found.delays), unit="values")
    yield Finding(name="api.hosted.memory", ours=late_mb, baseline=early_mb, unit="MB")
    yield Finding(name="api.hosted.growth", ours=late_mb - halfway_mb, at_most=GROWTH_MB_MAX, unit="MB")
    if found.errors:
        raise RuntimeError(f"{len(found.errors)} failed, such as {found.errors[:3]}")


def _p95_ms(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] * 1e3


def _deployed(home: Path) -> Stage:
    """A stage that pushes, with an hour of a fleet in it."""
    place = embedded.place(home)
    options = DeploymentOptions(shard_count=1, is_scheduled=False, parameters={"Web": "on", "Live": "push"})
    api = api_code.code_for(place, "bench", options, functions_wheels=None, home=home)
    stage = stacks.apply(plan_deployment(place, "bench", options, api=api), lambda _: None).stage
    end_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS
    fleet = FleetSpec(
        seed=3,
        sensors=SENSORS,
        sites=SITES,
        interval_ms=60_000,
        start_ms=end_ms - 12 * WINDOW_MS,
        end_ms=end_ms,
        faults=Faults(),
    )
    sent = simulate_fleet(fleet, stage, now_ms=time.time_ns() // 1_000_000)
    wait_until_drained(stage, sent.last_sequence_numbers)
    invoke_tick(stage, tick_event(end_ms + 120_000, is_dry_run=False))
    return stage


async def _measured(
    home: Path, stage: Stage, pid: int, rate: float
) -> tuple[Heard, tuple[float, float, float], tuple[float, float]]:
    """Return what came of it, the memory of all processes before, halfway and at its end, and their CPU seconds."""
    token, found = access_token(home, stage), Heard()
    url = f"http://{urlsplit(stage.socket_url).netloc}{_api_path(stage)}"
    await asyncio.to_thread(_ask_all, url, token, iter([(0.0, path) for path in dict.fromkeys(PATHS)]), Heard())
    places = asyncio.Semaphore(OPENED_AT_ONCE)
    watching = await asyncio.gather(*(_open(stage, token, places) for _ in range(WATCHERS)))
    listeners = [asyncio.create_task(_listen(*one, place, found)) for place, one in enumerate(watching)]
    early_mb, before, until = _resident_mb(pid), _cpu_seconds(pid), time.monotonic() + SECONDS
    due = _due(rate, until)
    asking = [asyncio.to_thread(_ask_all, url, token, due, found) for _ in range(CONNECTIONS)]
    sent: dict[str, int] = {}
    half = asyncio.create_task(_halfway(pid))
    await asyncio.gather(*asking, asyncio.to_thread(_change, stage, until, sent))
    await asyncio.sleep(DRAIN_SECONDS)
    late_mb = _resident_mb(pid)
    missed = [place for place, newest in enumerate(found.newest) if newest != sent]
    stack, functions = (late - early for late, early in zip(_cpu_seconds(pid), before, strict=True))
    found.errors += [f"socket {place} did not hear the last value of each sensor" for place in missed]
    for one in listeners:
        one.cancel()
    return found, (early_mb, await half, late_mb), (stack, functions)


async def _halfway(pid: int) -> float:
    await asyncio.sleep(SECONDS / 2)
    return _resident_mb(pid)


def _api_path(stage: Stage) -> str:
    """Where the HTTP API is on the embedded stack."""
    apis = client("apigatewayv2", stage.place).get_apis()["Items"]
    (found,) = (one["ApiId"] for one in apis if one["Name"] == stack_name(stage.name))
    return f"/_aws/execute-api/{found}/$default"


class _Due:
    """Requests and when they are due, handed out to several threads."""

    def __init__(self, wanted: Iterator[tuple[float, str]]) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[tuple[float, str]]:
        return self

    def __next__(self) -> tuple[float, str]:
        with self._lock:
            return next(self._wanted)


def _due(rate: float, until: float) -> Iterator[tuple[float, str]]:
    random = Random(1)  # noqa: S311 - not for secrets
    times = (until - SECONDS + number / rate for number in itertools.count())
    return _Due((due, random.choice(PATHS)) for due in itertools.takewhile(lambda due: due < until, times))


def _ask_all(url: str, token: str, due: Iterator[tuple[float, str]], found: Heard) -> None:
    """Ask for each path when it is due, or as soon as the one before is answered."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_SECONDS_MAX)
    for when, path in due:
        time.sleep(max(0.0, when - time.monotonic()))
        if time.monotonic() - when > ANSWER_SECONDS_MAX:
            found.errors.append(f"{path}: waited longer than an answer may take")
            continue
        query: dict[str, object] = {} if path in {"progress", "quantities"} else {"from": "-2h"}
        if path == "sensor":
            query["sensor"] = "site-00/sensor-000000"
        try:
            connection.request(
                "GET", f"{parts.path}/v1/{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {token}"}
            )
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            found.errors.append(f"{path}: {error!r}")
            continue
        found.answers.append(time.monotonic() - when)
        if status not in ANSWERS:
            found.errors.append(f"{path}: {status}")
    connection.close()


def _change(stage: Stage, until: float, sent: dict[str, int]) -> None:
    """Put newer values into the stage's table, as a batch; `sent` is the last of each sensor, in thousandths."""
    table, dynamodb = f"{stack_name(stage.name)}-latest", client("dynamodb", stage.place)
    numbers = itertools.count()
    for batch in itertools.count():
        when = until - SECONDS + batch * BATCH_SECONDS
        if when >= until:
            return
        time.sleep(max(0.0, when - time.monotonic()))
        now_ms = time.time_ns() // 1_000_000
        values = {
            f"site-{number % SITES:02}/sensor-{number % SENSORS:06}": number
            for number in itertools.islice(numbers, BATCH_VALUES)
        }
        items = [item_of(NewestValue(sensor, TEMPERATURE, now_ms, 0, milli)) for sensor, milli in values.items()]
        dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": one}} for one in items]})
        sent |= values


async def _open(
    stage: Stage, token: str, places: asyncio.Semaphore
) -> tuple[WSConnection, asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a socket; RuntimeError if it is refused."""
    parts = urlsplit(stage.socket_url)
    async with places:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        socket = WSConnection(ConnectionType.CLIENT)
        writer.write(socket.send(Request(host=parts.netloc, target=parts.path, subprotocols=["windrow-v1", token])))
        while True:
            octets = await reader.read(65_536)
            if not octets:
                raise RuntimeError("a socket was refused")
            socket.receive_data(octets)
            for event in socket.events():
                if isinstance(event, RejectConnection):
                    raise RuntimeError(f"a socket was refused: {event.status_code}")
                if isinstance(event, AcceptConnection):
                    return socket, reader, writer


async def _listen(
    socket: WSConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: int, found: Heard
) -> None:
    """Keep what comes on a socket until it ends, or this is cancelled."""
    parts: list[str] = []
    try:
        while octets := await reader.read(65_536):
            socket.receive_data(octets)
            now_ms = time.time_ns() / 1e6
            for event in socket.events():
                if not isinstance(event, TextMessage):
                    continue
                parts.append(event.data)
                if event.message_finished:
                    for one in json.loads("".join(parts)).get("values", ()):
                        found.delays.append((now_ms - one["event_time_ms"]) / 1e3)
                        found.newest[place][one["sensor_id"]] = one["value_milli"]
                    parts.clear()
        found.errors.append(f"socket {place} ended")
    finally:
        writer.close()


def _resident_mb(pid: int) -> float:
    """Return what a process and all that came of it have in memory now, by Linux's status of each."""
    return sum(map(_resident_kb, _processes(pid))) / 1024


def _resident_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _cpu_seconds(pid: int) -> tuple[float, float]:
    """Return what a process has taken so far, and what those that came of it have and still run."""
    own, *others = map(_ticks, _processes(pid))
    per_second = os.sysconf("SC_CLK_TCK")
    return own / per_second, sum(others) / per_second


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0
    return int(fields[11]) + int(fields[12])  # utime and stime (proc_pid_stat(5))


def _processes(pid: int) -> list[int]:
    """Return a process and all that came of it."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


BENCHES = {"api.hosted": hosted}

if __name__ == "__main__":
    for finding in hosted(float(sys.argv[1]) if sys.argv[1:] else REQUESTS_PER_SECOND):
        print(finding, flush=True)
