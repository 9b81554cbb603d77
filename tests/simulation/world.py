"""A whole stage in virtual time: gateways, stream, mappings, functions, buckets and schedule, with the product's own
code in every place where the product has code.

    Gateway ── Sender, Aggregator, Writer, KinesisStream ──> stream ──> Mapping ──> consumer  slices, plan, act, S3Store
                                                                               └──> fan-out   FanOut, LambdaInvoker
    Schedule ──> dispatcher  handler.run, S3Store           operator   replay, Redrive, KinesisStream

Only boto3 is replaced, by clients that answer as AWS is documented to, and the thread pools, by coroutines.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from random import Random
from types import ModuleType
from typing import Any, Self

import dispatcher.due
import dispatcher.patch
import dispatcher.rows
import dispatcher.tick
from dispatcher import handler as dispatcher_handler
from dispatcher.additions import Additions
from dispatcher.due import RECENT_WINDOWS
from dispatcher.handler import READERS, WORKERS
from dispatcher.observation import Buckets
from dispatcher.spill import Spill
from dispatcher.tick import Tick
from processors import batch as consumer_batch
from processors.batch import PUTS_PARALLEL_MAX, Consumer
from processors.chunk import encoded_records
from processors.consumer import SLICE_READINGS_MAX, BatchPlan, plan
from processors.fanout import FanOut
from processors.invoke import LambdaInvoker, batch_response
from processors.live_topic import LivePublisher
from processors.puts import Deadline, Puts
from processors.redrive import RedriveResult
from processors.replay import ReplayResult
from tests.simulation import operator
from tests.simulation.coroutines import CoroutinePool, lent, without_threads
from tests.simulation.faults import NONE, Chance, Rates
from tests.simulation.gateway import Gateway, Parcel
from tests.simulation.ledger import Ledger
from tests.simulation.monitor import Monitor
from tests.simulation.process import Process
from tests.simulation.producer_gateway import Habits, ProducerGateway
from tests.simulation.simulated_kinesis import StreamState
from tests.simulation.simulated_lambda import Function, SimulatedLambda
from tests.simulation.simulated_mapping import Mapping, Options
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.simulation.simulated_s3_client import SimulatedS3Client
from tests.simulation.simulated_schedule import OFFSET_MS, PERIOD_MS, Schedule
from tests.simulation.simulated_topic import SimulatedTopic
from tests.simulation.timeline import Timeline
from tests.simulation.virtual_time import Task, VirtualTime
from windrow.aws.functions import LambdaFunction
from windrow.lake.layout import PARTIALS, UNIONS, parse_partial_key, parse_union_key
from windrow.lake.s3 import S3Store
from windrow.lake.store import StoredObject
from windrow.lifetimes import Lifetimes
from windrow.rules.messages import Message
from windrow.rules.stored import store_rules
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS, Window

LAKE, RESULTS = "lake", "results"
START_MS = parse_rfc3339_ms("2026-11-20T10:00:00Z")
CONSUMER_TIMEOUT_MS = 120_000
FANOUT_TIMEOUT_MS = 180_000
DISPATCHER_TIMEOUT_MS = 240_000
SWEEP_TICKS = 288
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is deployed, and how the places around it are set."""

    shards: int = 2
    modes: tuple[str, ...] = ("direct",)
    """A mapping for each: "direct" to the consumer, "fanout" to the fan-out function."""
    options: Options = Options()  # noqa: RUF009 - frozen
    lateness_horizon_hours: int = 6
    stream_retention_hours: int = 24
    retention_ms: int = 0
    """How long the stream keeps records, where that is less than the stage believes; 0: as long as it believes."""
    records_per_second: int = 1_000
    bytes_per_second: int = 1_000_000
    page_keys: int = 1_000
    is_kms: bool = False
    consumer_skew_ms: int = 0
    """How far the functions' clocks may be ahead (negative: behind)."""
    skew_varies: bool = False
    """Whether each invocation's clock is somewhere between right and that."""
    target_bytes: int = 51_200
    fanout_chunk_bytes: int = 1_000
    slice_readings_max: int = SLICE_READINGS_MAX
    """Readings that a consumer takes on at once."""
    quarantine_row_ms: int = 0
    """How long the consumer takes for a row of quarantine, the dearest thing that a payload can come to; 0: no time."""
    recent_windows: int = RECENT_WINDOWS
    """How many of the last windows every tick looks at; with few, more depends on markers and on the sweep."""
    united_above_partials: int = 0
    """Windows of more partials have a united set; here all of them have, unless a scenario wants otherwise."""
    late_roll_minutes: int = 0
    """How often, at most, markers alone have an old window rolled again; 0: at every tick."""
    held_readings_max: int = 0
    """Readings that a dispatcher holds in memory, and with it rows objects only as files; 0: as in the product."""
    rules: str = ""
    """The text of the stage's rules; empty: it has none."""


class World:
    """One simulation. A context manager, because it lends the stages its coroutines while it lasts."""

    def __init__(self, seed: int, setup: Setup = Setup(), rates: Rates = NONE) -> None:
        self.setup = setup
        self.chance = Chance(Random(seed), rates)
        self.time = VirtualTime(self.chance.random, start_ms=START_MS)
        self.timeline = Timeline(self.time)
        self.ledger = Ledger()
        self.s3 = S3State(page_keys=setup.page_keys, is_kms=setup.is_kms)
        lake = SimulatedStore(self.s3.apply, LAKE)
        self.rules_digest = store_rules(lake, setup.rules.encode()) if setup.rules else ""
        self.monitor = Monitor(self.s3, results=RESULTS, lake=LAKE, log=self.timeline.add)
        self.stream = StreamState(
            shards=setup.shards,
            retention_ms=setup.retention_ms or setup.stream_retention_hours * 3_600_000,
            records_per_second=setup.records_per_second,
            bytes_per_second=setup.bytes_per_second,
        )
        self.lifetimes = Lifetimes.of_hours(
            lateness_horizon_hours=setup.lateness_horizon_hours,
            stream_retention_hours=setup.stream_retention_hours,
            late_roll_minutes=setup.late_roll_minutes,
        )
        self.s3.buckets[RESULTS] = dict(_idle_results(self.lifetimes))
        self.live_of: Callable[[Process], LivePublisher | None] = lambda _: None
        """What hands a consumer's newest values on; nothing unless a scenario wants it."""
        self.told: list[Message] = []
        """What the topics of the rules sent, to whoever is subscribed."""
        self.monitor.begin()
        self.s3_down_until_ms = 0
        self.expired: set[Window] = set()
        """The windows whose partials are gone for good, and of which only a united set is left."""
        self.replayed_ms = 0
        """When everything that the stream still had was replayed to the consumer, in calm; 0: never."""
        self.consumer = self._function("consumer", self._consume, CONSUMER_TIMEOUT_MS, 12)
        self.fanout = self._function("fanout", self._fan_out, FANOUT_TIMEOUT_MS, 6)
        self.dispatcher = self._function("dispatcher", self._dispatch, DISPATCHER_TIMEOUT_MS, 150)
        self.schedule = Schedule(self.dispatcher, time=self.time, chance=self.chance, log=self.timeline.add)
        self.mappings = [
            self._mapping(f"{mode}-{number}", self.consumer if mode == "direct" else self.fanout)
            for number, mode in enumerate(setup.modes)
        ]
        self.producer_gateways: list[ProducerGateway] = []
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        self._entered.enter_context(without_threads())
        self._entered.enter_context(lent(*self._bounds()))
        for mapping in self.mappings:
            mapping.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.time.close()
        self._entered.close()

    def _bounds(self) -> list[tuple[ModuleType, str, object]]:
        """Bounds on memory that only a large fleet would reach, brought down to where these few readings reach them.

        And a pure function that a tick asks for the same thing several times, remembered.
        """
        # Not beyond this world: a mutant of the function must not be hidden by what the sound one gave.
        within_reach = lru_cache(maxsize=4)(dispatcher.due.windows_within_reach)
        bounds: list[tuple[ModuleType, str, object]] = [
            (consumer_batch, "plan", self._plan),
            (dispatcher.due, "RECENT_WINDOWS", self.setup.recent_windows),
            (dispatcher.rows, "UNITED_ABOVE_PARTIALS", self.setup.united_above_partials),
            (dispatcher.due, "windows_within_reach", within_reach),
            (dispatcher.tick, "windows_within_reach", within_reach),
        ]
        if self.setup.held_readings_max:
            bounds += [
                (dispatcher.rows, "Spill", partial(Spill, held_max=self.setup.held_readings_max)),
                (dispatcher.rows, "IN_FLIGHT_MAX", 2),
                (dispatcher.rows, "ROWS_IN_MEMORY_BYTES_MAX", 1),
                (dispatcher.rows, "PART_IN_MEMORY_BYTES_MAX", 1),
                (dispatcher.rows, "PIECE_ROWS", 2),
                (dispatcher.patch, "ROLLED_PIECE_ROWS", 2),
                (dispatcher.patch, "Spill", partial(Spill, held_max=self.setup.held_readings_max)),
                (dispatcher.patch, "Additions", partial(Additions, held_max=self.setup.held_readings_max)),
            ]
        return bounds

    # ---- what tests do ---------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """The time."""
        return self.time.now_ms

    @property
    def horizon_ms(self) -> int:
        """How late a reading may be on arrival."""
        return self.setup.lateness_horizon_hours * 3_600_000

    def gateway(self, name: str = "gateway", *, knows_reshards: bool = True) -> Gateway:
        """A producer."""
        return Gateway(
            name,
            stream=self.stream,
            ledger=self.ledger,
            time=self.time,
            chance=self.chance,
            log=self.timeline.add,
            target_bytes=self.setup.target_bytes,
            knows_reshards=knows_reshards,
        )

    def producer_gateway(self, name: str, habits: Habits) -> ProducerGateway:
        """A gateway that uses the library."""
        gateway = ProducerGateway(
            name,
            stream=self.stream,
            ledger=self.ledger,
            time=self.time,
            chance=self.chance,
            log=self.timeline.add,
            habits=habits,
        )
        self.producer_gateways.append(gateway)
        return gateway

    def do(self, work: Callable[[], Any], *, limit_ms: int = 12 * 3_600_000) -> Any:
        """Let `work` run as a task of somebody's, and time with it, until it is done; what it returned."""
        task = self.begin(work)
        assert self.time.run(self.now_ms + limit_ms, is_over=lambda: task.is_done), "it takes too long"
        return task.value

    def begin(self, work: Callable[[], Any], name: str = "somebody") -> Task:
        """Begin `work` as a task; it goes on while time does."""
        return self.time.spawn(name, work, Process(self.time, name))

    def send(self, parcels: Sequence[Parcel], gateway: Gateway | None = None) -> bool:
        """Deliver, and wait until the producer has been told."""
        sender = gateway or self.gateway()
        return bool(self.do(lambda: sender.deliver(parcels)))

    def pass_ms(self, duration_ms: int) -> None:
        """Let time pass."""
        self.time.run(self.now_ms + duration_ms)

    def drain(self, *, limit_ms: int = 26 * 3_600_000) -> None:
        """Let time pass until every mapping is at the end of the stream and no function runs."""
        is_idle = self.time.run(self.now_ms + limit_ms, is_over=lambda: self._is_idle)
        assert is_idle, "the mappings do not reach the end of the stream"

    @property
    def _is_idle(self) -> bool:
        running = self.consumer.running + self.fanout.running + self.dispatcher.running
        return not running and all(mapping.is_drained for mapping in self.mappings)

    def tick(self, scheduled_ms: int | None = None) -> None:
        """The next scheduled tick, at its time, or one for `scheduled_ms` now; returns when it has run."""
        if scheduled_ms is None:
            scheduled_ms = self.schedule.next_ms(self.now_ms)
            self.pass_ms(scheduled_ms - self.now_ms)
        run = self.schedule.fire(scheduled_ms)
        assert self.time.run(self.now_ms + 2 * DISPATCHER_TIMEOUT_MS, is_over=lambda: run.is_done), "no tick ends"

    def replay(self, start_ms: int = 0, end_ms: int | None = None) -> ReplayResult:
        """`windrow replay`: the stream's records once more to the consumer."""
        replayed: ReplayResult = self.do(lambda: operator.replay_now(self, start_ms, end_ms))
        return replayed

    def redrive(self, *, of_quarantine: bool = False) -> RedriveResult:
        """`windrow redrive`: what was given up, and perhaps what is in quarantine, once more to the consumer."""
        redriven: RedriveResult = self.do(lambda: operator.redrive_now(self, of_quarantine=of_quarantine))
        return redriven

    def settle(self) -> None:
        """Everything calms down, and a day goes by."""
        self.settle_promptly()
        self.sweep()

    def settle_promptly(self) -> None:
        """Nothing fails any more, what was given up is redriven, and two ticks run."""
        self.chance.calm()
        self.s3_down_until_ms = 0
        for gateway in self.producer_gateways:
            gateway.fill_disk(None)
            gateway.outage.until_ms = 0
            self.do(gateway.finish)
        self.drain()
        if any(mapping.denied for mapping in self.mappings):
            self.replay()
            self.replayed_ms = self.now_ms
        self.redrive()
        self.drain()
        self.pass_ms(self.setup.late_roll_minutes * 60_000)
        self.tick()
        self.tick()

    def sweep(self) -> None:
        """A day of ticks, all missed but those whose share of the sweep has a window with partials.

        What a missed tick leaves, the next one finds.
        """
        for scheduled_ms in sorted({self._sweeping(window) for window in windows_with_partials(self.s3)}):
            self.pass_ms(scheduled_ms - self.now_ms)
            self.tick(scheduled_ms)
        self.pass_ms(HOUR_MS)  # a day's rows are merged at most once an hour
        self.tick()

    def _sweeping(self, window: Window) -> int:
        """The next tick whose share of the sweep has `window`."""
        scheduled_ms = self.schedule.next_ms(self.now_ms)
        ahead = (window.index - (scheduled_ms - OFFSET_MS) // WINDOW_MS) % SWEEP_TICKS
        return scheduled_ms + ahead * PERIOD_MS

    # ---- the functions: what their handlers do, with simulated clients -----------------------------------------------

    def _consume(self, process: Process, event: bytes) -> object:
        """`processors.batch.process_batch`, but for its report to log and metrics."""
        consumer = Consumer(
            lake=self.store(process, LAKE),
            horizon_ms=self.horizon_ms,
            puts=Puts(PUTS_PARALLEL_MAX),
            slice_readings_max=self.setup.slice_readings_max,
            live=self.live_of(process),
        )
        deadline = Deadline(process.remaining_ms)
        result = consumer.process(json.loads(event), deadline=deadline, now_ms=process.now_ms())
        consumer.hand_on(result, deadline=deadline)
        return batch_response(result.unprocessed)

    def _plan(self, *arguments: Any, **named: Any) -> BatchPlan:
        """`processors.consumer.plan`, and the time that it takes: now and then more than a function has."""
        if self.chance.happens("slow_slice"):
            self.time.sleep(1_000 * 3 ** self.chance.random.uniform(0, 5))
        planned = plan(*arguments, **named)
        if self.setup.quarantine_row_ms:
            self.time.sleep(self.setup.quarantine_row_ms * sum(planned.quarantined.values()))
        return planned

    def _fan_out(self, process: Process, event: bytes) -> object:
        """`processors.fanout_handler.handle`, but for its report."""
        fan_out = FanOut(
            invoker=LambdaInvoker(LambdaFunction(self.functions(process), self.consumer.name)),
            process_here=lambda chunk: self._consume(process, chunk),
            remaining_ms=process.remaining_ms,
            bytes_target=self.setup.fanout_chunk_bytes,
        )
        return batch_response(fan_out.run(encoded_records(json.loads(event))).lowest_failed)

    def _dispatch(self, process: Process, event: bytes) -> object:
        report = dispatcher_handler.run(
            json.loads(event),
            buckets=Buckets(lake=self.store(process, LAKE), results=self.store(process, RESULTS)),
            lifetimes=self.lifetimes,
            remaining_ms=process.remaining_ms,
            mapper=CoroutinePool(READERS).map,
            work_mapper=CoroutinePool(WORKERS).map,
            rules_digest=self.rules_digest,
            teller=SimulatedTopic(self.told, process, self.chance) if self.rules_digest else None,
        )
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.outcomes.items()))
        self.timeline.add("tick", "T", f"{process.name} for {json.loads(event)['time'][11:16]}: {outcomes}")
        self.monitor.reports.append(report)
        return report.to_fields()

    def store(self, process: Process, bucket: str) -> S3Store:
        """A bucket as `process` sees it: the product's own adapter over the simulated client."""
        client = SimulatedS3Client(self.s3, process, self.chance, is_down=lambda: self.now_ms < self.s3_down_until_ms)
        return S3Store(client, bucket, sleep=process.sleep_seconds)

    def functions(self, process: Process) -> SimulatedLambda:
        """The functions that others invoke, as `process` sees them."""
        return SimulatedLambda({self.consumer.name: self.consumer}, process, self.chance)

    def _function(
        self, name: str, handler: Callable[[Process, bytes], object], timeout_ms: int, requests_before_death: int
    ) -> Function:
        return Function(
            name,
            handler,
            time=self.time,
            chance=self.chance,
            log=self.timeline.add,
            timeout_ms=timeout_ms,
            skew_ms=self._skew_ms,
            requests_before_death=requests_before_death,
        )

    def _skew_ms(self) -> int:
        skew_ms = self.setup.consumer_skew_ms
        if not skew_ms or not self.setup.skew_varies:
            return skew_ms
        return self.chance.random.randint(min(0, skew_ms), max(0, skew_ms))

    def _mapping(self, name: str, function: Function) -> Mapping:
        return Mapping(
            name,
            self.setup.options,
            stream=self.stream,
            function=function,
            s3=self.s3,
            time=self.time,
            chance=self.chance,
            log=self.timeline.add,
        )


def windows_with_partials(s3: S3State) -> list[Window]:
    """The windows that have partials, or a united set that outlived them, ascending."""
    keys = list(s3.buckets.get(LAKE, {}))
    with_partials = {parse_partial_key(key).window for key in keys if key.startswith(PARTIALS)}
    return sorted(with_partials | {parse_union_key(key).window for key in keys if key.startswith(UNIONS)})


@cache
def _idle_results(lifetimes: Lifetimes) -> dict[str, StoredObject]:
    """What a stage that has been idle until now has in its results bucket: lineages of windows without readings."""
    s3 = S3State()
    buckets = Buckets(lake=SimulatedStore(s3.apply, LAKE), results=SimulatedStore(s3.apply, RESULTS))
    Tick(buckets=buckets, lifetimes=lifetimes, scheduled_time_ms=START_MS - PERIOD_MS + OFFSET_MS).run()
    return s3.buckets[RESULTS]
