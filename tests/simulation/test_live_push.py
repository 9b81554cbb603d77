# ruff: noqa: E501 - a mutant is one line
"""Newest values on their way to the table while everything goes wrong: lost, doubled, out of order, hanging, refused.

consumer     partials ── topic ╳ lost, refused, hanging
queue                       └─ 3 1 2 2 1 3        doubled, out of order
function                          └─ put, if newer ╳ throttled: the message comes again
table                                   └─ the newest of each series

Rows are those of a stage that hands nothing on. The table, if all messages arrive, is what a dict of readings says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from ministack.services.dynamodb import _evaluate_condition

from processors.live_topic import LIVE_MS_MAX, HandedOn, LivePublisher
from processors.live_values import LiveMessage, ValueKeeper
from processors.puts import Deadline, Puts
from tests.oracle import Fact
from tests.simulation.faults import NONE, Rates
from tests.simulation.mutation import Edit, Mutant, applied, mutant
from tests.simulation.process import Process
from tests.simulation.scenes import AT_ONCE, MINUTE_MS, START_MS, Setup, World, facts, put_facts, rows_bytes
from tests.simulation.verdict import rows_faults_of
from windrow.live.newest import Item, NewestValue, put_if_newer, value_of
from windrow.live.pace import Pace
from windrow.reading import Readings

SETUP = Setup(shards=1, options=AT_ONCE)
KILLS = Rates(killed=0.2, killed_request_arrives=0.5, zombie=0.5, s3_ack_lost=0.1, s3_slow=0.2)
SEEDS = range(4)
LATENCY_MS = 20
FOR_EVER_MS = 10 * MINUTE_MS
BATCHES = 8
NEWEST, COLUMNS = "windrow.live.newest", "windrow.live.columns"
TOPIC, VALUES = "processors.live_topic", "processors.live_values"
THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutItem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What becomes of messages: probabilities of each publish, and of each put."""

    lost: float = 0.0
    refused: float = 0.0
    hangs: float = 0.0
    ack_lost: float = 0.0
    doubled: float = 0.0
    throttled: float = 0.0


CALM = Trouble()
ARRIVES = Trouble(ack_lost=0.3, doubled=0.5, throttled=0.3)
"""Nothing is lost, all else goes wrong."""


@dataclass
class SimulatedTopic:
    """A topic as one consumer sees it; what arrives is in `queue`, which all of them share."""

    process: Process
    queue: list[str]
    trouble: Trouble
    chance: Random

    def publish(self, message: str) -> None:
        """Publish."""
        if self.chance.random() < self.trouble.hangs:
            self.process.time.sleep(FOR_EVER_MS)
        self.process.call(lambda: self._arrive(message), latency_ms=LATENCY_MS)

    def _arrive(self, message: str) -> None:
        if self.chance.random() < self.trouble.refused:
            raise ClientError({"Error": {"Code": "NotFound", "Message": "Topic does not exist"}}, "Publish")
        if self.chance.random() >= self.trouble.lost:
            self.queue += [message] * (2 if self.chance.random() < self.trouble.doubled else 1)
        if self.chance.random() < self.trouble.ack_lost:
            raise ReadTimeoutError(endpoint_url="sns")


@dataclass
class SimulatedTable:
    """The table, whose condition MiniStack judges. `faults` tells of a put that changes nothing, or goes back."""

    trouble: Trouble
    chance: Random
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def put(self, value: NewestValue) -> bool:
        """Put."""
        if self.chance.random() < self.trouble.throttled:
            raise THROTTLED
        request: dict[str, Any] = put_if_newer(value)
        item, key = request["Item"], value.key
        there = self.items.get(key, {})
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        if not _evaluate_condition(request["ConditionExpression"], there, values, names):
            return False
        if there and order_of(there) >= order_of(item):
            self.faults.append(f"{key}: {order_of(item)} took the place of {order_of(there)}")
        self.items[key] = item
        return True


@dataclass(frozen=True, slots=True)
class TimedPublisher(LivePublisher):
    """What hands values on, and how long that held its batches up."""

    process: Process
    held_up_ms: list[int]

    def hand_on(self, batches: Sequence[Readings], *, deadline: Deadline) -> HandedOn:
        """Hand on, by a watch."""
        began_ms = self.process.time.now_ms
        handed_on = LivePublisher.hand_on(self, batches, deadline=deadline)
        self.held_up_ms.append(self.process.time.now_ms - began_ms)
        return handed_on


class NoLetters:
    """Dead letters to which nothing must come: every message can be read."""

    def send(self, text: str, *, reason: str) -> None:
        """Fail."""
        raise AssertionError(f"{reason}: {text[:80]}")


def order_of(item: Item) -> tuple[int, int, int]:
    """Time, sequence and value of an item."""
    return int(item["event_time_ms"]["N"]), int(item["sequence"]["N"]), int(item["value_milli"]["N"])


def newest_of(sent: Sequence[Fact]) -> dict[str, tuple[int, int, int]]:
    """The newest of each sensor, one reading after another."""
    found: dict[str, tuple[int, int, int]] = {}
    for sensor, time_ms, sequence, milli in sent:
        found[sensor] = max((time_ms, sequence, milli), found.get(sensor, (0, 0, 0)))
    return found


def sent_at(put_ms: int, number: int) -> list[Fact]:
    """Readings of a batch, of three sensors, over the end of a window; the last one has instants of the one before it.

    First with a greater sequence and smaller values, then with the same sequence and greater values.
    """
    if number < BATCHES - 2:
        return facts(12, first_ms=put_ms - 6 * MINUTE_MS, step_ms=31_000)
    before = facts(12, first_ms=START_MS + (BATCHES - 2) * 6 * MINUTE_MS - 6 * MINUTE_MS, step_ms=31_000)
    more = -50 if number == BATCHES - 2 else -20
    return [(sensor, time_ms, 1, milli + more) for sensor, time_ms, _, milli in before]


@dataclass
class Run:
    """A world at its end, what was sent to it, and the messages that arrived."""

    world: World
    sent: list[Fact]
    queue: list[str]
    held_up_ms: list[int]


def consumed(seed: int, trouble: Trouble | None, rates: Rates = NONE) -> Run:
    """Consume batches and roll their windows, at a stage that hands its newest values on; None: that does not."""
    queue, sent, chance, held_up_ms = list[str](), list[Fact](), Random(seed), list[int]()
    with World(seed, SETUP, rates) as world:
        if trouble is not None:
            world.live_of = lambda process: TimedPublisher(
                SimulatedTopic(process, queue, trouble, chance), Puts(2), process, held_up_ms
            )
        for number in range(BATCHES):
            put_ms = START_MS + (number + 1) * 6 * MINUTE_MS
            world.pass_ms(put_ms - world.now_ms)
            batch = sent_at(put_ms, number)
            put_facts(world, batch)
            world.drain()
            sent += batch
        world.settle_promptly()
        return Run(world, sent, queue, held_up_ms)


def kept(queue: Sequence[str], seed: int, trouble: Trouble) -> SimulatedTable:
    """The table after the function has had all messages, in any order and batches, some of them more than once."""
    chance = Random(seed)
    table = SimulatedTable(trouble, chance)
    waiting = list(enumerate(queue))
    chance.shuffle(waiting)
    for attempt in range(100 * len(queue)):
        if not waiting:
            return table
        if attempt % 5 == 0:  # another process, which remembers nothing
            keeper = ValueKeeper(table=table, dead_letters=NoLetters(), puts=Puts(2), pace=Pace())
        batch, waiting = waiting[:3], waiting[3:]
        messages = [LiveMessage(str(place), text) for place, text in batch]
        failed = set(keeper.process(messages, deadline=Deadline(lambda: 10**6)).failed)
        again = [one for one in batch if str(one[0]) in failed or chance.random() < trouble.doubled / 2]
        waiting = [*waiting, *again]
    raise AssertionError("messages come again for ever")


def faults_of_the_table(seed: int, trouble: Trouble = ARRIVES, rates: Rates = KILLS) -> Iterator[str]:
    """What is wrong with the table after all messages have arrived; and with the rows."""
    run = consumed(seed, trouble, rates)
    table = kept(run.queue, seed, trouble)
    found = {value.sensor_id: value.order for value in map(value_of, table.items.values())}
    expected = newest_of(run.sent)
    if found != expected:
        yield f"{found} instead of {expected}"
    yield from table.faults
    yield from rows_faults_of(run.world)


def faults_of_the_rows(trouble: Trouble) -> Iterator[str]:
    """What is different from a stage that hands nothing on: rows, or batches that take longer than the bound."""
    with_it, without = consumed(0, trouble), consumed(0, None)
    if rows_bytes(with_it.world) != rows_bytes(without.world):
        yield "other rows"
    if not with_it.held_up_ms or max(with_it.held_up_ms) > LIVE_MS_MAX:
        yield f"batches were held up for {with_it.held_up_ms} ms"
    yield from rows_faults_of(with_it.world)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_table_ends_with_the_newest_of_each_series(seed: int) -> None:
    """Though messages come more than once and in any order, puts are throttled, and functions die and forget."""
    assert list(faults_of_the_table(seed)) == []


@pytest.mark.parametrize(
    "trouble",
    [CALM, Trouble(lost=1.0), Trouble(refused=1.0), Trouble(hangs=1.0), Trouble(ack_lost=1.0, doubled=1.0)],
    ids=["calm", "lost", "refused", "hanging", "doubled"],
)
def test_what_becomes_of_live_values_changes_no_row(trouble: Trouble) -> None:
    """Byte by byte the rows of a stage that hands nothing on; and no batch takes longer than by the bound."""
    assert list(faults_of_the_rows(trouble)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_messages_that_are_lost_leave_older_values_and_no_others(seed: int) -> None:
    """What is in the table was sent, and the next message that arrives is newer."""
    trouble = Trouble(lost=0.5, doubled=0.5)
    run = consumed(seed, trouble)
    table = kept(run.queue, seed, trouble)
    expected, sent = newest_of(run.sent), set(run.sent)
    for value in map(value_of, table.items.values()):
        assert (value.sensor_id, *value.order) in sent
        assert value.order <= expected[value.sensor_id]
    assert table.faults == []


MUTANTS = (
    mutant("no condition", NEWEST, '"ConditionExpression": _IS_NEWER,', '"ConditionExpression": "attribute_exists(#series) OR attribute_not_exists(#series)",'),
    mutant("a repeat is put again", NEWEST, '"ConditionExpression": _IS_NEWER,', '"ConditionExpression": _IS_NEWER.replace("#value < :value", "#value <= :value"),'),
    mutant("the sequence does not count", NEWEST, '"ConditionExpression": _IS_NEWER,', '"ConditionExpression": _IS_NEWER.replace("#sequence < :sequence", "#sequence < #sequence"),'),
    mutant("the older stays", NEWEST, '"ConditionExpression": _IS_NEWER,', '"ConditionExpression": "attribute_not_exists(#series)",'),
    mutant("the first of a window", COLUMNS, "last = partial.offsets[1:] - 1", "last = partial.offsets[:-1]"),
    mutant("of several windows any", COLUMNS, "(readings.value_milli, readings.sequence, readings.event_time_ms, readings.sensor)", "(readings.sensor,)"),
    mutant("failed messages do not come again", VALUES, "if failed:", "if failed and False:"),
    mutant("what failed is remembered as put", VALUES, "failed.add(value.key)", "failed.add(value.key)\n                self.remembered[value.key] = value"),
    mutant("a topic may hang as long as the batch may", TOPIC, "self.puts.until(_bounded(deadline))", "self.puts.until(deadline)"),
    Mutant("a topic that refuses fails the batch", (
        Edit(TOPIC, "except Exception as error:  # noqa: BLE001 - the rows are written, and nothing here may make them wait", "except ZeroDivisionError as error:"),
        Edit(TOPIC, "except Exception as error:  # noqa: BLE001 - it must not hide what became of the other messages", "except ZeroDivisionError as error:"),
    )),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("broken", MUTANTS, ids=[one.name for one in MUTANTS])
def test_a_break_is_noticed(broken: Mutant) -> None:
    """By the table, or by the rows of a stage whose topic hangs."""
    with applied(broken):
        of_table = any(any(faults_of_the_table(seed)) for seed in SEEDS)
        assert of_table or any(any(faults_of_the_rows(one)) for one in (Trouble(hangs=1.0), Trouble(refused=1.0)))
