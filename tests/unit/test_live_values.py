"""The function of live values: what it writes, what comes again, and what goes to the dead letters."""

import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from processors.live_values import FoldedBatch, LiveMessage, ValueKeeper, decode_messages
from processors.puts import REPORT_RESERVE_MS, Deadline, Puts
from tests.property.test_newest_values import put as put_in_order
from windrow.live.columns import encode_messages
from windrow.live.newest import Item, NewestValue, value_of
from windrow.live.pace import HEARTBEAT_MS, Pace
from windrow.quantities import TEMPERATURE
from windrow.reading import Reading, Readings

LONG = Deadline(lambda: 600_000)
PUTS = Puts(4)


class Table:
    """A table that does what MiniStack's condition says; `broken` are sensors of which no put succeeds."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.puts: list[NewestValue] = []
        self.broken: dict[str, Exception] = {}
        self._lock = threading.Lock()

    def put(self, value: NewestValue) -> bool:
        with self._lock:
            self.puts.append(value)
            if value.sensor_id in self.broken:
                raise self.broken[value.sensor_id]
            return put_in_order(self.items, value)

    @property
    def values(self) -> dict[str, int]:
        return {one.sensor_id: one.value_milli for one in map(value_of, self.items.values())}


class Letters:
    """Dead letters, which may be out of order themselves."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.error: Exception | None = None

    def send(self, text: str, *, reason: str) -> None:
        if self.error:
            raise self.error
        self.sent.append((text, reason))


class Keeper:
    """A function with its table and dead letters."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.table, self.letters = Table(), Letters()
        self.keeper = ValueKeeper(table=self.table, dead_letters=self.letters, puts=PUTS, pace=pace or Pace())

    def process(self, *messages: LiveMessage, deadline: Deadline = LONG) -> FoldedBatch:
        return self.keeper.process(messages, deadline=deadline)


def value(sensor_id: str, time_ms: int, milli: int, sequence: int = 0) -> Reading:
    return Reading(sensor_id, time_ms, sequence, milli)


def message(name: str, *found: Reading) -> LiveMessage:
    (text,) = encode_messages(Readings.of(found))
    return LiveMessage(name, text)


REFUSED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutItem")
SILENT = EndpointConnectionError(endpoint_url="http://nowhere")


def test_messages_are_folded_before_anything_is_written() -> None:
    """One put for each series of the batch, whatever the number of its messages."""
    keeper = Keeper()
    batch = keeper.process(
        message("1", value("a", 2, 20), value("b", 1, 1)),
        message("2", value("a", 3, 30)),
        message("3", value("a", 1, 10)),
    )
    assert keeper.table.values == {"a": 30, "b": 1}
    assert len(keeper.table.puts) == 2
    assert batch == FoldedBatch(series=2, written=2)


def test_what_is_older_than_the_table_is_no_failure() -> None:
    """Another process has written something newer, which this one cannot remember."""
    keeper = Keeper()
    put_in_order(keeper.table.items, NewestValue("a", TEMPERATURE, 9, 0, 90))
    assert keeper.process(message("1", value("a", 2, 20))) == FoldedBatch(series=1, older=1)
    assert keeper.table.values == {"a": 90}


def test_a_message_that_comes_again_is_not_written_again() -> None:
    """What was put is remembered, and so is that a newer one was there."""
    keeper = Keeper()
    again = message("1", value("a", 2, 20))
    keeper.process(again)
    assert keeper.process(again) == FoldedBatch(series=1, not_due=1)
    assert len(keeper.table.puts) == 1


@pytest.mark.parametrize("error", [REFUSED, SILENT])
def test_only_the_messages_of_what_was_not_written_come_again(error: Exception) -> None:
    """A message comes again if any of its series failed, be it a newer message's value that was to be written."""
    keeper = Keeper()
    keeper.table.broken["a"] = error
    batch = keeper.process(
        message("1", value("a", 2, 20), value("b", 1, 1)),
        message("2", value("c", 3, 30)),
        message("3", value("a", 1, 10)),
    )
    assert batch.failed == ["1", "3"]
    assert keeper.table.values == {"b": 1, "c": 30}
    assert [type(error).__name__ in one for one in batch.errors] == [True]
    keeper.table.broken.clear()
    assert keeper.process(message("1", value("a", 2, 20), value("b", 1, 1))).failed == []
    assert keeper.table.values == {"a": 20, "b": 1, "c": 30}


def test_a_table_that_hangs_makes_messages_come_again_in_time() -> None:
    """The function answers before it is killed; what was written counts."""
    ends = threading.Event()

    class Hanging(Table):
        def put(self, value: NewestValue) -> bool:
            if value.sensor_id == "a":
                ends.wait()
            return super().put(value)

    keeper = Keeper()
    table = Hanging()
    slow = ValueKeeper(table=table, dead_letters=keeper.letters, puts=Puts(2), pace=Pace())
    soon = Deadline(lambda: REPORT_RESERVE_MS + 200)
    batch = slow.process([message("1", value("a", 2, 20)), message("2", value("b", 2, 20))], deadline=soon)
    ends.set()
    assert batch.failed == ["1"]
    assert batch.written == 1
    assert [one.startswith("out of time") for one in batch.errors] == [True]


def test_writes_leave_time_to_answer() -> None:
    """A function that is killed would have its messages wait for their visibility timeout, and remember nothing."""
    allowed_ms: list[float] = []

    class Watched:
        def until(self, deadline: Deadline, *, share: float) -> Any:
            allowed_ms.append(share * deadline.left_ms())
            return lambda function, arguments: [function(one) for one in arguments]

    keeper = Keeper()
    watched = ValueKeeper(table=keeper.table, dead_letters=keeper.letters, puts=cast("Puts", Watched()), pace=Pace())
    watched.process([message("1", value("a", 2, 20))], deadline=Deadline(lambda: 60_000))
    assert allowed_ms == [0.75 * (60_000 - REPORT_RESERVE_MS)]
    assert keeper.table.values == {"a": 20}


def test_a_message_that_cannot_be_read_goes_to_the_dead_letters() -> None:
    """With its reason, and the others are written; it does not come again."""
    keeper = Keeper()
    batch = keeper.process(LiveMessage("1", "no block"), message("2", value("a", 2, 20)))
    assert batch.failed == []
    assert batch.unreadable == [reason for _, reason in keeper.letters.sent] != []
    assert [text for text, _ in keeper.letters.sent] == ["no block"]
    assert keeper.table.values == {"a": 20}


def test_a_message_that_cannot_be_put_aside_comes_again() -> None:
    """Nothing is dropped silently."""
    keeper = Keeper()
    keeper.letters.error = REFUSED
    batch = keeper.process(LiveMessage("1", "no block"), message("2", value("a", 2, 20)))
    assert batch.failed == ["1"]
    assert batch.unreadable == []
    assert keeper.table.values == {"a": 20}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no room, all is forgotten, which costs one more write of each."""
    monkeypatch.setattr("processors.live_values.REMEMBERED_SERIES_MAX", 2)
    keeper = Keeper()
    for name in "abcde":
        keeper.process(message("1", value(name, 1, 1)))
        assert len(keeper.keeper.remembered) <= 2
    assert keeper.process(message("1", value("a", 1, 1))).older == 1


def test_the_messages_of_an_event() -> None:
    """As Lambda hands them over."""
    event = {"Records": [{"messageId": "1", "body": "x", "attributes": {}}, {"messageId": "2", "body": "y"}]}
    assert decode_messages(event) == [LiveMessage("1", "x"), LiveMessage("2", "y")]


# ---- pace: a table of values, and whether they are written after one of 1.000 at 1,000 ms ---------------------------

BEFORE = NewestValue("a", TEMPERATURE, 1_000, 0, 1_000)


@pytest.mark.parametrize(
    ("pace", "after_ms", "milli", "is_due"),
    [
        (Pace(), 1, 1_000, True),
        (Pace(), 0, 1_000, False),
        (Pace(), -1, 5_000, False),
        (Pace(deadband_milli=10), 1, 1_010, False),
        (Pace(deadband_milli=10), 1, 990, False),
        (Pace(deadband_milli=10), 1, 1_011, True),
        (Pace(deadband_milli=10), 1, 989, True),
        (Pace(deadband_milli=10), HEARTBEAT_MS - 1, 1_000, False),
        (Pace(deadband_milli=10), HEARTBEAT_MS, 1_000, True),
        (Pace(interval_ms=500), 499, 9_000, False),
        (Pace(interval_ms=500), 500, 1_000, True),
        (Pace(deadband_milli=10, interval_ms=500), 500, 1_010, False),
        (Pace(deadband_milli=10, interval_ms=500), 499, 1_011, False),
        (Pace(deadband_milli=10, interval_ms=500), 500, 1_011, True),
    ],
)
def test_a_value_is_due(pace: Pace, after_ms: int, milli: int, is_due: bool) -> None:
    """By the edges of the deadband, of the interval and of the heartbeat."""
    one = NewestValue("a", TEMPERATURE, BEFORE.event_time_ms + after_ms, 0, milli)
    assert pace.is_due(one, BEFORE) is is_due
    assert pace.is_due(one, None)


@given(st.lists(st.tuples(st.integers(1, 90_000), st.integers(-50, 50)), min_size=1, max_size=40))
def test_the_table_is_never_far_behind(steps: Sequence[tuple[int, int]]) -> None:
    """Within the deadband of the newest, unless it came within the interval, and never a heartbeat behind."""
    pace, time_ms, milli = Pace(deadband_milli=20, interval_ms=30_000), 0, 0
    before: NewestValue | None = None
    for step_ms, change in steps:
        time_ms, milli = time_ms + step_ms, milli + change
        one = NewestValue("a", TEMPERATURE, time_ms, 0, milli)
        before = one if pace.is_due(one, before) else before
        assert before is not None
        since_ms = one.event_time_ms - before.event_time_ms
        assert since_ms < HEARTBEAT_MS
        assert since_ms < 30_000 or abs(one.value_milli - before.value_milli) <= 20
