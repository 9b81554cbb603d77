"""A random simulation from a seed: every seed deploys otherwise, fails otherwise, and must end alike.

Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): a fault that is always on hides what only happens without it,
so each seed switches most of them off.
"""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from dispatcher.due import RECENT_WINDOWS
from processors.consumer import SLICE_READINGS_MAX
from producers.sender import Wire
from tests.oracle import Fact
from tests.simulation import operator
from tests.simulation.faults import Rates, swarm_rates
from tests.simulation.gateway import Gateway, Parcel
from tests.simulation.judged import excursion_faults_of, found_excursions, rules_text, told_faults_of
from tests.simulation.payloads import HOSTILE_IDS, malformed, plain, spelled
from tests.simulation.process import Fate
from tests.simulation.producer_gateway import Habits
from tests.simulation.simulated_mapping import Options
from tests.simulation.vandal import VANDALISM
from tests.simulation.verdict import faults_of, rows_faults_of
from tests.simulation.world import START_MS, Setup, World
from windrow.errors import WindrowError

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
WINDOW_MS = 300_000
QUANTITIES = ("humidity\x1f%", "humidity\x1f1", "pressure\x1fhPa")
EVENTS = ("split", "merge", "restart", "rewind", "replay", "redrive", "outage", "vandal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a seed does."""

    seed: int
    setup: Setup
    rates: Rates
    gateways: int
    sensors: int
    period_ms: int
    active_ms: int
    knows_reshards: bool
    habits: Habits | None
    """Of a gateway that uses the library, if there is one beside the others."""
    has_quantities: bool
    """Whether sensors measure more than temperatures."""
    blocks: float
    """The part of all readings that go in Arrow blocks."""
    events: tuple[tuple[int, str], ...]
    """When, after the beginning, and what."""


@dataclass(slots=True)
class Outcome:
    """How a seed ended. `faults` is empty when it ended as it must."""

    seed: int
    faults: list[str]
    world: World | None = None
    injected: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def command(self) -> str:
        """What replays it, step by step."""
        return f"python -m tests.simulation.replay --seed {self.seed}"


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(f"windrow {seed}")
    active_ms = random.randint(10, 20) * MINUTE_MS
    count = random.choice([0, 1, 2, 4])
    events = sorted((random.randint(MINUTE_MS, active_ms), random.choice(EVENTS)) for _ in range(count))
    setup, rates = _with_rules(seed, _setup(random), swarm_rates(random))
    return Plan(
        seed=seed,
        setup=setup,
        rates=rates,
        gateways=random.randint(1, 2),
        sensors=random.randint(1, 4),
        period_ms=random.choice([45, 90, 150]) * 1_000,
        active_ms=active_ms,
        knows_reshards=random.random() < 0.7,
        blocks=random.choice([0.0, 0.0, 0.3, 1.0]),
        events=tuple(events),
        habits=_habits(random),
        has_quantities=random.random() < 0.3,
    )


def _with_rules(seed: int, setup: Setup, rates: Rates) -> tuple[Setup, Rates]:
    """Of a third of all seeds: with rules, and with topics that fail now and then."""
    random = Random(f"rules {seed}")
    if random.random() < 2 / 3:
        return setup, rates
    refused, ack_lost = (random.choice([0.0, 0.5]) for _ in range(2))
    return (
        replace(setup, rules=rules_text(random)),
        replace(rates, message_refused=refused, message_ack_lost=ack_lost),
    )


def _setup(random: Random) -> Setup:
    skew_ms = random.choice([0, 0, 0, 2_000, -2_000, HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS, -365 * 24 * HOUR_MS])
    return Setup(
        shards=random.randint(1, 3),
        modes=random.choice([("direct",), ("direct",), ("fanout",), ("direct", "fanout"), ("direct", "direct")]),
        options=_options(random),
        lateness_horizon_hours=random.choice([1, 6, 6]),
        stream_retention_hours=24,
        retention_ms=random.choice([2 * MINUTE_MS, 5 * MINUTE_MS, *[0] * 10]),
        records_per_second=random.choice([1_000, 1_000, 2]),
        page_keys=random.choice([1_000, 1_000, 3]),
        is_kms=random.random() < 0.3,
        consumer_skew_ms=skew_ms,
        skew_varies=random.random() < 0.5,
        target_bytes=random.choice([250, 600, 51_200]),
        slice_readings_max=random.choice([1, 10, *[SLICE_READINGS_MAX] * 4]),
        recent_windows=random.choice([3, RECENT_WINDOWS, RECENT_WINDOWS, RECENT_WINDOWS]),
        held_readings_max=random.choice([1, 4, *[0] * 4]),
        late_roll_minutes=random.choice([0, 0, 10, 60]),
    )


def _habits(random: Random) -> Habits | None:
    if random.random() < 0.4:
        return None
    return Habits(
        wire=random.choice(list(Wire)),
        is_spooled=random.random() < 0.8,
        is_synced=random.random() < 0.4,
        in_batches=random.random() < 0.3,
        flushes=random.choice([0.1, 0.5, 0.9]),
        clocked=0.3,
        closes=random.choice([0.0, 0.1, 0.5]),
        spool_bytes_max=random.choice([1_000, 1 << 20, 1 << 20]),
        segment_bytes=random.choice([1, 300, 4 << 10]),
        for_kcl=random.random() < 0.3,
    )


def _options(random: Random) -> Options:
    return Options(
        batch_records_max=random.choice([1, 3, 10_000, 10_000]),
        window_ms=random.choice([0, 1_000, 20_000, 60_000]),
        parallelization_factor=random.choice([1, 1, 1, 10]),
        bisects=random.random() < 0.7,
        reports_items=True,
        retries_max=random.choice([0, 1, 3, -1]),
        age_ms_max=random.choice([10 * MINUTE_MS, 6 * HOUR_MS]),
        keeps_lineage=random.random() < 0.7,
    )


def run_seed(seed: int, *, keep_world: bool = False) -> Outcome:
    """Simulate; whatever is raised is a fault too."""
    plan = plan_of(seed)
    with World(seed, plan.setup, plan.rates) as world:
        try:
            _act(world, plan)
            faults = _ended(world, plan)
        except Exception as error:  # noqa: BLE001 - a simulation that breaks off is one that failed
            faults = [f"broke off: {type(error).__name__}: {error}", *traceback.format_exc().splitlines()[-6:-1]]
        return Outcome(
            seed,
            faults,
            world if keep_world else None,
            world.chance.injected,
            _counts(world, Counter(plan_counts(plan))),
        )


def _ended(world: World, plan: Plan) -> list[str]:
    """How it ends: soon after all has calmed down the rows are right, and a day later everything is at rest.

    Two things may wait for the sweep, and no promise says otherwise: what somebody destroyed by hand, and readings for
    an old window that came through a function whose clock was far behind.
    """
    is_prompt = plan.setup.consumer_skew_ms > -HOUR_MS and "vandal" not in {kind for _, kind in plan.events}
    world.settle_promptly()
    faults: list[str] = []
    if is_prompt:
        early = rows_faults_of(world) + (excursion_faults_of(world) if world.setup.rules else [])
        faults = [f"before the sweep: {fault}" for fault in early] + list(told_faults_of(world))
    world.sweep()
    return faults + faults_of(world) + (excursion_faults_of(world) if world.setup.rules else [])


def plan_counts(plan: Plan) -> Counter[str]:
    """The events of a plan, by kind."""
    return Counter(f"event: {kind}" for _, kind in plan.events)


def _counts(world: World, counts: Counter[str]) -> Counter[str]:
    functions = (world.consumer, world.fanout, world.dispatcher)
    counts["simulated ms"] = world.now_ms - START_MS
    counts["records"] = sum(1 for _ in world.stream.records)
    counts["invocations"] = sum(function.invocations for function in functions)
    counts["ticks"] = world.schedule.runs
    counts["given up"] = sum(mapping.discarded for mapping in world.mappings)
    counts["forgotten"] = sum(len(mapping.lost) for mapping in world.mappings)
    counts["revisions"] = world.monitor.revisions
    counts["excursions"] = len(found_excursions(world.s3))
    counts["messages about excursions"] = len(world.told)
    counts["steps"] = world.time.events
    return counts


def _act(world: World, plan: Plan) -> None:
    """The part of a simulation in which things go wrong."""
    tasks = [world.begin(lambda: world.schedule.run(START_MS + plan.active_ms), "schedule")]
    for number in range(plan.gateways):
        sender = _Sender(world, plan, number)
        tasks.append(world.begin(sender.run, sender.gateway.name))
    if plan.habits is not None:
        tasks.append(world.begin(partial(_use_library, world, plan, plan.habits), "library"))
    tasks += [world.begin(partial(_event, world, at_ms, kind), kind) for at_ms, kind in plan.events]
    limit_ms = world.now_ms + 24 * HOUR_MS
    assert world.time.run(limit_ms, is_over=lambda: all(task.is_done for task in tasks)), "the actors do not end"


def _use_library(world: World, plan: Plan, habits: Habits) -> None:
    """A gateway that uses the library puts readings once a period, and suffers what a machine in a field suffers."""
    gateway = world.producer_gateway("library", habits)
    random, happens = world.chance.random, world.chance.happens
    source = _Sender(world, plan, plan.gateways)
    while world.now_ms < START_MS + plan.active_ms:
        fate = Fate()
        if happens("gateway_killed"):
            fate = replace(fate, dies_at=random.randint(1, 60), dies_after=random.random() < 0.5)
        if happens("clock_jumped"):
            fate = replace(fate, skew_ms=random.choice([-START_MS, -HOUR_MS, HOUR_MS, 400 * 24 * HOUR_MS]))
        if happens("power_lost"):
            world.time.later(random.randint(1, plan.period_ms), gateway.lose_power)
        if happens("disk_damaged"):
            world.time.later(random.randint(1, plan.period_ms), gateway.damage)
        if happens("uplink_lost"):
            gateway.lose_uplink(random.randint(1_000, 10 * MINUTE_MS))
        gateway.fill_disk(random.randint(0, 300) if happens("disk_full") else None)
        gateway.next_fate = fate
        gateway.deliver(source.facts())
        world.time.sleep(plan.period_ms)


class _Sender:
    """A gateway and what it has to send."""

    def __init__(self, world: World, plan: Plan, number: int) -> None:
        self.gateway: Gateway = world.gateway(f"gateway-{number}", knows_reshards=plan.knows_reshards)
        self._world = world
        self._plan = plan
        self._number = number
        self._sent: list[Parcel] = []
        self._sensors = [f"site-{number}/sensor-{sensor}" for sensor in range(plan.sensors)]

    def run(self) -> None:
        """Deliver once a period; what the gateway gives up stays ambiguous."""
        until_ms = START_MS + self._plan.active_ms
        while self._world.now_ms < until_ms:
            self._world.time.sleep(self._plan.period_ms)
            self.gateway.deliver(self._parcels(), attempts_max=4)

    def facts(self) -> list[Fact]:
        """Sound readings, some of them with a neighbour of the same identity or instant."""
        return [fact for sensor in self._sensors for fact in self._facts_of(sensor)]

    def _parcels(self) -> list[Parcel]:
        happens, random = self._world.chance.happens, self._world.chance.random
        parcels = [parcel for sensor in self._sensors for parcel in self._of_sensor(sensor)]
        if self._sent and happens("resent"):
            parcels.append(random.choice(self._sent))
        if self._sent and happens("resent_elsewhere"):
            parcels.append(replace(random.choice(self._sent), key=f"elsewhere-{random.randrange(100)}"))
        random.shuffle(parcels)
        self._sent += parcels
        return parcels

    def _of_sensor(self, sensor: str) -> list[Parcel]:
        world = self._world
        facts = self._facts_of(sensor)
        if world.chance.happens("malformed"):
            return [Parcel(facts[0][0], world.ledger.knows(*malformed(facts[0], world.chance.random)))]
        return [self._parcel(fact) for fact in facts]

    def _facts_of(self, sensor: str) -> list[Fact]:
        happens, random = self._world.chance.happens, self._world.chance.random
        if happens("hostile_id"):
            sensor = random.choice(HOSTILE_IDS)
        fact = (sensor, self._event_time_ms(), random.choice([0, 0, 0, 1, 2**63 - 1]), random.randint(-40_000, 60_000))
        facts = [fact]
        if happens("conflicting"):
            facts.append((*fact[:3], random.randint(-40_000, 60_000)))
        if happens("same_instant"):
            facts.append((*fact[:2], fact[2] ^ 2, fact[3]))
        if self._plan.has_quantities:
            # Under the same times and sequences, some of them with the same values.
            facts += [(f"{sensor}\x1f{random.choice(QUANTITIES)}", *one[1:]) for one in facts]
        return facts

    def _parcel(self, fact: Fact) -> Parcel:
        random = self._world.chance.random
        if random.random() < self._plan.blocks:
            return Parcel(fact[0], fact)
        payload = spelled(fact, random) if random.random() < 0.2 else plain(fact)
        return Parcel(fact[0], self._world.ledger.knows(payload, fact))

    def _event_time_ms(self) -> int:
        happens, random, now_ms = self._world.chance.happens, self._world.chance.random, self._world.now_ms
        time_ms = now_ms - random.randint(0, self._plan.period_ms)
        if happens("late"):
            horizon_ms = self._world.horizon_ms
            time_ms -= random.choice(
                [1_000, 3 * MINUTE_MS, 20 * MINUTE_MS, horizon_ms // 2, horizon_ms, horizon_ms + HOUR_MS]
            )
        elif happens("early"):
            time_ms += random.choice([4 * MINUTE_MS, 5 * MINUTE_MS, 6 * MINUTE_MS, 365 * 24 * HOUR_MS])
        if happens("on_edge"):
            time_ms += random.choice([-1, 0, 1]) - time_ms % WINDOW_MS
        return time_ms


def _event(world: World, at_ms: int, kind: str) -> None:
    world.time.sleep(at_ms)
    try:
        _DOING[kind](world)
    except WindrowError as error:  # an operator's command that S3 or the stream refuses
        world.timeline.add("operator", "x", f"{kind}: {error}")


def _split(world: World) -> None:
    shard = world.chance.pick(world.stream.open_shards)
    if shard.last_hash_key - shard.first_hash_key < 1_000:
        return
    at = world.chance.random.randint(shard.first_hash_key + 1, shard.last_hash_key)
    world.timeline.add("stream", "S", f"{shard.shard_id} into {world.stream.split(shard.shard_id, at_hash_key=at)}")


def _merge(world: World) -> None:
    shards = world.stream.open_shards
    if len(shards) < 2:
        return
    place = world.chance.random.randrange(len(shards) - 1)
    first, second = shards[place], shards[place + 1]
    merged = world.stream.merge(first.shard_id, second.shard_id)
    world.timeline.add("stream", "M", f"{first.shard_id} and {second.shard_id} into {merged}")


def _restart(world: World, *, from_horizon: bool = False) -> None:
    mapping = world.chance.pick(world.mappings)
    options = _options(world.chance.random)
    back = world.chance.random.choice([0, 1, 3])
    mapping.restart(options, checkpoints_back=back, from_horizon=from_horizon)
    world.timeline.add("mapping", "~", f"{mapping.name} restarted, {'from the horizon' if from_horizon else back} back")


def _outage(world: World) -> None:
    lasts_ms = world.chance.pick([MINUTE_MS, 10 * MINUTE_MS, HOUR_MS])
    world.s3_down_until_ms = world.now_ms + lasts_ms
    world.timeline.add("fault", "O", f"S3 is down for {lasts_ms // MINUTE_MS} min")


def _replay(world: World) -> None:
    operator.replay_now(world)


_DOING: dict[str, Callable[[World], object]] = {
    "split": _split,
    "merge": _merge,
    "restart": _restart,
    "rewind": lambda world: _restart(world, from_horizon=True),
    "replay": _replay,
    "redrive": lambda world: operator.redrive_now(world, of_quarantine=world.chance.random.random() < 0.5),
    "outage": _outage,
    "vandal": lambda world: world.chance.pick(VANDALISM)(world),
}
