"""A stage that has run for longer than its lifetimes, and what its ticks ask of S3 while nothing goes wrong."""

from collections import Counter

from dispatcher.due import closing_ms, windows_within_reach
from dispatcher.report import RollOutcome
from dispatcher.tick import Tick
from tests.lineages import lineage_of
from tests.simulation.lake import RESULTS, buckets, partial_put
from tests.simulation.simulated_s3 import Put, S3State
from windrow.lake.layout import lineage_key
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS
from windrow.rows.lineage import fingerprint
from windrow.rows.silence import HISTORY_WINDOWS
from windrow.rules.stored import StoredRules
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS, Window

LIFETIMES = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24)
"""The template's defaults."""
MIDNIGHT = parse_rfc3339_ms("2026-11-20T00:02:00Z")
BATCHES = 15
"""Batches of a shard in a window: one every 20 seconds."""
SENSORS_PER_SHARD = 2


def idle_stage(scheduled_time_ms: int) -> S3State:
    """Buckets in which every window within reach is closed and had no readings; a sweep of a day marks final ones."""
    state = S3State()
    swept_ms = scheduled_time_ms - DAY_MS
    for window in windows_within_reach(scheduled_time_ms, LIFETIMES):
        lineage = lineage_of(
            window,
            fingerprint=fingerprint([]),
            is_final=LIFETIMES.is_final(window, scheduled_time_ms=swept_ms),
            scheduled_time_ms=scheduled_time_ms,
        )
        state.apply(Put(RESULTS, lineage_key(window), lineage.to_json()))
    return state


def requests_per_tick(shards: int, *, ticks: int = 12, rules: StoredRules | None = None) -> dict[str, float]:
    """Requests by kind, the mean of so many ticks; the last ends an hour.

    Each of `shards` brings BATCHES partials a window; with none, the stage is idle. The ticks before those that are
    counted fill the windows that silences follow from. `rules` judge the rows; nobody is told.
    """
    before = -(-HISTORY_WINDOWS // 12) * 12
    state = idle_stage(MIDNIGHT)
    calls: Counter[str] = Counter()
    for number in range(1, before + ticks + 1):
        scheduled_time_ms = MIDNIGHT + number * WINDOW_MS
        window = Window(closing_ms(scheduled_time_ms) - WINDOW_MS)
        for shard in range(shards):
            for batch in range(BATCHES):
                rows = [(f"{shard}-{one}", batch * 20_000 + one, 0, 20_000) for one in range(SENSORS_PER_SHARD)]
                state.apply(partial_put(window, rows, shard=shard, first=number * BATCHES + batch))
        tick = Tick(buckets=buckets(state.apply), lifetimes=LIFETIMES, scheduled_time_ms=scheduled_time_ms, rules=rules)
        report = tick.run()
        assert report.outcomes.keys() <= {RollOutcome.ROLLED, RollOutcome.RECORDED, RollOutcome.SETTLED}
        assert all(period.outcome is RollOutcome.ROLLED for period in report.periods), report.periods
        if number > before:
            calls.update(report.s3_calls)
    return {kind: count / ticks for kind, count in calls.items()}
