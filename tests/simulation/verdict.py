"""Whether a simulation ended as it must: exactly the readings that were accepted, each once, and everything at rest."""

import base64
import gzip
import json
from collections.abc import Iterator
from itertools import groupby

from dispatcher.due import DueWindow
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.roll import roll_window
from dispatcher.roller import Roller
from processors.event import decode_event
from tests.consuming import consume
from tests.oracle import Fact, Row, expected_rows, merged_rows, read_rows
from tests.simulation.ledger import Expectation, Place
from tests.simulation.producer_gateway import gateway_faults
from tests.simulation.simulated_kinesis import HeldRecord
from tests.simulation.simulated_mapping import event_of
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.simulation.simulated_schedule import OFFSET_MS, PERIOD_MS
from tests.simulation.vandal import OVERWRITTEN
from tests.simulation.world import LAKE, RESULTS, World, windows_with_partials
from windrow.lake.layout import (
    AGGREGATES,
    MARKERS,
    PARTIALS,
    QUARANTINE,
    UNIONS,
    lineage_key,
    period_rows_key,
    rows_key,
)
from windrow.period import Grain, Period
from windrow.rows.partial_parquet import decode_partial
from windrow.rows.united_parquet import decode_range
from windrow.timestamps import parse_sql_ms
from windrow.window import Window

SHOWN_MAX = 3


def faults_of(world: World) -> list[str]:
    """Everything that is wrong after `world.settle()`; one more tick is run to see that all is at rest."""
    records = list(world.stream.records)
    faults = [*world.monitor.faults, *gateway_faults(world.producer_gateways)]
    faults += [f"told stored, but lost: {str(content)[:80]}" for content in world.ledger.lost_of(records)[:SHOWN_MAX]]
    faults += [f"stored, but never sent: {body[:80]!r}" for body in world.ledger.strangers_of(records)[:SHOWN_MAX]]
    expected = expectation_of(world)
    faults += _rows_faults(world, expected)
    faults += _clean_run_faults(world, expected)
    faults += _lineage_faults(world, expected)
    faults += _period_faults(world, expected)
    faults += _quarantine_faults(world, expected)
    faults += _rest_faults(world)
    return faults


def rows_faults_of(world: World) -> list[str]:
    """What is wrong with the rows alone, now, of the windows that the latest tick could close."""
    expected = expectation_of(world)
    closing_ms = (world.now_ms - OFFSET_MS) // PERIOD_MS * PERIOD_MS
    expected.facts = {start_ms: facts for start_ms, facts in expected.facts.items() if start_ms < closing_ms}
    return list(_rows_faults(world, expected))


def expectation_of(world: World) -> Expectation:
    """What must come of all that the stream ever had, but for what it forgot too soon."""
    lost = lost_to_retention(world)
    places = {record.place for record in lost}
    kept = [record for record in world.stream.records if record.place not in places]
    expected = world.ledger.expectation(kept, horizon_ms=world.horizon_ms)
    if lost:
        expected.add_what_came_of(
            world.ledger.expectation(lost, horizon_ms=world.horizon_ms),
            partials=_facts_in_partials(world.s3),
            quarantined=_quarantined(world.s3)[0],
        )
    return expected


def lost_to_retention(world: World) -> list[HeldRecord]:
    """The records that no mapping is done with, because the stream had forgotten them.

    Before the poller came to them; or, when it had passed them and their destination was denied, before the replay
    that makes this good.
    """
    done = {place for mapping in world.mappings for place in mapping.done}
    lost = {place for mapping in world.mappings for place in mapping.lost} - done
    horizon_ms = world.replayed_ms - world.stream.retention_ms
    return [
        record
        for shard in world.stream.shards.values()
        for at, record in enumerate(shard.records)
        if record.place in lost or (at < shard.first_kept(horizon_ms) and record.place not in done)
    ]


def _facts_in_partials(s3: S3State) -> set[Fact]:
    return {
        (one.series, one.event_time_ms, one.sequence, one.value_milli)
        for partial in (
            *(decode_partial(body)[0] for body in _objects(s3, LAKE, PARTIALS).values()),
            # A range that somebody overwrote stays so until it is wanted.
            *(decode_range(body) for body in _objects(s3, LAKE, UNIONS).values() if body != OVERWRITTEN),
        )
        for one in partial.readings
    }


def _objects(s3: S3State, bucket: str, root: str) -> dict[str, bytes]:
    return {key: stored.body for key, stored in s3.buckets.get(bucket, {}).items() if key.startswith(root)}


def _rows_faults(world: World, expected: Expectation) -> Iterator[str]:
    """The rows against the plain computation: nothing lost, nothing twice, nothing else."""
    stored = _objects(world.s3, RESULTS, AGGREGATES)
    wanted = {rows_key(Window(start_ms)): facts for start_ms, facts in expected.facts.items()}
    for key in sorted(stored.keys() | wanted.keys()):
        rows = expected_rows(wanted.get(key, ()))
        try:
            found = read_rows(stored[key]) if key in stored else []
        except Exception as error:  # noqa: BLE001 - whatever it is, these are no rows
            yield f"{key}: unreadable: {error}"
            continue
        if found != rows:
            yield f"{key}: {_difference(found, rows)}"


def _difference(found: list[dict[str, object]], rows: list[dict[str, object]]) -> str:
    counted = sum(int(str(row["readings"])) for row in found)
    wanted = sum(int(str(row["readings"])) for row in rows)
    if counted != wanted:
        return f"{counted} readings instead of {wanted}"
    for one, other in zip(found, rows, strict=False):
        unequal = [name for name in other if one.get(name) != other[name]]
        if unequal:
            return f"sensor {other['sensor_id']!r}: {unequal[0]} {one.get(unequal[0])!r}, not {other[unequal[0]]!r}"
    return f"{len(found)} sensors instead of {len(rows)}"


def _clean_run_faults(world: World, expected: Expectation) -> Iterator[str]:
    """The rows against those of a run without faults over the same records, to the byte."""
    try:
        clean = _clean_run(world)
    except Exception as error:  # noqa: BLE001 - a broken product breaks the clean run too
        yield f"the clean run failed: {type(error).__name__}: {error}"
        return
    for start_ms in expected.facts.keys() - expected.uncertain:
        key = rows_key(Window(start_ms))
        if _objects(world.s3, RESULTS, key) != _objects(clean, RESULTS, key):
            yield f"{key}: other bytes than a run without faults"


def _clean_run(world: World) -> S3State:
    """Every record delivered once, in order, shard by shard, and one roll of every window."""
    clean = S3State()
    lake = SimulatedStore(clean.apply, LAKE)
    for _, records in groupby(world.stream.records, key=lambda record: record.shard_id):
        event = json.loads(event_of(world.stream, list(records)))
        consume(decode_event(event), store=lake, now_ms=world.now_ms, horizon_ms=world.horizon_ms)
    buckets = Buckets(lake=lake, results=SimulatedStore(clean.apply, RESULTS))
    roller = Roller(buckets=buckets, lifetimes=world.lifetimes, scheduled_time_ms=world.now_ms)
    for window in windows_with_partials(clean):
        roll_window(roller, DueWindow(window=window, reasons=()))
    return clean


def _lineage_faults(world: World, expected: Expectation) -> Iterator[str]:
    """Every window with readings has a lineage that tells the truth about its rows."""
    for start_ms, facts in sorted(expected.facts.items()):
        key = lineage_key(Window(start_ms))
        stored = world.s3.buckets.get(RESULTS, {}).get(key)
        if stored is None:
            yield f"{key}: there is none"
            continue
        lineage = json.loads(stored.body)
        identities = {fact[:3] for fact in facts}
        told = (lineage["readings"], lineage["conflicts"], lineage["sensors"])
        if told != (len(identities), len(facts) - len(identities), len({sensor for sensor, *_ in facts})):
            yield f"{key}: {told} readings, conflicts and sensors"
        rows = world.s3.buckets[RESULTS].get(rows_key(Window(start_ms)))
        if rows is not None and rows.etag != lineage["result_etag"]:
            yield f"{key}: it is not the lineage of the rows"


def _period_faults(world: World, expected: Expectation) -> Iterator[str]:
    """The rows of hours and days against the same plain computation."""
    windows = {start_ms: expected_rows(facts) for start_ms, facts in expected.facts.items()}
    for grain in Grain:
        by_period: dict[Period, list[list[Row]]] = {}
        for start_ms, rows in windows.items():
            by_period.setdefault(Period.containing(grain, start_ms), []).append(rows)
        for period, parts in by_period.items():
            key = period_rows_key(period)
            stored = world.s3.buckets[RESULTS].get(key)
            if period.end_ms > world.now_ms:
                continue
            found, rows = read_rows(stored.body) if stored else [], merged_rows(period.start_ms, parts)
            if found != rows:
                yield f"{key}: {_difference(found, rows)}"


def _quarantine_faults(world: World, expected: Expectation) -> Iterator[str]:
    """Every bad payload is there with its reason, its origin and its bytes, and nothing else is."""
    found, faults = _quarantined(world.s3)
    yield from faults
    for place in sorted(found.keys() | expected.quarantine.keys(), key=repr):
        if found.get(place) != expected.quarantine.get(place):
            is_ = _told(found.get(place))
            yield f"quarantine of {place}: {is_} instead of {_told(expected.quarantine.get(place))}"


def _quarantined(s3: S3State) -> tuple[dict[Place, tuple[str, bytes, int]], list[str]]:
    """Reason, payload and arrival by place, and what is told in two ways."""
    found: dict[Place, tuple[str, bytes, int]] = {}
    faults: list[str] = []
    for key, body in _objects(s3, LAKE, QUARANTINE).items():
        for line in gzip.decompress(body).splitlines():
            row = json.loads(line)
            place = (row["shard"], row["sequence_number"], row["index"], row.get("block_row"))
            told = (row["reason"], base64.b64decode(row["payload_base64"]), parse_sql_ms(row["arrival_time"]))
            if found.setdefault(place, told) != told:
                faults.append(f"{key}: {place} is told in two ways")
    return found, faults


def _told(entry: tuple[str, bytes, int] | None) -> str:
    return "nothing" if entry is None else f"{entry[0]} {entry[1][:60]!r}"


def _rest_faults(world: World) -> Iterator[str]:
    """Quiescence: no markers, and a tick that finds every window settled and writes nothing but new empty windows."""
    markers = _objects(world.s3, LAKE, MARKERS)
    if markers:
        yield f"{len(markers)} markers are left, the first is {min(markers)}"
    before = dict(world.s3.buckets.get(RESULTS, {}))
    world.tick()
    with_partials = {lineage_key(window) for window in windows_with_partials(world.s3)}
    with_partials |= {rows_key(window) for window in windows_with_partials(world.s3)}
    after = world.s3.buckets.get(RESULTS, {})
    changed = sorted(key for key in with_partials if before.get(key) != after.get(key))
    if changed:
        yield f"not at rest: the last tick wrote {changed[0]}"
    bad = (RollOutcome.FAILED, RollOutcome.FROZEN, RollOutcome.CONTENDED, RollOutcome.DEFERRED)
    last = world.monitor.reports[-1]
    yield from (f"{one.window}: {one.outcome}: {one.detail}" for one in last.windows if one.outcome in bad)


def facts_at(window: Window, *facts: tuple[str, int, int, int]) -> list[Fact]:
    """Facts by their offset within `window`."""
    return [(sensor, window.start_ms + offset, sequence, value) for sensor, offset, sequence, value in facts]
