"""Who falls silent, over ticks: rows, completeness, one message for each change, and healing."""

from dataclasses import dataclass, field

from dispatcher.due import FIRST_TICK_AFTER_MS
from dispatcher.tick import Tick
from tests.oracle import read_rows
from tests.simulation.lake import (
    LIFETIMES,
    RESULTS,
    at,
    buckets,
    contents,
    lineage_of,
    marker_put,
    markers_of,
    next_tick,
    partial_put,
    tick,
)
from tests.simulation.simulated_s3 import Delete, Operation, Put, S3State, recording
from windrow.lake.layout import lineage_key, silences_key
from windrow.window import WINDOW_MS, Window

FLEET = ["a", "b", "c", "d"]
BEGIN = at("02:00")


@dataclass
class Messages:
    """Keeps what it is told."""

    told: list[tuple[str, str]] = field(default_factory=list)

    def notify(self, subject: str, message: str) -> None:
        """Keep it."""
        self.told.append((subject, message))


@dataclass
class Site:
    """A site whose sensors read once in each window, and a tick after each."""

    state: S3State = field(default_factory=S3State)
    messages: Messages = field(default_factory=Messages)
    now_ms: int = BEGIN

    def window(self, sensors: list[str]) -> Window:
        """One window with these sensors, and its tick."""
        window = Window(self.now_ms)
        if sensors:
            rows = [(one, 1_000, 0, 20_000) for one in sensors]
            self.state.apply(partial_put(window, rows, first=window.index))
        self.now_ms += WINDOW_MS
        self.tick()
        return window

    def windows(self, count: int, sensors: list[str]) -> None:
        """Several alike."""
        for _ in range(count):
            self.window(sensors)

    def tick(self) -> None:
        """The tick for the last window."""
        Tick(
            buckets=buckets(self.state.apply),
            lifetimes=LIFETIMES,
            scheduled_time_ms=self.now_ms + 120_000,
            notifier=self.messages,
        ).run()

    def silences(self, window: Window) -> dict[str, str]:
        """The states by sensor."""
        stored = self.state.buckets[RESULTS].get(silences_key(window))
        return {row["sensor_id"]: row["state"] for row in read_rows(stored.body)} if stored else {}


def test_sensor_that_is_not_heard_any_more_is_told_once_and_cleared_when_it_is_back() -> None:
    """heard, heard, -, -(began), -(lasts), heard(lasts), heard(cleared)"""
    site = Site()
    site.windows(3, FLEET)
    assert not site.messages.told
    without = FLEET[:3]
    shown = [site.silences(site.window(without)) for _ in range(3)]
    assert shown == [{}, {"d": "began"}, {"d": "lasts"}]
    (message,) = site.messages.told
    assert message[0] == "Sensors: 1 fell silent"
    assert "\nd\n" in message[1]
    back = [site.silences(site.window(FLEET)) for _ in range(3)]
    assert back == [{"d": "lasts"}, {"d": "cleared"}, {}]
    assert [subject for subject, _ in site.messages.told] == ["Sensors: 1 fell silent", "Sensors: 1 heard again"]


def test_sensor_that_never_comes_back_is_given_up() -> None:
    """Every silence ends: after twelve windows without it nobody expects it."""
    site = Site()
    site.windows(2, FLEET)
    shown = [site.silences(site.window(FLEET[:3])).get("d", "") for _ in range(16)]
    assert shown == ["", "began", *["lasts"] * 11, "gone", "", ""]
    assert [subject for subject, _ in site.messages.told] == ["Sensors: 1 fell silent", "Sensors: 1 given up"]


def test_outage_is_one_message_and_no_rows() -> None:
    """Everybody misses: told once; those who come back are not called silent."""
    site = Site()
    site.windows(3, FLEET)
    outage = [site.window(["a"]) for _ in range(3)]
    assert [site.silences(window) for window in outage] == [{}, {}, {}]
    assert [lineage_of(site.state, window).completeness for window in outage] == [0.25, 0.25, 0.25]
    assert [subject for subject, _ in site.messages.told] == ["Most sensors are silent"]
    assert site.silences(site.window(FLEET)) == {}
    assert [subject for subject, _ in site.messages.told][1:] == ["Sensors: most sensors are heard again"]


def test_lineage_tells_how_complete_a_window_is() -> None:
    """Sensors heard, of those of the twelve windows before; unknown when there were none."""
    site = Site()
    first = site.window(FLEET)
    second = site.window([*FLEET[1:], "new"])
    assert lineage_of(site.state, first).completeness is None
    lineage = lineage_of(site.state, second)
    assert (lineage.sensors, lineage.sensors_expected, lineage.completeness, lineage.silent) == (4, 4, 1.0, 0)


def test_second_tick_tells_nothing_and_writes_nothing() -> None:
    """A doubled schedule is not heard."""
    site = Site()
    site.windows(3, FLEET)
    site.windows(2, FLEET[:3])
    before, told = contents(site.state), list(site.messages.told)
    operations: list[Operation] = []
    Tick(
        buckets=buckets(recording(site.state.apply, operations)),
        lifetimes=LIFETIMES,
        scheduled_time_ms=site.now_ms + 120_000,
        notifier=site.messages,
    ).run()
    assert not [one for one in operations if isinstance(one, Put | Delete)]
    assert (contents(site.state), site.messages.told) == (before, told)


def test_late_readings_take_a_silence_back() -> None:
    """The sensor was heard after all: the windows that called it silent no longer do; no message is sent."""
    site = Site()
    site.windows(3, FLEET)
    missing = site.window(FLEET[:3])
    silent = site.window(FLEET[:3])
    site.window(FLEET)
    assert site.silences(silent) == {"d": "began"}
    told = len(site.messages.told)
    late = [("d", 5, 0, 1)]
    site.state.apply(partial_put(missing, late, first=999))
    site.state.apply(marker_put(missing, late))
    site.tick()
    assert site.silences(silent) == {}
    assert lineage_of(site.state, silent).silent == 0
    assert len(site.messages.told) == told


def test_late_readings_of_an_old_window_change_its_own_completeness() -> None:
    """That of the windows after it stays as it was: they are recent no more."""
    site = Site()
    site.windows(3, FLEET)
    missing = site.window(FLEET[:3])
    site.windows(30, FLEET[:3])
    assert lineage_of(site.state, missing).completeness == 0.75
    late = [("d", 5, 0, 1)]
    site.state.apply(partial_put(missing, late, first=999))
    site.state.apply(marker_put(missing, late))
    site.tick()
    assert lineage_of(site.state, missing).completeness == 1.0


def test_a_silence_that_there_was_no_time_for_is_worked_out_at_the_next_tick() -> None:
    """The run that rolled the window, hours after its end, was over too soon, and no other rule finds it."""
    site = Site()
    window = Window(BEGIN)
    site.state.apply(partial_put(window, [(who, 1_000, 0, 20_000) for who in FLEET]))

    def until_it_is_rolled() -> bool:
        return lineage_key(window) not in site.state.buckets.get(RESULTS, {})

    first_ms = window.end_ms + 40 * WINDOW_MS + FIRST_TICK_AFTER_MS
    Tick(
        buckets=buckets(site.state.apply),
        lifetimes=LIFETIMES,
        scheduled_time_ms=first_ms,
        time_left=until_it_is_rolled,
    ).run()
    assert lineage_of(site.state, window).sensors == len(FLEET)
    assert not lineage_of(site.state, window).presence
    assert len(markers_of(site.state)) == 1
    report = tick(site.state.apply, first_ms + WINDOW_MS)
    assert window not in {one.window for one in report.windows}
    assert lineage_of(site.state, window).presence
    assert markers_of(site.state) == []


def test_deleted_silences_heal() -> None:
    """The same bytes at the next tick."""
    site = Site()
    site.windows(3, FLEET)
    site.windows(1, FLEET[:3])
    silent = site.window(FLEET[:3])
    before = contents(site.state)
    site.state.apply(Delete(RESULTS, silences_key(silent)))
    site.tick()
    assert contents(site.state) == before


def test_nobody_who_listens_is_no_failure_of_the_tick() -> None:
    """A topic that is gone costs the message, not the windows."""

    class Deaf:
        def notify(self, subject: str, message: str) -> None:
            raise ConnectionError(subject, message)

    site = Site()
    site.windows(3, FLEET)
    site.messages = Deaf()  # type: ignore[assignment]
    site.windows(1, FLEET[:3])
    assert site.silences(site.window(FLEET[:3])) == {"d": "began"}


def test_ticks_that_were_missed_are_made_good() -> None:
    """One tick for all windows of four hours, more than are recent, works out the same as a tick for each."""
    one, other = Site(), Site()
    heard = ([FLEET] * 6 + [FLEET[:3]] * 3 + [FLEET] * 3) * 4
    assert len(heard) > 24
    for sensors in heard:
        one.window(sensors)
    for number, sensors in enumerate(heard):
        window = Window(BEGIN + number * WINDOW_MS)
        other.state.apply(partial_put(window, [(who, 1_000, 0, 20_000) for who in sensors], first=window.index))
    tick(other.state.apply, one.now_ms + 120_000)
    tick(one.state.apply, next_tick(one.now_ms + 120_000))
    for number in range(len(heard)):
        window = Window(BEGIN + number * WINDOW_MS)
        assert one.silences(window) == other.silences(window)
        assert lineage_of(one.state, window).presence == lineage_of(other.state, window).presence
