"""A swarm of busy stages: live traffic, a backlog that waits, readings for old windows, history that is put into the
lake, gateways that send what does not count, and S3 that is slow or refuses.

Its verdict adds one thing to that of the other swarm, freshness: a window whose readings were there at its first tick
is rolled by one of the first two ticks that run to their end, always. What else keeps a stage busy is one more entry of
TROUBLES.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from dispatcher.due import ON_TIME_TICKS
from dispatcher.report import TickReport
from processors.backfill import plan_backfill, write_backfill
from tests.simulation.faults import Rates
from tests.simulation.lake import buckets
from tests.simulation.payloads import malformed
from tests.simulation.process import Fate
from tests.simulation.scenes import DAY_MS, HOUR_MS, facts, put, put_facts
from tests.simulation.simulated_mapping import Options
from tests.simulation.simulated_schedule import OFFSET_MS
from tests.simulation.test_scenarios_slices import block
from tests.simulation.verdict import faults_of
from tests.simulation.world import LAKE, RESULTS, START_MS, Setup, World
from windrow.lake.layout import PARTIALS, lineage_key, parse_partial_key
from windrow.reading import Reading, Readings
from windrow.window import WINDOW_MS, Window

LIVE_WINDOWS = 7
"""Windows of live traffic, each followed by its tick."""
BACKLOG_HOURS = (3, 12)
"""How long ago the readings of the backlog were made."""
BACKFILL_WINDOWS = 12
HOSTILE_RECORDS = 8
"""Records of a hostile gateway, in each window and each shard."""
HOSTILE_READINGS = 60
ROW_MS = 1_000
"""How long a consumer takes for a row of quarantine: as if each of them were some ten thousand.

Then what a hostile gateway sends within a window of five minutes takes half a minute if each of its records comes to a
few rows, and eight minutes a shard if each of its readings has one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyPlan:
    """What a seed does. `troubles` are entries of TROUBLES, each at work in every window."""

    backlog_windows: int
    slowness: int
    """How many times its usual latency each request of the dispatcher takes."""
    rates: Rates
    troubles: tuple[str, ...]


def plan_of(seed: int) -> BusyPlan:
    """The plan of a seed."""
    random = Random(f"busy {seed}")
    draw: Callable[[float], float] = lambda most: most * random.random() if random.random() < 0.6 else 0.0  # noqa: E731
    return BusyPlan(
        backlog_windows=random.choice([90, 100]),
        slowness=random.choice([3, 4]),
        rates=Rates(
            s3_slow=random.uniform(0.5, 1.0),
            s3_unavailable=draw(0.05),
            s3_ack_lost=draw(0.05),
            s3_conflict=draw(0.05),
            s3_body_broken=draw(0.05),
            tick_missed=draw(0.2),
        ),
        troubles=tuple(name for name in TROUBLES if random.random() < 0.5),
    )


def run_busy_seed(seed: int) -> list[str]:
    """Simulate; what is wrong while it is busy, and at the end."""
    plan, random = plan_of(seed), Random(f"busy traffic {seed}")
    setup = Setup(shards=2, options=Options(window_ms=1_000), lateness_horizon_hours=24, quarantine_row_ms=ROW_MS)
    with World(seed, setup, plan.rates) as world:
        _missed_windows(world, plan.backlog_windows, random)
        for number in range(LIVE_WINDOWS):
            put_facts(world, facts(2, first_ms=world.now_ms), shard=number % 2)
            for trouble in plan.troubles:
                TROUBLES[trouble](world, random)
            world.dispatcher.next_fate = Fate(slowness=plan.slowness)
            if world.chance.happens("tick_missed"):
                world.pass_ms(world.schedule.next_ms(world.now_ms) - world.now_ms)
            else:
                world.tick()
        faults = freshness_faults(world)
        world.settle()
        return faults + faults_of(world)


def _missed_windows(world: World, count: int, random: Random) -> None:
    """Readings for windows of hours ago, which arrive when the simulation begins and were never rolled."""
    latest = START_MS - BACKLOG_HOURS[0] * HOUR_MS
    for back in range(count):
        start_ms = latest - back * WINDOW_MS
        # As if no tick had looked at it: there is no lineage.
        world.s3.buckets[RESULTS].pop(lineage_key(Window(start_ms)), None)
        world.monitor.forget(lineage_key(Window(start_ms)))
        put_facts(world, facts(2, first_ms=start_ms + random.randint(0, 1_000)), shard=back % 2, is_aggregated=True)


def _late_readings(world: World, random: Random) -> None:
    """Some readings for windows that are long rolled."""
    for _ in range(random.randint(1, 4)):
        put_facts(world, facts(1, first_ms=world.now_ms - random.randint(2, 20) * HOUR_MS))


def _hostile_gateways(world: World, random: Random) -> None:
    """In every shard small blocks full of readings that are too early or too old, with one that counts, and a payload
    that is none.
    """
    for shard in range(len(world.stream.open_shards)):
        for _ in range(HOSTILE_RECORDS):
            now_ms, sensor = world.now_ms, f"hostile-{random.randrange(10**9)}"
            away_ms = random.choice([DAY_MS, -40 * DAY_MS])
            bad = [(sensor, now_ms + away_ms + number, number, 1) for number in range(HOSTILE_READINGS)]
            put(world, [block([*bad, (sensor, now_ms, 0, 20_000)])], shard=shard, is_aggregated=random.random() < 0.5)
        payload, reason = malformed((f"hostile-{random.randrange(10**9)}", world.now_ms, 0, 20_000), random)
        put(world, [world.ledger.knows(payload, reason)], shard=shard)


def _backfill(world: World, random: Random) -> None:
    """Partials straight in the lake, with their marker, for windows of hours ago that nobody has rolled.

    The stream brings the same readings too, so that the verdict knows them; whichever comes first, each counts once.
    """
    start_ms = (world.now_ms - random.randint(14, 22) * HOUR_MS) // WINDOW_MS * WINDOW_MS
    history = [fact for number in range(BACKFILL_WINDOWS) for fact in facts(1, first_ms=start_ms + number * WINDOW_MS)]
    stores = buckets(world.s3.apply)
    readings = Readings.of([Reading(*fact) for fact in history])
    write_backfill(plan_backfill([readings], stores.results).create, stores.lake)
    put_facts(world, history, shard=random.randint(0, 1), is_aggregated=True)


TROUBLES: dict[str, Callable[[World, Random], object]] = {
    "backfill": _backfill,
    "late readings": _late_readings,
    "hostile gateways": _hostile_gateways,
}


def faults_of_hostile_gateways() -> list[str]:
    """Which live windows came too late beside hostile gateways, and nothing else that may be wrong."""
    random = Random("hostile gateways")
    with World(1, Setup(shards=2, options=Options(window_ms=1_000), quarantine_row_ms=ROW_MS)) as world:
        for number in range(LIVE_WINDOWS):
            put_facts(world, facts(2, first_ms=world.now_ms), shard=number % 2)
            _hostile_gateways(world, random)
            world.tick()
        world.drain()
        for _ in range(ON_TIME_TICKS):
            world.tick()
        return freshness_faults(world)


def freshness_faults(world: World) -> list[str]:
    """Which windows that had readings in time were rolled too late, by the reports of the ticks that ended."""
    rolled = _first_rolled(world.monitor.reports)
    faults = []
    for window in sorted({parse_partial_key(key).window for key in world.s3.buckets[LAKE] if key.startswith(PARTIALS)}):
        if window.start_ms < START_MS:
            continue
        ended = [one for one in world.monitor.reports if one.scheduled_time_ms >= window.end_ms + OFFSET_MS]
        if len(ended) >= ON_TIME_TICKS and rolled.get(window, len(ended)) >= ON_TIME_TICKS:
            faults.append(f"{window}: not rolled by the first {ON_TIME_TICKS} ticks")
    return faults


def _first_rolled(reports: Sequence[TickReport]) -> dict[Window, int]:
    """The number, from 0, of the tick after a window's end that did it, of all that came to their end."""
    first: dict[Window, int] = {}
    passed: dict[Window, int] = {}
    for report in reports:
        for one in report.windows:
            number = passed.setdefault(one.window, 0)
            passed[one.window] += 1
            if one.revision and one.readings:
                first.setdefault(one.window, number)
    return first
