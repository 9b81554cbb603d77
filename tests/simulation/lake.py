"""A simulated lake and results bucket with partials put by hand, and ticks over them."""

from collections.abc import Iterable, Sequence

from dispatcher.observation import Buckets
from dispatcher.report import TickReport, WindowReport
from dispatcher.tick import Tick
from tests.simulation.simulated_s3 import Delete, Get, Perform, Put, S3State, SimulatedStore
from windrow.lake.layout import UNIONS, MarkerKey, Origin, PartialKey, lineage_key, rows_key
from windrow.lake.store import StoredObject
from windrow.lifetimes import Lifetimes
from windrow.reading import Readings
from windrow.rows.lineage import Lineage
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.rows.united_parquet import decode_range
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS, Window

LAKE = "lake"
RESULTS = "results"
LIFETIMES = Lifetimes.of_hours(lateness_horizon_hours=6, stream_retention_hours=1)
STREAM = "readings"

Row = tuple[str, int, int, int]
"""sensor_id, offset within the window in ms, sequence, m°C."""


def at(text: str) -> int:
    """The time of day `text` (such as 10:07) on the day of all these tests, in ms."""
    return parse_rfc3339_ms(f"2026-11-20T{text}:00Z")


def window_at(text: str) -> Window:
    """The window that starts at the time of day `text`."""
    return Window(at(text))


SCHEDULED = at("10:07")
RECENT = window_at("10:00")
OLD = window_at("07:00")
"""Past the windows that every tick looks at: only a marker, a missing lineage or the sweep makes it due."""
FIRST: list[Row] = [("a", 0, 0, 20_000), ("b", 1_000, 0, 21_000)]
SECOND: list[Row] = [("b", 1_000, 0, 21_000), ("c", 2_000, 1, -5_000)]
"""Shares a reading with FIRST."""
LATE: list[Row] = [("a", 0, 0, 20_500), ("d", 299_999, 0, 19_000)]
"""Has another value for a reading of FIRST."""


def buckets(perform: Perform) -> Buckets:
    """Both buckets behind `perform`."""
    return Buckets(lake=SimulatedStore(perform, LAKE), results=SimulatedStore(perform, RESULTS))


def partial_of(window: Window, rows: Iterable[Row]) -> Partial:
    """The set of `rows`."""
    readings = Readings.of(
        [(sensor, window.start_ms + offset, sequence, value) for sensor, offset, sequence, value in rows]
    )
    return Partial.of(window, readings)


def partial_put(
    window: Window, rows: Sequence[Row], *, first: int = 1, shard: int = 0, late: int = 0, duplicates: int = 0
) -> Put:
    """The put of one partial, as the consumer of `shard` makes it for the batch that begins at record `first`."""
    partial = partial_of(window, rows)
    origin = Origin(stream=STREAM, shard=f"shardId-{shard:012}", first=first, last=first)
    key = PartialKey(window=window, origin=origin, digest=partial.digest)
    return Put(
        LAKE, str(key), encode_partial(partial, DeliveryCounts(late=late, duplicates=duplicates)), None, if_absent=True
    )


def marker_put(window: Window, rows: Sequence[Row]) -> Put:
    """The put of the marker of the partial of `rows`."""
    return Put(LAKE, str(MarkerKey(window=window, digest=partial_of(window, rows).digest)), b"")


def tick(perform: Perform, scheduled_time_ms: int) -> TickReport:
    """One whole tick."""
    return Tick(buckets=buckets(perform), lifetimes=LIFETIMES, scheduled_time_ms=scheduled_time_ms).run()


def report_of(report: TickReport, window: Window) -> WindowReport:
    """What a tick says of one window, which must have been due."""
    return next(one for one in report.windows if one.window == window)


def lineage_from(body: bytes) -> Lineage:
    """The lineage in an object."""
    return Lineage.from_json(body)


def lineage_of(state: S3State, window: Window) -> Lineage:
    """The lineage that stands."""
    stored = state.apply(Get(RESULTS, lineage_key(window)))
    assert isinstance(stored, StoredObject)
    return lineage_from(stored.body)


def rows_of(state: S3State, window: Window) -> bytes | None:
    """The bytes of the rows that stand."""
    stored = state.apply(Get(RESULTS, rows_key(window)))
    return stored.body if isinstance(stored, StoredObject) else None


def united_of(state: S3State, lineage: Lineage, *, is_alone: bool = True) -> Partial:
    """What the objects hold that the lineage names: ascending, none of them empty, and no others if `is_alone`."""
    assert lineage.united is not None
    stored = {key: one.body for key, one in state.buckets[LAKE].items() if key.startswith(UNIONS)}
    ranges = lineage.united.ranges
    assert not is_alone or len(stored) == len(ranges)
    assert [one.first for one in ranges] == sorted({one.first for one in ranges}, key=str.encode)
    assert ranges[0].first == ""
    rows: list[Row] = []
    for one in ranges:
        key = next(key for key in stored if key.endswith(f"{one.fingerprint}-{one.digest}.parquet"))
        part = decode_range(stored[key])
        ids = part.sensor_ids.to_list()
        assert ids
        assert min(ids, key=str.encode).encode() >= one.first.encode()
        start_ms = lineage.window.start_ms
        rows += [(r.sensor_id, r.event_time_ms - start_ms, r.sequence, r.value_milli) for r in part.readings]
    return partial_of(lineage.window, rows)


def markers_of(state: S3State) -> list[str]:
    """The keys of the markers there are."""
    return sorted(key for key in state.buckets.get(LAKE, {}) if key.startswith("markers/"))


def contents(state: S3State) -> dict[str, bytes]:
    """Every result by its key, and every marker."""
    results = {key: stored.body for key, stored in state.buckets.get(RESULTS, {}).items()}
    return results | dict.fromkeys(markers_of(state), b"")


def forget_rows(state: S3State, window: Window) -> None:
    """Delete the rows object."""
    state.apply(Delete(RESULTS, rows_key(window)))


def next_tick(scheduled_time_ms: int) -> int:
    """The scheduled time after this one."""
    return scheduled_time_ms + WINDOW_MS


def rolled(window: Window = RECENT) -> S3State:
    """`window` with FIRST and SECOND, rolled and settled."""
    state = S3State()
    state.apply(partial_put(window, FIRST))
    state.apply(partial_put(window, SECOND, first=2, shard=1))
    tick(state.apply, SCHEDULED)
    return state
