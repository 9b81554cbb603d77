"""What docs/producing.md shows for programs of coroutines works as it stands there."""

import asyncio
import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from producers import Producer
from producers.sender import Sender
from producers.shards import ShardMap
from producers.writer import Writer
from tests.simulation.payloads import walk
from tests.simulation.scripted_stream import ScriptedStream
from windrow.aws.stream import Answers, OutgoingRecord
from windrow.errors import WindrowError
from windrow.wire.json.strict import parse_reading

PAGE = (Path(__file__).parents[2] / "docs" / "producing.md").read_text()
NOON_MS = 1_795_176_000_000


class Gated(ScriptedStream):
    """A stream that takes nothing until somebody opens it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        assert self.gate.wait(30)
        return super().put_records(records)


class Sensor:
    """Gives a reading each time it is asked."""

    interval_seconds = 0.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.reads = 0

    @property
    def measured_at(self) -> int:
        """Epoch milliseconds."""
        return NOON_MS + self.reads

    async def read(self) -> float:
        """Degrees Celsius."""
        self.reads += 1
        return 20.0


def snippet() -> dict[str, Any]:
    """The names that the page's program defines."""
    [program] = re.findall(r"```python\n(import asyncio\n.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - our own page
    return names


@contextlib.contextmanager
def deaf_to_sigterm() -> Iterator[None]:
    """Let a SIGTERM that the program does not handle itself fail the test, and not end the tests."""

    def unhandled(_number: int, _frame: object) -> None:
        raise AssertionError("the program does not handle SIGTERM")

    before = signal.signal(signal.SIGTERM, unhandled)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("ends_by", ["cancel", "sigterm", "error"])
def test_the_program_of_coroutines_blocks_no_loop_and_sends_all(ends_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While `put` waits for room the loop runs on; at the end, however it ends, all is in the stream."""
    stream = Gated()
    made: list[Producer] = []

    def to_stream(_name: str, **_options: object) -> Producer:
        sender = Sender(Writer(stream, rate_limit=None), ShardMap(stream.shards))
        made.append(Producer(lambda: sender, linger_seconds=0.01, pending_readings_max=4))
        return made[-1]

    monkeypatch.setattr(Producer, "to_stream", to_stream)
    sensors = [Sensor("roof"), Sensor("cellar")]

    async def use() -> None:
        task = asyncio.create_task(snippet()["main"](sensors))
        beats = 0
        while beats < 50 or sum(sensor.reads for sensor in sensors) < 6:
            await asyncio.sleep(0.002)
            beats += 1
        stream.gate.set()
        while sum(sensor.reads for sensor in sensors) < 40:
            await asyncio.sleep(0.001)
        if ends_by == "cancel":
            task.cancel()
        elif ends_by == "sigterm":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            sensors[0].read = sensors[1].read = failing  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup if ends_by == "error" else asyncio.CancelledError):
            await task

    with deaf_to_sigterm():
        asyncio.run(asyncio.wait_for(use(), 30))
    [producer] = made
    with pytest.raises(WindrowError, match="the producer is closed"):
        producer.put("roof", 20)
    arrived = {
        (one.sensor_id, one.event_time_ms)
        for stored in stream.stored
        for one in map(parse_reading, walk(stored.record.body))
    }
    for sensor in sensors:  # the last one may have been read and not yet put
        times = [NOON_MS + number for number in range(1, sensor.reads)]
        assert {(sensor.name, time_ms) for time_ms in times} <= arrived


async def failing() -> float:
    raise RuntimeError("the sensor has gone")
