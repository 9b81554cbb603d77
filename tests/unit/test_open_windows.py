"""Open windows: they show what a roll would write now, whatever was delivered twice, cut otherwise or out of order."""

import random
from typing import Any

import pytest

from analytics import open_windows
from analytics.live_values import live_values
from analytics.open_windows import LOOK_MS_MIN, OpenWindows
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.errors import WindrowError
from windrow.lake.layout import Origin, PartialKey, lineage_key
from windrow.lake.store import CountingStore
from windrow.quantities import TEMPERATURE, Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.rows.rollup import roll
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS, Window

START_MS = parse_rfc3339_ms("2026-11-20T23:55:00Z")
NOW_MS = START_MS + WINDOW_MS + 30_000  # in the window after midnight
HUMIDITY = Quantity("humidity", "%")
SHARD = "shardId-000000000000"


class Lake:
    """Two buckets, and the open windows in them."""

    def __init__(self) -> None:
        state = S3State()
        self.lake = CountingStore(SimulatedStore(state.apply, "lake"))
        self.results = CountingStore(SimulatedStore(state.apply, "results"))
        self.open = OpenWindows(lake=self.lake, results=self.results)
        self._sent = 0

    def deliver(self, readings: list[Reading]) -> None:
        """Write the partials of a batch, as a consumer does; a second time under another origin."""
        self._sent += 1
        for partial in partials_of(Readings.of(readings)):
            origin = Origin(stream="stream", shard=SHARD, first=self._sent, last=self._sent)
            key = PartialKey(window=partial.window, origin=origin, digest=partial.digest)
            self.lake.put(str(key), encode_partial(partial, DeliveryCounts()))


def some_readings() -> list[Reading]:
    """Four sensors over the end of a window, and so over midnight."""
    return [
        Reading(f"site/{sensor}", START_MS + 280_000 + step * 5_000, 0, 20_000 + 100 * sensor + step)
        for sensor in range(4)
        for step in range(8)
    ]


def rolled(readings: list[Reading], window: Window) -> str:
    (partial,) = [one for one in partials_of(Readings.of(readings)) if one.window == window]
    return roll(partial).rows_sha256


def values(lake: Lake, quantity: Quantity = TEMPERATURE, **asked: Any) -> dict[str, Any]:
    return live_values(lake.open.at(NOW_MS), quantity, **({"search": "", "page": 0, "per_page": 100} | asked))


@pytest.mark.parametrize("seed", range(5))
def test_open_windows_are_what_a_roll_would_write(seed: int) -> None:
    """Readings in batches of any size and order, some delivered again in another cut."""
    randomness, lake, readings = random.Random(seed), Lake(), some_readings()
    sent = randomness.sample(readings, len(readings)) + randomness.sample(readings, 9)
    while sent:
        size = randomness.randint(1, 6)
        lake.deliver(sent[:size])
        del sent[:size]
    found = lake.open.at(NOW_MS)
    assert [one.window.start_ms for one in found] == [START_MS + WINDOW_MS, START_MS]
    assert [one.rollup.rows_sha256 for one in found] == [rolled(readings, one.window) for one in found]


def test_a_window_with_a_lineage_is_no_longer_open() -> None:
    """Its exact rows are in the results then."""
    lake = Lake()
    lake.deliver(some_readings())
    lake.results.put(lineage_key(Window(START_MS)), b"{}")
    assert [one.window.start_ms for one in lake.open.at(NOW_MS)] == [START_MS + WINDOW_MS]
    lake.results.put(lineage_key(Window(START_MS + WINDOW_MS)), b"{}")
    assert lake.open.at(NOW_MS) == ()
    lake.results.calls.clear()
    lake.lake.calls.clear()
    assert lake.open.at(NOW_MS) == ()
    assert (lake.results.calls, lake.lake.calls) == ({"get": 1}, {"list": 1})  # of the one after it


def test_what_is_shown_does_not_go_back_to_an_earlier_window() -> None:
    """A tick rolled the newer window and broke off before the one it had left; another server sees the same."""
    lake = Lake()
    lake.deliver([Reading("a", START_MS, 0, 1_000), Reading("a", START_MS + WINDOW_MS, 0, 2_000)])
    assert values(lake)["last"] == [2.0]
    lake.results.put(lineage_key(Window(START_MS + WINDOW_MS)), b"{}")
    assert lake.open.at(NOW_MS) == OpenWindows(lake=lake.lake, results=lake.results).at(NOW_MS) == ()


@pytest.mark.parametrize(("windows_off", "is_shown"), [(-3, False), (-2, True), (0, True), (1, True), (2, False)])
def test_windows_around_now_are_looked_at(windows_off: int, is_shown: bool) -> None:
    """Two back, in case a tick is late, and one ahead, for clocks that run fast."""
    lake = Lake()
    lake.deliver([Reading("s", Window.containing(NOW_MS).start_ms + windows_off * WINDOW_MS, 0, 1_000)])
    assert bool(lake.open.at(NOW_MS)) == is_shown


def test_a_partial_is_read_once_and_only_news_are_rolled() -> None:
    """Also if a second object has the same content."""
    lake, readings = Lake(), some_readings()[:8]
    lake.deliver(readings[:3])
    lake.deliver(readings[:3])
    first = lake.open.at(NOW_MS)
    assert lake.lake.calls["get"] == 1
    assert [one.partials for one in first] == [1]
    assert lake.open.at(NOW_MS)[0] is first[0]
    lake.deliver(readings[3:])
    after = lake.open.at(NOW_MS)
    assert lake.lake.calls["get"] == 3  # the rest lies in both windows
    assert after[-1].rollup.rows_sha256 == rolled(readings, after[-1].window)


def test_many_who_ask_at_once_are_answered_by_one_look() -> None:
    """What was seen less than a second ago is told again, unless the clock was set back."""
    lake = Lake()
    opened = OpenWindows(lake=lake.lake, results=lake.results, look_ms_min=LOOK_MS_MIN)
    lake.deliver([Reading("a", START_MS, 0, 1_000)])
    first = opened.at(NOW_MS)
    lake.deliver([Reading("a", START_MS + 1, 0, 2_000)])
    lake.lake.calls.clear()
    assert opened.at(NOW_MS + LOOK_MS_MIN - 1) is first
    assert lake.lake.calls == {}
    (second,) = opened.at(NOW_MS + LOOK_MS_MIN)
    assert second.rollup.readings.tolist() == [2]
    lake.deliver([Reading("a", START_MS + 2, 0, 3_000)])
    (third,) = opened.at(NOW_MS)
    assert third.rollup.readings.tolist() == [3]


def test_who_asks_once_a_second_is_told_nothing_older_by_another_server() -> None:
    """Whichever server answers, and whenever each of them looked."""
    lake, randomness = Lake(), random.Random(1)
    servers = [OpenWindows(lake=lake.lake, results=lake.results, look_ms_min=LOOK_MS_MIN) for _ in range(3)]
    told, now_ms = 0, NOW_MS
    for number in range(30):
        lake.deliver([Reading("a", START_MS, number, 1_000)])
        for other in servers:
            if randomness.random() < 0.5:
                other.at(now_ms + randomness.randrange(LOOK_MS_MIN))
        now_ms += LOOK_MS_MIN
        (one,) = randomness.choice(servers).at(now_ms)
        (readings,) = one.rollup.readings.tolist()
        assert readings >= told
        told = readings
    assert told > 25


def test_more_than_can_be_read_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the sizes in the listing."""
    lake = Lake()
    lake.deliver(some_readings())
    monkeypatch.setattr(open_windows, "PARTIAL_BYTES_MAX", 1_000)
    with pytest.raises(WindrowError, match="bytes of partials") as caught:
        lake.open.at(NOW_MS)
    assert "v1/latest" in caught.value.hint
    assert lake.lake.calls["get"] == 0


@pytest.mark.parametrize("name", ["junk", "body", "window"])
def test_what_cannot_be_read_is_named(name: str) -> None:
    """A key that is not a partial's, bytes that are none, and a partial under the key of another window."""
    lake = Lake()
    (partial,) = partials_of(Readings.of([Reading("s", START_MS, 0, 1_000)]))
    own = PartialKey(
        window=partial.window, origin=Origin(stream="stream", shard=SHARD, first=1, last=1), digest=partial.digest
    )
    other = PartialKey(window=Window(START_MS + WINDOW_MS), origin=own.origin, digest=own.digest)
    key = {"junk": f"{str(own)[:-8]}.txt", "body": str(own), "window": str(other)}[name]
    lake.lake.put(key, b"PAR1" if name == "body" else encode_partial(partial, DeliveryCounts()))
    with pytest.raises(WindrowError, match=key):
        lake.open.at(NOW_MS)


def test_the_newest_value_of_a_sensor_is_shown() -> None:
    """Of the newest window that has it, in whatever order its readings came; a greater value wins a conflict."""
    lake = Lake()
    lake.deliver([Reading("a", START_MS + WINDOW_MS + 20_000, 0, 3_000), Reading("b", START_MS + 1, 0, -500)])
    lake.deliver([Reading("a", START_MS + WINDOW_MS + 10_000, 0, 9_000), Reading("a", START_MS, 0, 1_000)])
    lake.deliver([Reading("a", START_MS + WINDOW_MS + 20_000, 0, 3_001)])
    assert values(lake) == {
        "total": 2,
        "page": 0,
        "per_page": 100,
        "windows": [
            {"t": START_MS, "sensors": 2, "readings": 2, "mean": 0.25, "min": -0.5, "max": 1.0},
            {"t": START_MS + WINDOW_MS, "sensors": 1, "readings": 2, "mean": 6.0005, "min": 3.001, "max": 9.0},
        ],
        "limits": 0,
        "sites": {
            "total": 1,
            "site": [""],
            "sensors": [2],
            "readings": [3],
            "mean": [3.833666666667],
            "min": [-0.5],
            "max": [9.0],
            "beyond": [0],
        },
        "sensors": ["a", "b"],
        "t": [START_MS + WINDOW_MS, START_MS],
        "last_time": [START_MS + WINDOW_MS + 20_000, START_MS + 1],
        "last": [3.001, -0.5],
        "mean": [6.0005, -0.5],
        "min": [3.001, -0.5],
        "max": [9.0, -0.5],
        "readings": [2, 1],
    }


def test_each_quantity_has_its_own_values() -> None:
    """A sensor that measures two is in both, and what nobody measures has nothing."""
    lake = Lake()
    lake.deliver(
        [
            Reading("a", START_MS, 0, 1_000),
            Reading("a", START_MS, 0, 45_000, quantity=HUMIDITY),
            Reading("b", START_MS, 0, 55_000, quantity=HUMIDITY),
        ]
    )
    assert values(lake)["sensors"] == ["a"]
    assert (values(lake, HUMIDITY)["sensors"], values(lake, HUMIDITY)["last"]) == (["a", "b"], [45.0, 55.0])
    assert values(lake, HUMIDITY)["windows"][0]["mean"] == 50.0
    nothing = values(lake, Quantity("pressure", "hPa"))
    assert (nothing["total"], nothing["windows"], nothing["sensors"]) == (0, [], [])


def test_sensors_are_searched_and_paged() -> None:
    """By id, ignoring case; the last page if there are fewer."""
    lake = Lake()
    lake.deliver([Reading(f"Site/{number}", START_MS, 0, number) for number in range(5)])
    assert values(lake, search="sITE/3")["sensors"] == ["Site/3"]
    page = values(lake, page=1, per_page=2)
    assert (page["total"], page["page"], page["sensors"]) == (5, 1, ["Site/2", "Site/3"])
    assert values(lake, page=9, per_page=2)["sensors"] == ["Site/4"]


def test_one_sensor_is_asked_for_by_its_id() -> None:
    """It alone, also if its id is a part of others; the tally has all of them, and who was not heard is no error."""
    lake = Lake()
    lake.deliver([Reading(f"a/{number}", START_MS, 0, number) for number in range(12)])
    found = values(lake, sensor_id="a/1", per_page=1)
    assert (found["total"], found["sensors"], found["last"]) == (1, ["a/1"], [0.001])
    assert found["sites"]["sensors"] == [12]
    nobody = values(lake, sensor_id="A/1")
    assert (nobody["total"], nobody["sensors"], nobody["sites"]["sensors"]) == (0, [], [12])


def test_a_partial_that_is_gone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It expired, or somebody removed it, between the listing and the reading."""
    lake = Lake()
    lake.deliver([Reading("a", START_MS, 0, 1_000)])
    lake.deliver([Reading("b", START_MS, 0, 2_000)])
    gone = next(iter(lake.lake.list_objects("partials/"))).key
    read = lake.lake.get
    monkeypatch.setattr(lake.lake, "get", lambda key: None if key == gone else read(key))
    (found,) = lake.open.at(NOW_MS)
    assert (found.partials, len(found.rollup)) == (1, 1)
