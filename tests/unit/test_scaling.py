"""Scaling=auto against a stream that refuses what Kinesis refuses: what is decided, logged, told and asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from infra.scaling import (
    CHANGES_PER_DAY,
    PERIOD_MS,
    PERIODS,
    REFUSED_PAUSE_MS,
    ActionState,
    Decision,
    PeriodLoad,
    ScalingAction,
    ShardLimits,
    decide,
)
from infra.scaling_run import ScalingReport, read_actions, scale
from tests.simulation.simulated_s3 import Answer, Crash, Operation, Put, S3State, SimulatedStore, crashing
from tests.unit.simulated_aws import RefusedError, Stream
from windrow.aws.stream import Refused, StreamSummary, Unanswered
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.period import DAY_MS, HOUR_MS

START_MS = 1_763_596_800_000  # a midnight
FIVE_MINUTES = 300_000
LIMITS = ShardLimits(shards_min=1, shards_max=16, retention_hours=24)
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing load of days is not made smaller: that takes minutes, and any of them says enough."""
PERCENT_OF_A_SHARD = 1_000_000 * 300 // 100


def load(start_ms: int, percent_of_one: int, refused: int = 0) -> PeriodLoad:
    """A period in which so many percent of what one shard takes came."""
    return PeriodLoad(start_ms=start_ms, byte_count=percent_of_one * PERCENT_OF_A_SHARD, records=0, refused=refused)


@dataclass
class Scene:
    """A stage whose load is told by `percent_of_one`, in percent of one shard, for each period from START_MS on."""

    percent_of_one: dict[int, int] = field(default_factory=dict)
    stream: Stream = field(default_factory=lambda: Stream(1))
    objects: S3State = field(default_factory=S3State)
    limits: ShardLimits = LIMITS
    now_ms: int = START_MS
    told: list[tuple[str, str]] = field(default_factory=list)
    dies: str = ""
    name: str = "windrow-prod"
    updating_runs: int = 0
    """For how many runs the stream is still UPDATING."""

    def __post_init__(self) -> None:
        """Open the results."""
        self.results = SimulatedStore(self.objects.apply, "results")

    def summary(self) -> StreamSummary:
        """The stream now."""
        return StreamSummary(
            arn="", open_shards=self.stream.shards, retention_hours=24, created_ms=0, is_active=not self.updating_runs
        )

    def update_shard_count(self, shards: int) -> Refused | None:
        """Change it as Kinesis does, or refuse as it does."""
        if self.dies == "before":
            raise Unanswered("the run is killed")
        try:
            self.stream.update_shard_count(shards, self.now_ms / HOUR_MS)
        except RefusedError as error:
            return Refused("LimitExceededException", str(error))
        if self.dies == "after":
            raise Unanswered("the run is killed")
        return None

    def loads(self) -> Sequence[PeriodLoad]:
        """The last half hour; what is above the shards is refused."""
        end_ms = self.now_ms // PERIOD_MS * PERIOD_MS
        return [
            load(start_ms, min(percent, 100 * self.stream.shards), refused=int(percent > 100 * self.stream.shards))
            for start_ms in range(end_ms - PERIODS * PERIOD_MS, end_ms, PERIOD_MS)
            if (percent := self.percent_of_one.get(start_ms)) is not None
        ]

    def run(self) -> ScalingReport:
        """One run now."""
        return scale(
            self,
            self.results,
            loads=self.loads,
            limits=self.limits,
            now_ms=self.now_ms,
            tell=lambda subject, text: self.told.append((subject, text)),
        )

    def pass_periods(self, percents: Sequence[int]) -> list[ScalingReport]:
        """Let periods with these loads pass, each with its run three minutes after it."""
        return [self._pass(percent) for percent in percents]

    def _pass(self, percent: int) -> ScalingReport:
        start_ms = self.now_ms // PERIOD_MS * PERIOD_MS
        self.percent_of_one[start_ms] = percent
        self.now_ms = start_ms + PERIOD_MS + 180_000
        report = self.run()
        self.updating_runs = max(0, self.updating_runs - 1)
        return report


def changes(reports: Sequence[ScalingReport]) -> list[int]:
    """The numbers of shards that were gone to."""
    return [
        report.action.shards_to
        for report in reports
        if report.action is not None and report.action.state is ActionState.ACCEPTED
    ]


DAY = 288


def clock(at_ms: int) -> str:
    """Hours and minutes since START_MS."""
    minutes = (at_ms - START_MS) // 60_000
    return f"{minutes // 60}:{minutes % 60:02}"


@pytest.mark.slow
def test_a_load_that_doubles_four_times_and_falls_again_ends_where_it_began() -> None:
    """The table of docs/scaling.md: fifteen minutes between two doublings, a day between two halvings."""
    scene = Scene()
    reports = scene.pass_periods([10] * 6)
    for percent in (90, 180, 360, 720):
        reports += scene.pass_periods([percent] * 12)
    assert scene.stream.shards == 16
    reports += scene.pass_periods([10] * (4 * DAY + 24))
    assert changes(reports) == [2, 4, 8, 16, 8, 4, 2, 1]
    actions = read_actions(scene.results, since_ms=0)
    table = [f"{clock(action.at_ms)} {action.shards_from} {action.shards_to} {action.reason}" for action in actions]
    assert table == TABLE
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    for row in TABLE:
        at, shards_from, shards_to, reason = row.split(" ", 3)
        assert re.search(rf"\| {at} \| [\d.]+ \| {shards_from} \| {shards_to} \| {reason} \|", page), row
    assert len(scene.told) == 8
    assert scene.told[0][0] == "windrow-prod: from 1 to 2 shards"


TABLE = [
    "0:43 1 2 90 % full",
    "1:43 2 4 90 % full",
    "2:43 4 8 90 % full",
    "3:43 8 16 90 % full",
    "27:43 16 8 at most 0 % full for half an hour",
    "51:43 8 4 at most 1 % full for half an hour",
    "75:43 4 2 at most 2 % full for half an hour",
    "99:43 2 1 at most 5 % full for half an hour",
]


@pytest.mark.slow
@given(st.lists(st.integers(0, 40), min_size=60, max_size=60), st.integers(1, 16), st.data())
@settings(max_examples=30, deadline=None, phases=WITHOUT_SHRINKING)
def test_whatever_the_load_nothing_is_asked_that_kinesis_refuses(steps: list[int], shards: int, data: Any) -> None:
    """Never more than twofold, never beyond the limits, ten in 24 hours; halved a day after the last change only."""
    fewest = data.draw(st.integers(1, shards))
    scene = Scene(stream=Stream(shards), limits=replace(LIMITS, shards_min=fewest))
    percents = [100 * step for step in steps for _ in range(data.draw(st.integers(1, 8)))]
    reports = scene.pass_periods(percents)
    actions = read_actions(scene.results, since_ms=0)
    assert all(action.state is ActionState.ACCEPTED for action in actions), "Kinesis refused one"
    assert len(changes(reports)) == len(actions) == len(scene.told)
    counts = [shards, *changes(reports)]
    assert all(fewest <= count <= LIMITS.shards_max for count in counts)
    for last, action in pairwise(actions):
        rest_ms = action.at_ms - last.at_ms
        assert rest_ms >= (DAY_MS if action.shards_to < action.shards_from else 3 * FIVE_MINUTES)


@given(st.lists(st.sampled_from([0, 20, 24, 25, 26, 69, 70, 71, 100, 140, 200]), min_size=40, max_size=80))
@settings(max_examples=12, deadline=None)
def test_a_flapping_load_moves_the_stream_a_bounded_number_of_times(percents: list[int]) -> None:
    """Up as often as its peak needs, which is twice here; and within a day never down."""
    scene = Scene()
    assert changes(scene.pass_periods(percents)) in ([], [2], [2, 4])


def test_a_load_at_the_edge_of_a_threshold_does_not_flap_for_days() -> None:
    """Quiet nights and days that need two shards: doubled each morning, halved at most once a day."""
    scene = Scene()
    for _ in range(3):
        reports = scene.pass_periods([10] * 144 + [90] * 144)
        assert len(changes(reports)) <= 2


ACTION = ScalingAction(at_ms=START_MS, shards_from=1, shards_to=2, reason="", state=ActionState.ACCEPTED)


@given(
    st.lists(
        st.builds(
            ScalingAction,
            at_ms=st.integers(START_MS - DAY_MS, START_MS + DAY_MS),
            shards_from=st.integers(1, 8),
            shards_to=st.integers(1, 8),
            reason=st.just(""),
            state=st.sampled_from(ActionState),
        ),
        max_size=12,
    ),
    st.lists(st.integers(0, 900), min_size=6, max_size=6),
    st.integers(1, 20),
)
@settings(max_examples=25)
def test_a_log_only_forbids(actions: list[ScalingAction], percents: list[int], shards: int) -> None:
    """So that it need not be read for a stream that is well as it is."""
    now_ms = START_MS + DAY_MS + 180_000
    loads = [load(START_MS + DAY_MS - (6 - at) * PERIOD_MS, percent) for at, percent in enumerate(percents)]
    actions.sort(key=lambda action: action.at_ms)

    def decided(log: Sequence[ScalingAction]) -> Decision:
        return decide(loads, shards=shards, is_active=True, limits=LIMITS, actions=log, now_ms=now_ms)

    assert decided(actions).shards_to in (None, decided(()).shards_to)


def test_two_runs_of_the_same_minute_make_one_action() -> None:
    """One after the other, or both between reading and writing."""
    scene = Scene()
    assert changes(scene.pass_periods([90, 90])) == [2]
    assert scene.run().action is None
    assert len(scene.told) == 1
    other = Scene(percent_of_one=scene.percent_of_one, now_ms=scene.now_ms)

    def after_another(operation: Operation) -> Answer:
        """What another run writes between the listing and the put of this one."""
        if isinstance(operation, Put):
            other.objects.apply(Put("results", operation.key, operation.body))
        return other.objects.apply(operation)

    other.results = SimulatedStore(after_another, "results")
    assert other.run().decision.reason == "another run of this minute acts"
    assert other.stream.counts == []


def test_a_refused_call_changes_nothing_and_is_tried_again_in_half_an_hour() -> None:
    """The account has no shards left, say; the message says what Kinesis said."""
    scene = Scene(limits=replace(LIMITS, shards_max=500))
    scene.stream.resharded_at = [START_MS / HOUR_MS] * 10
    reports = scene.pass_periods([90] * 14)
    assert changes(reports) == []
    assert scene.stream.shards == 1
    assert len(scene.told) == 3
    assert "Kinesis refused to go from 1 to 2 shards" in scene.told[0][0]
    assert "more than ten scalings" in scene.told[0][1]
    tried = [action.at_ms for action in read_actions(scene.results, since_ms=0)]
    assert tried[1] - tried[0] == REFUSED_PAUSE_MS
    scene.stream.resharded_at = []
    assert changes(scene.pass_periods([90] * 6)) == [2]


@pytest.mark.parametrize(("dies", "again"), [("before", True), ("after", False)])
def test_a_run_that_is_killed_at_its_call_is_made_good(dies: str, again: bool) -> None:
    """What was not done is done ten minutes later; what was done is not done twice."""
    scene = Scene(dies=dies)
    scene.pass_periods([90])
    with pytest.raises(Unanswered):
        scene.pass_periods([90])
    assert scene.stream.counts == ([] if again else [2])
    assert [action.state for action in read_actions(scene.results, since_ms=0)] == [ActionState.BEGUN]
    scene.dies = ""
    (soon,) = scene.pass_periods([90])
    assert soon.action is None
    scene.pass_periods([90] * 4)
    assert scene.stream.counts == [2]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(3))
def test_a_run_that_is_killed_at_a_request_to_s3_is_made_good(at: int, after: bool) -> None:
    """Listing, the action, its outcome: each time the stream is doubled once, at the latest ten minutes later."""
    scene = Scene()
    scene.pass_periods([90])
    scene.results = SimulatedStore(crashing(scene.objects.apply, at=at, after=after), "results")
    with pytest.raises(Crash):
        scene.pass_periods([90])
    scene.results = SimulatedStore(scene.objects.apply, "results")
    scene.pass_periods([90] * 6)
    assert scene.stream.counts == [2]


def test_ten_changes_a_day_and_then_none() -> None:
    """Whoever made them: the eleventh is not even asked for."""
    actions = [replace(ACTION, at_ms=START_MS + at * 20 * 60_000) for at in range(CHANGES_PER_DAY)]
    now_ms = START_MS + 12 * HOUR_MS
    loads = [load(now_ms - at * PERIOD_MS, 900) for at in range(1, 7)]
    reason = decide(loads, shards=2, is_active=True, limits=LIMITS, actions=actions, now_ms=now_ms)
    assert reason.shards_to is None
    assert reason.reason.startswith("10 changes")
    assert decide(loads, shards=2, is_active=True, limits=LIMITS, actions=actions[1:], now_ms=now_ms).shards_to == 4


@pytest.mark.parametrize(
    ("shards", "fewest", "to"), [(8, 1, 4), (5, 1, 3), (3, 1, 2), (3, 2, 2), (4, 3, 3), (2, 2, None), (1, 1, None)]
)
def test_a_quiet_stream_is_halved_and_rounded_up(shards: int, fewest: int, to: int | None) -> None:
    """And has the fewest shards at last."""
    limits = replace(LIMITS, shards_min=fewest)
    loads = [load(START_MS - at * PERIOD_MS, 1) for at in range(1, 7)]
    decision = decide(loads, shards=shards, is_active=True, limits=limits, actions=(), now_ms=START_MS)
    assert decision.shards_to == to


@pytest.mark.parametrize(
    ("state", "shards_from", "counts"),
    [
        (ActionState.ACCEPTED, 2, True),
        (ActionState.REFUSED, 2, False),
        (ActionState.BEGUN, 2, True),
        (ActionState.BEGUN, 4, False),
    ],
)
def test_shards_rest_after_a_change_that_was_made(state: ActionState, shards_from: int, counts: bool) -> None:
    """Not after one that was refused, or that was begun an hour ago and never came: there are as many as before it."""
    now_ms = START_MS + HOUR_MS
    loads = [load(now_ms - at * PERIOD_MS, 1) for at in range(1, 7)]
    action = replace(ACTION, state=state, shards_from=shards_from, shards_to=6 - shards_from)
    decision = decide(loads, shards=4, is_active=True, limits=LIMITS, actions=[action], now_ms=now_ms)
    assert decision.shards_to == (None if counts else 2)


@pytest.mark.parametrize("age_minutes", [-5, 0, 5])
def test_runs_close_to_a_change_do_nothing(age_minutes: int) -> None:
    """Also one whose event is late, and which is scheduled for before it; even where limits ask for more."""
    action = replace(ACTION, at_ms=START_MS - age_minutes * 60_000)
    limits = replace(LIMITS, shards_min=8)
    decision = decide((), shards=2, is_active=True, limits=limits, actions=[action], now_ms=START_MS)
    assert decision.shards_to is None
    assert decide((), shards=2, is_active=True, limits=limits, actions=(), now_ms=START_MS).shards_to == 4


def test_missing_metrics_move_nothing() -> None:
    """A stream of which nothing is known is neither full nor quiet; five known periods are not half an hour."""
    now_ms = START_MS + HOUR_MS
    quiet = [load(now_ms - at * PERIOD_MS, 1) for at in range(1, 7)]

    def decided(loads: Sequence[PeriodLoad]) -> Decision:
        return decide(loads, shards=4, is_active=True, limits=LIMITS, actions=(), now_ms=now_ms)

    assert decided([]) == Decision(None, "nothing is known of the load yet")
    assert decided(quiet).shards_to == 2
    assert all(decided([*quiet[:at], *quiet[at + 1 :]]).shards_to is None for at in range(6))


def test_one_burst_does_not_double_and_neither_does_a_hot_key() -> None:
    """One full period of three; and records refused by a stream that is nearly empty."""
    now_ms = START_MS + HOUR_MS

    def decided(*percents: int, refused: int = 0) -> int | None:
        loads = [load(now_ms - at * PERIOD_MS, percent, refused) for at, percent in enumerate(percents, start=1)]
        return decide(loads, shards=2, is_active=True, limits=LIMITS, actions=(), now_ms=now_ms).shards_to

    assert decided(190, 60, 60, 190, 190, 190) is None
    assert decided(60, 190, 190, 60, 60, 60) == 4
    assert decided(60, 60, 60, refused=1) == 4
    assert decided(40, 40, 40, 40, 40, 40, refused=1) is None
    assert decided(40, 40, 40, 40, 40, 40) == 1


def test_a_stream_that_is_being_changed_is_left_alone() -> None:
    """Its metrics are of old shards and new ones."""
    scene = Scene(updating_runs=3)
    assert changes(scene.pass_periods([90] * 3)) == []
    assert changes(scene.pass_periods([90])) == [2]


def test_limits_hold_whatever_the_load() -> None:
    """Also when they were moved: the stream goes there by double and half."""
    now_ms = START_MS + HOUR_MS

    def decided(shards: int, fewest: int, most: int) -> int | None:
        limits = ShardLimits(shards_min=fewest, shards_max=most, retention_hours=24)
        return decide((), shards=shards, is_active=True, limits=limits, actions=(), now_ms=now_ms).shards_to

    assert [decided(1, 3, 8), decided(2, 3, 8), decided(3, 3, 8)] == [2, 3, None]
    assert [decided(32, 1, 7), decided(9, 1, 7), decided(7, 1, 7)] == [16, 7, None]
    with pytest.raises(ValueError, match="from 3 to 2"):
        ShardLimits(shards_min=3, shards_max=2, retention_hours=24)


def test_an_object_that_is_no_action_is_named() -> None:
    """It is not skipped: it may have been a change."""
    results = Scene().results
    results.put(layout.scaling_key(START_MS), b"{}")
    with pytest.raises(WindrowError, match=r"scaling/dt=2025-11-20/0000\.json is no action"):
        read_actions(results, since_ms=0)
