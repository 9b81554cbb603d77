"""A gateway in the simulation that uses `Producer`, the library for gateways, with its spool on a simulated disk.

    life 1 ── put put flush put ╳ killed, or out of power      the disk stays, less what it had not written yet
    life 2 ── (sends the spool) put put flush ...

It keeps books of what it was promised, and writes into the ledger what therefore must be in the stream at the end:

- `flush` has returned True: all that this life has put before, and in the stream at this very moment;
- `put` has returned with a spool: the reading, for as long as the frame that was appended for it is whole on the disk;
- `put` has raised: nothing.

What a loss of power or damage takes from the disk is not a promise broken: it is looked up in the disk's own octets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from producers.courier import Transport
from producers.producer import Producer
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.spool import Spool
from producers.writer import Writer
from tests.oracle import Fact
from tests.simulation.faults import Chance
from tests.simulation.gateway import PLACE, RESTART_MS, made
from tests.simulation.gateway_machine import Outage, ProcessDisk, Uplink
from tests.simulation.kcl_reader import seen_by_kcl
from tests.simulation.ledger import Ledger
from tests.simulation.payloads import plain
from tests.simulation.process import Fate, Process
from tests.simulation.simulated_disk import SimulatedFolder
from tests.simulation.simulated_kinesis import SimulatedKinesis, StreamState
from tests.simulation.simulated_lambda import Log
from tests.simulation.virtual_time import VirtualTime, current_task
from windrow.aws.kinesis import KinesisStream
from windrow.errors import WindrowError
from windrow.reading import BadReading, Reading, Readings

FLUSHES_MAX = 100
"""In calm so many flushes are enough for any backlog."""
NEVER_A_READING: tuple[dict[str, Any], ...] = (
    {"event_time": 2**70},
    {"event_time": 10**20},
    {"event_time": 1_795_176_000_000_000_000},
    {"event_time": -5},
    {"event_time": 1.5},
    {"event_time": "now"},
    {"sensor_id": "a\x85"},
    {"sensor_id": b"a"},
    {"sensor_id": ""},
    {"sensor_id": "\ud800"},
    {"value": "20"},
    {"value": Decimal("1E+30000000")},
    {"value": float("nan")},
    {"value": None},
    {"sequence": -1},
    {"sequence": 2.9},
    {"sequence": 2**63},
    {"sequence": True},
)
"""Arguments of `put`, each of which makes a sound call a bad one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a gateway uses the library."""

    wire: Wire = Wire.JSON
    is_spooled: bool = True
    is_synced: bool = False
    in_batches: bool = False
    """Whether readings are put together, as columns."""
    flushes: float = 0.5
    """How often it flushes after it has put."""
    clocked: float = 0.0
    """How often it puts a reading that has its time from the clock."""
    closes: float = 0.1
    """How often it closes the producer and makes another one."""
    spool_bytes_max: int = 1 << 20
    segment_bytes: int = 4 << 10
    for_kcl: bool = False


class ProducerGateway:
    """One gateway, with a life after each end of its process."""

    def __init__(
        self,
        name: str,
        *,
        stream: StreamState,
        ledger: Ledger,
        time: VirtualTime,
        chance: Chance,
        log: Log,
        habits: Habits,
    ) -> None:
        """Nothing runs yet."""
        self.name = name
        self.folder = SimulatedFolder()
        self.faults: list[str] = []
        """What the library did that it must not."""
        self.next_fate: Fate | None = None
        """What a test wants the next life to suffer."""
        self.outage = Outage()
        self._stream = stream
        self._ledger = ledger
        self._time = time
        self._chance = chance
        self._log = log
        self._habits = habits
        self._lives = 0
        self._process: Process | None = None
        self._producer: Producer | None = None
        self._put: list[Fact] = []
        """What this life has put, and no flush has confirmed."""
        self._promised: dict[Fact, bytes] = {}
        """What some life has put into the spool, with the octets that its disk took for it."""
        self._disk: ProcessDisk | None = None

    # ---- what tests do -----------------------------------------------------------------------------------------------

    def deliver(self, facts: Sequence[Fact]) -> None:
        """Put these, and perhaps flush, in the process there is or in a new one; it may be killed meanwhile."""
        process = self._living()
        if self._run(process, lambda: self._ready_producer(process)):
            half = len(facts) // 2  # two threads put and flush beside each other
            self._run(process, lambda: self._use(process, facts[:half]), lambda: self._use(process, facts[half:]))

    def finish(self) -> None:
        """In calm, send whatever there is; afterwards every promise must be kept."""
        for _ in range(FLUSHES_MAX):
            process = self._living()
            self._run(process, self._finish)
            if self._producer is None:
                break
        else:
            self.faults.append(f"{self.name}: after {FLUSHES_MAX} flushes in calm not everything is sent")
        self._ledger.accepted.update(self._promised)

    @property
    def promised(self) -> dict[Fact, bytes]:
        """What some life has put into the spool and no flush has confirmed, with the octets that the disk took."""
        return self._promised

    def stop(self) -> None:
        """Kill the process."""
        self._end_life()

    def lose_power(self) -> None:
        """End the process, and take from the disk what it had not written."""
        self._log("gateway", "z", f"{self.name} is out of power")
        self._end_life()
        self._while_the_disk_loses(lambda: self.folder.lose_power(self._chance.random))

    def damage(self) -> bool:
        """Change an octet of a file of the spool; False if there is none."""
        names = sorted(name for name, file in self.folder.names.items() if file.octets)
        if not names:
            return False
        name = self._chance.pick(names)
        at = self._chance.random.randrange(len(self.folder.names[name].octets))
        mask = self._chance.random.randint(1, 255)
        self._while_the_disk_loses(lambda: self.folder.flip(name, at, mask))
        self._log("gateway", "d", f"{self.name}: octet {at} of {name} is damaged")
        return True

    def lose_uplink(self, lasts_ms: int, way: str = "") -> None:
        """Let nothing come through for a while; in a way by chance when none is named."""
        self.outage.way = way or self._chance.pick(Uplink.WAYS)
        self.outage.until_ms = self._time.now_ms + lasts_ms
        self._log("gateway", "u", f"{self.name} is cut off for {lasts_ms // 1_000} s: {self.outage.way}")

    def fill_disk(self, room_bytes: int | None) -> None:
        """Let the disk have room for so much more, or for anything."""
        used_bytes = sum(len(file.octets) for file in self.folder.names.values())
        self.folder.capacity_bytes = None if room_bytes is None else used_bytes + room_bytes

    # ---- the life of a process ---------------------------------------------------------------------------------------

    def _living(self) -> Process:
        fate, self.next_fate = self.next_fate or Fate(), None
        if self._process is None or not self._process.is_alive:
            self._end_life()
            self._lives += 1
            self._process = Process(self._time, f"{self.name}.{self._lives}", fate=Fate())
        skew_ms = fate.skew_ms or self._process.fate.skew_ms
        dies_at = self._process.requests + fate.dies_at if fate.dies_at else 0
        self._process.fate = replace(fate, dies_at=dies_at, skew_ms=skew_ms)
        return self._process

    def _end_life(self) -> None:
        if self._process is not None and self._process.is_alive:
            self._process.die()
        if self._disk is not None and self._disk.is_holder_of(self.folder):
            self.folder.kill()
        self._process = self._producer = self._disk = None
        self._put.clear()

    def _run(self, process: Process, *threads: Callable[[], object]) -> bool:
        """Let the process do this, in so many threads; whether it is alive afterwards."""
        tasks = [self._time.spawn(process.name, thread, process) for thread in threads]
        for task in tasks:
            self._time.join(task)
        if not process.is_alive:
            self._log("gateway", "k", f"{process.name} is killed")
            self._end_life()
            self._time.sleep(self._chance.latency_ms(RESTART_MS))
            return False
        errors = [task.error for task in tasks if task.error is not None]
        self.faults += [f"{process.name}: {type(error).__name__}: {error}" for error in errors]
        return True

    def _use(self, process: Process, facts: Sequence[Fact]) -> None:
        random, producer = self._chance.random, self._producer
        if producer is None:
            return
        if self._chance.happens("bad_put"):
            self._put_badly(producer)
        if self._habits.in_batches:
            self._try_to_put(process, facts, lambda: producer.put_readings(Readings.of(Reading(*one) for one in facts)))
        else:
            for fact in facts:
                self._try_to_put(process, [fact], lambda: _put(producer, fact))  # noqa: B023 - called at once
        if random.random() < self._habits.clocked:
            fact = (f"{self.name}/clocked", process.now_ms(), 0, random.randint(-40_000, 60_000))
            self._try_to_put(process, [fact], lambda: producer.put(fact[0], Decimal(fact[3]) / 1000))
        if random.random() < self._habits.flushes:
            self._flush(producer)
        if random.random() < self._habits.closes:
            self._close(producer)

    def _finish(self) -> None:
        assert self._process is not None
        producer = self._ready_producer(self._process)
        if producer is not None and (self._flush(producer) or (producer.counters.damaged and not producer.is_away)):
            self._close(producer)

    def _ready_producer(self, process: Process) -> Producer | None:
        """The producer there is, or a new one; None if its spool or its stream is out of reach."""
        if self._producer is None:
            try:
                self._producer = Producer(
                    lambda: self._new_sender(process),
                    spool=self._new_spool(process) if self._habits.is_spooled else None,
                    linger_seconds=5.0,
                    contacts_stream=self._chance.random.random() < 0.5,
                )
            except (OSError, WindrowError) as error:  # the folder cannot be made, or the stream is denied at once
                self._log("gateway", "x", f"{process.name} has no spool: {error}")
        return self._producer

    def _new_spool(self, process: Process) -> Spool:
        self._disk = ProcessDisk(self.folder.disk(), process)
        return Spool(
            self._disk,  # type: ignore[arg-type]  # whatever else it is asked for, it passes on
            bytes_max=self._habits.spool_bytes_max,
            segment_bytes=self._habits.segment_bytes,
            is_synced=self._habits.is_synced,
        )

    def _new_sender(self, process: Process) -> Transport:
        kinesis = Uplink(SimulatedKinesis(self._stream, process, self._chance), process, self.outage)
        stream = KinesisStream(kinesis, name=self._stream.name, place=PLACE, sleep=process.sleep_seconds)
        writer = Writer(stream, clock=process.seconds, sleep=process.sleep_seconds, uniform=self._chance.random.random)
        return Sender(
            writer,
            ShardMap(stream.list_shards()),
            wire=self._habits.wire,
            list_shards=stream.list_shards,
            resends_strays=self._habits.for_kcl,
            clock=process.seconds,
            sleep=process.sleep_seconds,
            on_record=lambda record: made(record, self._ledger, self._chance),
        )

    # ---- calls of the library, and what they promise -----------------------------------------------------------------

    def _try_to_put(self, process: Process, facts: Sequence[Fact], put: Callable[[], None]) -> None:
        if not facts:
            return
        for fact in facts:
            self._ledger.knows(plain(fact), fact)
        disk = self._disk
        if disk is not None:
            disk.appended.pop(current_task(), None)
        try:
            put()
        except (
            WindrowError,
            BadReading,
        ) as error:  # what is never to be refused is asserted elsewhere: its clock is wrong
            self._log("gateway", "r", f"{process.name} does not take {len(facts)} readings: {error}")
            return
        self._put += facts
        if disk is not None and current_task() not in disk.appended:
            self.faults.append(f"{process.name}: put has returned, and nothing is on the disk")
        elif disk is not None:
            self._promised.update(dict.fromkeys(facts, disk.appended[current_task()]))

    def _put_badly(self, producer: Producer) -> None:
        """A call that could not count is refused by BadReading, and leaves nothing behind."""
        sound = {"sensor_id": "never", "value": 20, "event_time": self._time.now_ms, "sequence": 0}
        bad = sound | self._chance.pick(NEVER_A_READING)
        try:
            producer.put(**bad)
        except (BadReading, WindrowError):
            return
        self.faults.append(f"{self.name}: put({bad!r}) was taken")

    def _flush(self, producer: Producer) -> bool:
        asked = {*self._put, *self._promised}
        try:
            is_complete = producer.flush()
        except WindrowError as error:
            self._failed("flushed", error)
            return False
        if is_complete:
            self._confirmed(asked)
            if producer.counters.damaged:
                self.faults.append(f"{self.name}: flush is True, though something of the spool could not be read")
        elif self._disk is None:
            self.faults.append(f"{self.name}: flush is False without a spool, where it must raise")
        return is_complete

    def _close(self, producer: Producer) -> None:
        asked = set(self._put)
        is_clean = False
        try:
            producer.close()
            is_clean = True
        except WindrowError as error:
            self._failed("closed", error)
        if is_clean and not self._habits.is_spooled:
            self._confirmed(asked)
        self._put.clear()
        self._producer = None

    def _failed(self, called: str, error: WindrowError) -> None:
        self._log("gateway", "g", f"{self.name} has {called} in vain: {error}")
        if "ended by an error" in str(error) and not self.faults:
            self.faults.append(f"{self.name}: {error}")

    def _confirmed(self, facts: set[Fact]) -> None:
        """All of these were put, or left in the spool, before a flush that said True: they are in the stream by now."""
        missing = self._missing_of(facts)
        self.faults += [f"{self.name}: flush is True, and the stream does not have {fact}" for fact in missing[:3]]
        self._ledger.accepted.update(facts)
        self._promised = {fact: octets for fact, octets in self._promised.items() if fact not in facts}
        self._put = [fact for fact in self._put if fact not in facts]
        self._log("gateway", "P", f"{self.name} has flushed {len(facts)} readings")

    def _missing_of(self, facts: set[Fact]) -> list[Any]:
        """What of these readings has not arrived."""
        seen = seen_by_kcl(self._stream) if self._habits.for_kcl else self._stream.records
        return self._ledger.missing_of(facts, seen)

    def _while_the_disk_loses(self, something: Callable[[], object]) -> None:
        """Nothing is promised any more of what was whole on the disk before and is not afterwards."""
        before = self._whole_on_disk()
        something()
        for fact in before - self._whole_on_disk():
            del self._promised[fact]

    def _whole_on_disk(self) -> set[Fact]:
        held = [bytes(file.octets) for file in self.folder.names.values()]
        return {fact for fact, octets in self._promised.items() if any(octets in content for content in held)}


def _put(producer: Producer, fact: Fact) -> None:
    series, time_ms, sequence, milli = fact
    sensor_id, *quantity = series.split("\x1f")
    measured = {"quantity": quantity[0], "unit": quantity[1]} if quantity else {}
    producer.put(sensor_id, Decimal(milli) / 1000, event_time=time_ms, sequence=sequence, **measured)


def gateway_faults(gateways: Sequence[ProducerGateway]) -> list[str]:
    """What the library did in any of them that it must not."""
    return [fault for gateway in gateways for fault in gateway.faults]
