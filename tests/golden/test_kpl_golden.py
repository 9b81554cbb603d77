"""Aggregates of other writers, read by us; ours, read by others."""

import base64
import gzip
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from aws_kinesis_agg.deaggregator import deaggregate_records

from processors.event import decode_event
from producers.aggregator import Aggregator
from producers.shards import ShardMap
from tests.consuming import consume
from tests.counterparts import kpl_feed
from tests.golden import kpl_golden
from tests.simulation.scripted_stream import even_shards
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.aws.stream import RECORD_BYTES_MAX, OutgoingRecord
from windrow.columns.strings import Strings
from windrow.lake.layout import PARTIALS, QUARANTINE
from windrow.rows.partial_parquet import decode_partial
from windrow.wire.kpl import MAGIC, UserRecord, aggregate, deaggregate

GOLDEN = kpl_golden.golden()
OURS = {name: aggregate(records) for name, records in {**kpl_golden.CASES, **kpl_golden.FULL}.items()}


@pytest.mark.parametrize("name", GOLDEN)
def test_what_others_wrote_means_to_us_what_they_meant(name: str) -> None:
    """Keys, hash keys and payloads, in order; tags are left aside."""
    body, meaning = GOLDEN[name]
    assert deaggregate(body) == meaning


def test_every_case_is_kept_from_every_writer() -> None:
    """No file was forgotten; only PyPI's aggregator cannot fill a record: it loses what comes within 20 bytes."""
    expected = {f"pypi-{name}" for name in kpl_golden.CASES} | {f"hand-{name}" for name in kpl_golden.handmade()}
    expected |= {f"npm-{name}" for name in {**kpl_golden.CASES, **kpl_golden.FULL}}
    assert set(GOLDEN) == expected


@pytest.mark.parametrize("name", [name for name in GOLDEN if not name.startswith("hand-")])
def test_we_write_what_others_write(name: str) -> None:
    """To the byte: the same records make the same aggregate."""
    body, meaning = GOLDEN[name]
    assert aggregate(meaning) == body


@pytest.mark.parametrize("name", OURS)
def test_what_we_wrote_means_the_same_to_the_package_of_pypi(name: str) -> None:
    """Read with its deaggregator."""
    _assert_same(name, _read_by_pypi(OURS[name]))


@pytest.mark.skipif(not kpl_golden.node_is_ready(), reason="needs node, and: npm install --prefix tests/golden/kpl")
def test_what_we_wrote_means_the_same_to_the_package_of_npm() -> None:
    """Read with its deaggregator, checksums and all."""
    read = kpl_golden.by_node(read=OURS)["read"]
    assert read.keys() == OURS.keys()
    for name, records in read.items():
        _assert_same(name, records)


def _assert_same(name: str, theirs: list[UserRecord]) -> None:
    """Both packages take a hash key that is left out for the first of the table, where there is a table."""
    ours = deaggregate(OURS[name]) or []
    if name == "some-hash-keys":
        ours = [replace(one, explicit_hash_key=kpl_golden.HALF) for one in ours]
    assert theirs == ours


@pytest.mark.parametrize("name", ["two-keys", "empty-payloads", "letters", "many-keys", "lengths"])
def test_the_producer_writes_the_same_bytes(name: str) -> None:
    """The vectorised aggregator and the message class of the library make one and the same record."""
    records = kpl_golden.CASES[name]
    (made,) = _produced(records)
    assert made.body == OURS[name]


def test_the_producer_fills_a_record_to_the_byte() -> None:
    """1 MiB with the outer key: one more byte in any payload makes two records."""
    half = [UserRecord("roof", b"x" * 524_000), UserRecord("roof", b"")]
    room_bytes = RECORD_BYTES_MAX - _produced(half)[0].size_bytes
    # Growing from nothing, the second payload's length and its record's take two bytes more each.
    full = [half[0], UserRecord("roof", b"x" * (room_bytes - 4))]
    (made,) = _produced(full)
    assert made.size_bytes == RECORD_BYTES_MAX
    assert _read_by_pypi(made.body) == full
    assert [one.readings for one in _produced([half[0], UserRecord("roof", full[1].payload + b"x")])] == [1, 1]


def _produced(records: list[UserRecord]) -> list[OutgoingRecord]:
    aggregator = Aggregator(ShardMap(even_shards(1)), target_bytes=RECORD_BYTES_MAX)
    keys = Strings.of(one.partition_key for one in records)
    made = aggregator.add_payloads(keys, np.arange(len(records)), [one.payload for one in records])
    return made + aggregator.flush()


def _read_by_pypi(body: bytes) -> list[UserRecord]:
    names = ["eventID", "eventName", "eventSource", "eventSourceARN", "eventVersion", "invokeIdentityArn", "awsRegion"]
    kinesis = {
        "data": base64.b64encode(body),
        "partitionKey": "a",
        "sequenceNumber": "1",
        "kinesisSchemaVersion": "1.0",
        "approximateArrivalTimestamp": 0.0,
    }
    read = [one["kinesis"] for one in deaggregate_records([{**dict.fromkeys(names, ""), "kinesis": kinesis}])]
    return [
        UserRecord(one["partitionKey"], base64.b64decode(one["data"]), one.get("explicitHashKey") or None)
        for one in read
    ]


def test_the_native_kpl_s_mixture_is_read_to_the_last_reading() -> None:
    """Plain records before it knows the shards, single flushes, aggregates: an event as a function gets it."""
    event = json.loads(gzip.decompress(kpl_feed.GOLDEN.read_bytes()))
    bodies = [base64.b64decode(one["kinesis"]["data"]) for one in event["Records"]]
    assert {body.startswith(MAGIC) for body in bodies} == {True, False}, "it is no mixture"

    store = SimulatedStore(S3State().apply, "lake")
    arrival_ms = max(int(one["kinesis"]["approximateArrivalTimestamp"] * 1000) for one in event["Records"])
    consume(decode_event(event), store=store, now_ms=arrival_ms + 60_000, horizon_ms=arrival_ms)

    assert not list(store.list_objects(QUARANTINE))
    partials = [stored.body for listed in store.list_objects(PARTIALS) if (stored := store.get(listed.key))]
    found = Counter(
        (one.sensor_id, one.event_time_ms, one.sequence, one.value_milli)
        for body in partials
        for one in decode_partial(body)[0].readings
    )
    expected = kpl_feed.given(0, kpl_feed.GOLDEN_READINGS, kpl_feed.GOLDEN_START_MS)
    assert found == Counter((one.sensor_id, one.event_time_ms, one.sequence, one.milli) for one in expected)
