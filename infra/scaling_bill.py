"""Once a day the scaling compares what the stream cost with its shards with what it would have cost on demand.

The comparison is an object in the results, of the week that ended with the day; so what is told hangs on nothing but
metrics, actions and the objects of the days before. A suggestion is told once a week at most.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from infra.prices import PriceTable
from infra.scaling import ScalingAction
from infra.stream_bill import HOURS_PER_MONTH, StreamUse, on_demand_bill, provisioned_bill
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.lake.store import ObjectStore, PreconditionFailed
from windrow.period import DAY_MS, HOUR_MS
from windrow.timestamps import format_rfc3339

DAYS = 7
"""How many days are compared: loads come by the week."""
HOURS_MIN = 24
SAVING_PERCENT_MIN = 10
"""Below that, prices of another region and records of unequal sizes may turn it round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What went through a stream from `start_ms` to `end_ms`, by all producers and readers."""

    start_ms: int
    end_ms: int
    records: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """US dollars a month, if all months were as these hours: with shards, so many on average, and on demand."""

    hours: float
    shards: float
    provisioned_usd: float
    on_demand_usd: float

    @property
    def suggests_on_demand(self) -> bool:
        """Whether it would save SAVING_PERCENT_MIN, as far as HOURS_MIN can tell."""
        is_cheaper = 100 * self.on_demand_usd <= (100 - SAVING_PERCENT_MIN) * self.provisioned_usd
        return is_cheaper and self.hours >= HOURS_MIN


def shard_hours(actions: Sequence[ScalingAction], *, shards: int, start_ms: int, end_ms: int) -> float:
    """Return the hours of all open shards together from `start_ms` to `end_ms`, with `shards` after the last action.

    actions: oldest first. Each tells how many shards there were until then, whatever became of it. Shards that somebody
    else changed are not known of.
    """
    total_ms = 0
    for action in reversed(actions):
        if action.at_ms <= start_ms:
            break
        at_ms = min(action.at_ms, end_ms)
        total_ms += shards * (end_ms - at_ms)
        shards, end_ms = action.shards_from, at_ms
    return (total_ms + shards * (end_ms - start_ms)) / HOUR_MS


def compare(
    passed: Passed, actions: Sequence[ScalingAction], *, shards: int, retention_hours: int, table: PriceTable
) -> Comparison:
    """Return both prices of what went through a stream that has so many shards now."""
    hours = (passed.end_ms - passed.start_ms) / HOUR_MS
    use = StreamUse(
        hours=hours,
        shard_hours=shard_hours(actions, shards=shards, start_ms=passed.start_ms, end_ms=passed.end_ms),
        records=passed.records,
        bytes_in=passed.bytes_in,
        bytes_out=passed.bytes_out,
    )
    months = hours / HOURS_PER_MONTH
    return Comparison(
        hours=hours,
        shards=use.shard_hours / hours,
        provisioned_usd=provisioned_bill(use, retention_hours=retention_hours, table=table).total / months,
        on_demand_usd=on_demand_bill(use, retention_hours=retention_hours, table=table).total / months,
    )


def keep_comparison(
    results: ObjectStore,
    made: Callable[[int, int], Comparison | None],
    *,
    now_ms: int,
    tell: Callable[[Comparison], object],
) -> Comparison | None:
    """Compare the week that ended with the day before `now_ms`, unless that was done, and return it if it was not.

    `made` is given that week, and returns None if nothing is known of it, which is not kept. `tell` is called for a
    suggestion, if none was told on the six days before; twice rather than never, if a run dies meanwhile.
    """
    end_ms = now_ms // DAY_MS * DAY_MS
    key = layout.scaling_bill_key(end_ms - DAY_MS)
    if results.get(key) is not None:
        return None
    found = made(end_ms - DAYS * DAY_MS, end_ms)
    if found is None:
        return None
    is_told = found.suggests_on_demand and not any(
        _was_told(results, layout.scaling_bill_key(end_ms - day * DAY_MS)) for day in range(2, DAYS + 1)
    )
    if is_told:
        tell(found)
    fields = {
        "to": format_rfc3339(end_ms),
        "hours": found.hours,
        "shards": round(found.shards, 2),
        "provisioned_usd_month": round(found.provisioned_usd, 2),
        "on_demand_usd_month": round(found.on_demand_usd, 2),
        "suggests_on_demand": found.suggests_on_demand,
        "told": is_told,
    }
    with suppress(PreconditionFailed):  # another run of this minute did the same
        results.put(key, json.dumps(fields, indent=1).encode() + b"\n", if_absent=True)
    return found


def _was_told(results: ObjectStore, key: str) -> bool:
    stored = results.get(key)
    if stored is None:
        return False
    try:
        return bool(json.loads(stored.body)["told"])
    except (KeyError, TypeError, ValueError) as error:
        raise WindrowError(f"{key} is no comparison of the scaling: {error}") from error


def suggestion_of(stage: str, stream: str, found: Comparison) -> tuple[str, str]:
    """Return the subject and the text of a message that suggests a stream on demand."""
    subject = f"{stream}: on demand it would cost less"
    text = (
        f"{subject}.\n"
        f"In the last {found.hours / 24:.0f} days it had {found.shards:.1f} shards on average. That is"
        f" {found.provisioned_usd:,.2f} USD a month at list prices, and the same records would have been"
        f" {found.on_demand_usd:,.2f} USD on demand.\n"
        f"To change: windrow deploy --target aws --stage {stage} --set StreamMode=ON_DEMAND --set Scaling=none\n"
        "Readings go on being taken and counted meanwhile. Kinesis allows two such changes in 24 hours.\n"
    )
    return subject, text
