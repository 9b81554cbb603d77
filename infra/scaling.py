"""When a provisioned stream gets twice its shards, or half of them: a pure function of its load, limits and past.

Kinesis at most doubles or halves a stream's shards at once, ten times in 24 hours, and goes on taking and giving
records meanwhile (UpdateShardCount, "default limits"). A shard takes 1 MB and 1,000 records a second. A stream is
doubled early, because records are refused as soon as it is full, and halved late, because that only saves money: what
lies between the two thresholds is where a load may swing without moving the stream. See docs/adr/0041.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from windrow.period import DAY_MS, HOUR_MS

PERIOD_MS = 300_000
"""What metrics are summed over."""
PERIODS = 6
"""How many periods are looked at; all of them are quiet before shards are halved."""
UP_PERIODS, UP_PERIODS_OF = 2, 3
"""How many of the newest periods are full before shards are doubled: one may be a burst."""
UP_PERCENT = 70
DOWN_PERCENT = 25
"""Half the shards are then less than 50 % full, far from being doubled again."""
CHANGES_PER_DAY = 10
REFUSED_PAUSE_MS = 1_800_000
"""How long nothing is tried again after Kinesis refused: the reason is a limit, which does not pass in five minutes."""
UNANSWERED_PAUSE_MS = 600_000
"""How long a change that was begun, and of which nothing more is known, may still come to be; longer than a run."""
_SHARD_BYTES = 1_000_000 * PERIOD_MS // 1_000
_SHARD_RECORDS = 1_000 * PERIOD_MS // 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLoad:
    """What came to the whole stream within a period that begins at `start_ms`: taken, and records `refused`."""

    start_ms: int
    byte_count: int
    records: int
    refused: int = 0

    def percent(self, shards: int) -> int:
        """Return how full so many shards are on average, by bytes or by records, whichever is more; floored."""
        return max(100 * self.byte_count // (shards * _SHARD_BYTES), 100 * self.records // (shards * _SHARD_RECORDS))

    def is_full(self, shards: int) -> bool:
        """Whether so many shards are too few.

        Refused records of a stream that is nearly empty do not count: one key sends all of them to one shard, and more
        shards do not help it.
        """
        percent = self.percent(shards)
        return percent >= UP_PERCENT or (self.refused > 0 and percent >= DOWN_PERCENT)

    def is_quiet(self, shards: int) -> bool:
        """Whether half of so many shards would do."""
        return not self.refused and self.percent(shards) < DOWN_PERCENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLimits:
    """Between what numbers a stream is scaled, and how long it keeps records. ValueError names what cannot be."""

    shards_min: int
    shards_max: int
    retention_hours: int

    def __post_init__(self) -> None:
        """Refuse limits that no stream fits into."""
        if not 1 <= self.shards_min <= self.shards_max:
            raise ValueError(f"no number of shards is from {self.shards_min} to {self.shards_max}")


class ActionState(StrEnum):
    """What is known of an action: it was begun, Kinesis accepted it, or Kinesis refused it."""

    BEGUN = "begun"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingAction:
    """A change of the number of shards, decided by the run that was scheduled for `at_ms`."""

    at_ms: int
    shards_from: int
    shards_to: int
    reason: str
    state: ActionState = ActionState.BEGUN
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The number of shards to go to, None to stay, and why, in words for people."""

    shards_to: int | None
    reason: str


def decide(
    loads: Sequence[PeriodLoad],
    *,
    shards: int,
    is_active: bool,
    limits: ShardLimits,
    actions: Sequence[ScalingAction],
    now_ms: int,
) -> Decision:
    """Return what a run scheduled for `now_ms` does with a stream of so many open shards.

    loads: the last PERIODS whole periods before `now_ms`, without those of which nothing is known, in any order.
    actions: those of the last 24 hours and of the stream's retention, oldest first; more of them never allow more.
    A stream that is not `is_active` is being changed.
    """
    if not is_active:
        return Decision(None, "the stream is being changed")
    done = [action for action in actions if _may_be_done(action, shards, is_last=action is actions[-1], now_ms=now_ms)]
    wanted = _wanted(loads, shards=shards, limits=limits, since_ms=done[-1].at_ms if done else 0, now_ms=now_ms)
    if wanted.shards_to is None:
        return wanted
    forbidden = _forbidden(actions, done, limits=limits, is_up=wanted.shards_to > shards, now_ms=now_ms)
    return wanted if forbidden is None else Decision(None, f"{forbidden}; otherwise: {wanted.reason}")


def _may_be_done(action: ScalingAction, shards: int, *, is_last: bool, now_ms: int) -> bool:
    """Whether the number of shards was changed by an action, as far as anybody can know."""
    if action.state is not ActionState.BEGUN:
        return action.state is ActionState.ACCEPTED
    is_over = now_ms - action.at_ms >= UNANSWERED_PAUSE_MS
    return not (is_last and is_over and shards == action.shards_from)


def _wanted(loads: Sequence[PeriodLoad], *, shards: int, limits: ShardLimits, since_ms: int, now_ms: int) -> Decision:
    """Return what limits and load ask for; only periods that began after the last change, at `since_ms`, count."""
    up, down = min(2 * shards, limits.shards_max), max(-(-shards // 2), limits.shards_min)
    if shards < limits.shards_min:
        return Decision(min(2 * shards, limits.shards_min), f"{shards} shards are fewer than {limits.shards_min}")
    if shards > limits.shards_max:
        target = max(-(-shards // 2), limits.shards_max)
        return Decision(target, f"{shards} shards are more than {limits.shards_max}")
    end_ms = now_ms // PERIOD_MS * PERIOD_MS
    known = [load for load in loads if load.start_ms >= max(since_ms, end_ms - PERIODS * PERIOD_MS)]
    newest = [load for load in known if load.start_ms >= end_ms - UP_PERIODS_OF * PERIOD_MS]
    full = [load for load in newest if load.is_full(shards)]
    percents = [load.percent(shards) for load in known]
    if len(full) >= UP_PERIODS:
        refused = sum(load.refused for load in full)
        reason = f"{max(load.percent(shards) for load in full)} % full"
        reason += f", {refused:,} records refused" if refused else ""
        return Decision(up, reason) if up > shards else Decision(None, f"{reason}, and no more shards are allowed")
    if len(known) == PERIODS and all(load.is_quiet(shards) for load in known):
        reason = f"at most {max(percents)} % full for half an hour"
        return Decision(down, reason) if down < shards else Decision(None, f"{reason}, with the fewest shards")
    return Decision(None, f"at most {max(percents)} % full" if percents else "nothing is known of the load yet")


def _forbidden(
    actions: Sequence[ScalingAction],
    done: Sequence[ScalingAction],
    *,
    limits: ShardLimits,
    is_up: bool,
    now_ms: int,
) -> str | None:
    """Return why nothing may be changed now; None if it may."""
    refused = [action for action in actions if action.state is ActionState.REFUSED]
    if refused and now_ms - refused[-1].at_ms < REFUSED_PAUSE_MS:
        return "Kinesis refused a change within the last half hour"
    if done and now_ms - done[-1].at_ms < UNANSWERED_PAUSE_MS:
        return "the last change is less than ten minutes old"
    if sum(now_ms - action.at_ms < DAY_MS for action in done) >= CHANGES_PER_DAY:
        return f"{CHANGES_PER_DAY} changes were made within 24 hours"
    if not is_up and done and now_ms - done[-1].at_ms < limits.retention_hours * HOUR_MS:
        return f"a closed shard may hold records of the last {limits.retention_hours} hours"
    return None
