"""Producers in the simulation: the real Sender, Aggregator and Writer over the simulated stream, and how they end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.writer import Writer
from tests.oracle import Fact
from tests.simulation.faults import Chance
from tests.simulation.ledger import Ledger
from tests.simulation.payloads import MAGIC, damaged
from tests.simulation.process import Fate, Process
from tests.simulation.simulated_kinesis import SimulatedKinesis, StreamState
from tests.simulation.simulated_lambda import Log
from tests.simulation.virtual_time import VirtualTime
from windrow.aws.clients import Place
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import OutgoingRecord
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.reading import Readings

PLACE = Place("simulated", "https://simulated", "eu-central-1")
RESTART_MS = 20_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """A payload and the partition key that it goes under, or a reading that is to go in a block."""

    key: str
    content: bytes | Fact


class Gateway:
    """One producer. What it has not been told accepted it sends again, in other records."""

    def __init__(
        self,
        name: str,
        *,
        stream: StreamState,
        ledger: Ledger,
        time: VirtualTime,
        chance: Chance,
        log: Log,
        target_bytes: int = 51_200,
        knows_reshards: bool = True,
    ) -> None:
        """Without `knows_reshards` it goes on with the shards there were when its process began."""
        self.name = name
        self.next_fate: Fate | None = None
        """What a test wants the next delivery's process to suffer."""
        self._stream = stream
        self._ledger = ledger
        self._time = time
        self._chance = chance
        self._log = log
        self._target_bytes = target_bytes
        self._knows_reshards = knows_reshards
        self._processes = 0
        self._process: Process | None = None
        self._sender: Sender | None = None

    def deliver(self, parcels: Sequence[Parcel], *, attempts_max: int = 20) -> bool:
        """Send until it is told that all is stored; False when it gave up, which leaves all of it ambiguous."""
        for _ in range(attempts_max):
            process = self._living()
            task = self._time.spawn(process.name, lambda: self._send(process, parcels), process)  # noqa: B023
            self._time.join(task)
            if task.value:
                return True
            if task.error is not None and not isinstance(task.error, WindrowError):
                raise task.error
            self._log("gateway", "k" if task.is_killed else "g", f"{process.name} {task.error or 'killed'}")
            self._time.sleep(self._chance.latency_ms(RESTART_MS))
        return False

    def _living(self) -> Process:
        """The process there is, or a new one that knows nothing of the one before."""
        fate, self.next_fate = self.next_fate or self._fate(), None
        if self._process is None or not self._process.is_alive:
            self._processes += 1
            self._process = Process(self._time, f"{self.name}.{self._processes}")
            self._sender = None
        if fate.dies_at:
            self._process.fate = replace(fate, dies_at=self._process.requests + fate.dies_at)
        return self._process

    def _send(self, process: Process, parcels: Sequence[Parcel]) -> bool:
        if self._sender is None:
            self._sender = self._new_sender(process)
        payloads = [parcel for parcel in parcels if isinstance(parcel.content, bytes)]
        keys = list(dict.fromkeys(parcel.key for parcel in payloads))
        places = np.array([keys.index(parcel.key) for parcel in payloads], np.int64)
        self._sender.send_payloads(Strings.of(keys), places, [parcel.content for parcel in payloads])  # type: ignore[misc]
        in_blocks = [parcel.content for parcel in parcels if not isinstance(parcel.content, bytes)]
        if in_blocks:
            self._sender.send(Readings.of(in_blocks))
        self._sender.flush()
        self._ledger.accepted.update(parcel.content for parcel in parcels)
        self._log("gateway", "P", f"{process.name} has put {len(parcels)} payloads")
        return True

    def _new_sender(self, process: Process) -> Sender:
        kinesis = SimulatedKinesis(self._stream, process, self._chance)
        stream = KinesisStream(kinesis, name=self._stream.name, place=PLACE, sleep=process.sleep_seconds)
        writer = Writer(stream, clock=process.seconds, sleep=process.sleep_seconds, uniform=self._chance.random.random)
        return Sender(
            writer,
            ShardMap(stream.list_shards()),
            wire=Wire.BLOCKS,
            target_bytes=self._target_bytes,
            list_shards=stream.list_shards if self._knows_reshards else None,
            clock=process.seconds,
            sleep=process.sleep_seconds,
            on_record=lambda record: made(record, self._ledger, self._chance),
        )

    def _fate(self) -> Fate:
        if not self._chance.happens("gateway_killed"):
            return Fate()
        draw = self._chance.random.randint
        return Fate(
            dies_at=draw(1, 4), dies_after=draw(0, 1) == 1, leaves_request=draw(0, 1) == 1, leftover_ms=draw(1, 120_000)
        )


def made(record: OutgoingRecord, ledger: Ledger, chance: Chance) -> Iterator[OutgoingRecord]:
    """A record on its way, which the ledger knows from here; now and then, damaged."""
    if record.body.startswith(MAGIC) and chance.happens("corrupted"):
        body, reason = damaged(record.body, at=chance.random.randrange(len(record.body)))
        record = replace(record, body=ledger.breaks(record.body, body, reason))
    ledger.made[record.body] += 1
    yield record
