"""One tick over windows that are all settled, on the simulated S3: what it asks for."""

from collections.abc import Mapping

from dispatcher.due import due_windows, windows_within_reach
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.tick import Tick
from tests.simulation.simulated_s3 import Put, S3State, SimulatedStore
from windrow.lake.layout import Origin, PartialKey, lineage_key, period_lineages_key, period_rows_key, rows_key
from windrow.lifetimes import Lifetimes
from windrow.period import Grain, Period
from windrow.rows.lineage import Lineage, fingerprint
from windrow.rows.period_lineage import PeriodLineage, PeriodPart, to_json_lines
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import Window

BATCHES_PER_SHARD = 15
LIFETIMES = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24)
SCHEDULED = parse_rfc3339_ms("2026-11-20T10:07:00Z")


def settled_tick(shards: int) -> tuple[Mapping[str, int], int]:
    """The calls by kind, and how many windows were looked at."""
    state = S3State()
    windows = windows_within_reach(SCHEDULED, LIFETIMES)
    due = due_windows(SCHEDULED, LIFETIMES, with_lineage=windows, with_partials=(), markers=())
    listed = {one.window for one in due}
    etags = {window.start_ms: _settle(state, window, shards if window in listed else 0) for window in windows}
    hours = _settle_periods(state, Grain.HOUR, etags)
    _settle_periods(state, Grain.DAY, hours)
    buckets = Buckets(lake=SimulatedStore(state.apply, "lake"), results=SimulatedStore(state.apply, "results"))
    report = Tick(buckets=buckets, lifetimes=LIFETIMES, scheduled_time_ms=SCHEDULED).run()
    assert report.outcomes == {RollOutcome.SETTLED: len(due)}, report.outcomes
    assert not report.periods, report.periods[:2]
    return report.s3_calls, len(due)


def _settle(state: S3State, window: Window, shards: int) -> str:
    """Keys of partials, of which no tick reads the bytes; rows; the lineage that belongs to them. The rows' ETag."""
    digests = [f"{number:032x}" for number in range(shards * BATCHES_PER_SHARD)]
    for number, digest in enumerate(digests):
        shard = f"shardId-{number % shards:012}"
        origin = Origin(stream="fleet", shard=shard, first=number, last=number)
        state.apply(Put("lake", str(PartialKey(window=window, origin=origin, digest=digest)), b""))
    etag = str(state.apply(Put("results", rows_key(window), b"")))
    lineage = Lineage(
        window=window,
        fingerprint=fingerprint(digests),
        digests=tuple(digests),
        rows_sha256="",
        result_etag=etag,
        revision=1,
        readings=1,
        sensors=0,
        conflicts=0,
        duplicates_removed=0,
        late=0,
        quarantined=0,
        partials=len(digests),
        shards=(),
        is_final=LIFETIMES.is_final(window, scheduled_time_ms=SCHEDULED),
        scheduled_time_ms=SCHEDULED,
    )
    state.apply(Put("results", lineage_key(window), lineage.to_json()))
    return etag


def _settle_periods(state: S3State, grain: Grain, parts: Mapping[int, str]) -> dict[int, str]:
    """Rows and lineages of every period that has parts and has ended; the ETags of the rows."""
    made: dict[int, str] = {}
    objects: dict[str, list[PeriodLineage]] = {}
    for period in sorted({Period.containing(grain, start) for start in parts}):
        if period.end_ms > max(parts) + grain.part_ms:
            continue
        etag = str(state.apply(Put("results", period_rows_key(period), b"")))
        lineage = PeriodLineage(
            period=period,
            parts=tuple(PeriodPart(start, "", parts[start]) for start in period.part_starts_ms if start in parts),
            rows_sha256="",
            result_etag=etag,
            revision=1,
            readings=1,
            sensors=1,
            conflicts=0,
            scheduled_time_ms=SCHEDULED,
        )
        made[period.start_ms] = etag
        objects.setdefault(period_lineages_key(period), []).append(lineage)
    for key, lineages in objects.items():
        state.apply(Put("results", key, to_json_lines(lineages)))
    return made
