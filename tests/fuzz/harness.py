"""One input of the fuzzer through the handler, and what must hold whatever it is.

- No exception leaves the handler, and it reports no failed record.
- What counts is exactly what the strict path says counts: the aggregate by the message class, each JSON payload by
  `parse_reading`; a block that is accepted has the rows that pyarrow reads.
- Whatever does not count is in quarantine; every record leaves a trace, but for an aggregate of nothing.
- What the process keeps in memory does not grow beyond a bound.
"""

import contextlib
import gzip
import io
import json
import os
import random
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.ipc

from processors import batch, consumer_handler
from processors.batch import Consumer
from processors.event import Record, decode_event
from processors.puts import Puts
from tests.consuming import encode_event
from tests.fuzz.mutation import Mutator
from tests.horizon import LATENESS_HORIZON_MS
from tests.lambda_context import LambdaContext
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, SHARD, STREAM_ARN
from windrow.lake.layout import PARTIALS, QUARANTINE
from windrow.quantities import TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.reading import (
    EARLINESS_MS_MAX,
    READINGS_PER_RECORD_MAX,
    SENSOR_ID_CHARACTERS_MAX,
    SEQUENCE_MAX,
    BadReading,
    Reading,
)
from windrow.rows.partial_parquet import decode_partial
from windrow.settings import METRICS_NAMESPACE
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.block import BLOCK_MAGIC, is_block
from windrow.wire.block.block import decode_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import BrokenAggregate, deaggregate

LAKE = "lake"
# Far above what the libraries and a batch of these sizes take, far below what a leak or a bomb would.
PEAK_MB_MAX = 700
_ODD_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1e300, "", "\ud800", "x" * 300, [], {}, [[]], {"data": 1}, 2**70)


class Broken(AssertionError):  # noqa: N818 - what the invariant is
    """An invariant does not hold; the message says which."""


class Harness:
    """The handler with a lake that is simulated anew for every input."""

    def __init__(self, mutator: Mutator, chance: random.Random) -> None:
        self._mutator = mutator
        self._chance = chance
        self._puts = Puts(1)
        # What the template sets; the metrics of a process read it when they are made.
        os.environ[METRICS_NAMESPACE] = batch.metrics.provider.namespace = "windrow"
        self.inputs = 0
        self.counted = 0
        self.quarantined = 0

    def check(self, event: Any) -> None:
        """Process an event and check what came of it."""
        state = S3State()
        consumer = Consumer(lake=SimulatedStore(state.apply, LAKE), horizon_ms=LATENESS_HORIZON_MS, puts=self._puts)
        with (
            mock.patch.object(batch, "consumer_of_environment", return_value=consumer),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            answer = consumer_handler.handle(event, LambdaContext())
        if answer != {"batchItemFailures": []}:
            raise Broken(f"the handler answered {answer}")
        self._compare(event, state)
        self.inputs += 1

    def make(self) -> Any:
        """An event of one to three records; now and then one whose fields are odd."""
        records = [
            Record(
                stream_arn=STREAM_ARN,
                shard=SHARD,
                sequence_number=str(number),
                arrival_ms=ARRIVAL_MS if self._chance.random() < 0.9 else self._chance.randrange(2**42),
                partition_key="a",
                payload=self._mutator.payload(),
            )
            for number in range(1, self._chance.choice((2, 2, 2, 3, 4)))
        ]
        event = self.event_of(records)
        if self._chance.random() < 0.05:
            raw = self._chance.choice(event["Records"])
            fields = raw if self._chance.random() < 0.5 else raw["kinesis"]
            fields[self._chance.choice([*fields, "windrowPlace"])] = self._chance.choice(_ODD_VALUES)
        return event

    def event_of(self, records: list[Record]) -> Any:
        """The event of `records`, parsed as Lambda's runtime parses it."""
        return json.loads(encode_event(records))

    def _compare(self, event: Any, state: S3State) -> None:
        objects = {key: stored.body for key, stored in state.buckets.get(LAKE, {}).items()}
        counted = {
            _spelled(one)
            for key, body in objects.items()
            if key.startswith(PARTIALS)
            for one in decode_partial(body)[0].readings
        }
        rows = [
            json.loads(line)
            for key, body in objects.items()
            if key.startswith(QUARANTINE)
            for line in gzip.decompress(body).splitlines()
        ]
        records = decode_event(event)
        expected = {one for record in records if isinstance(record, Record) for one in _strict(record)}
        if counted != expected:
            raise Broken(
                f"counted {sorted(counted - expected, key=repr)}, missed {sorted(expected - counted, key=repr)}"
            )
        traced = {row["sequence_number"] for row in rows}
        for record in records:
            silent = record.sequence_number not in traced
            if silent and not (isinstance(record, Record) and any(_strict(record))):
                raise Broken(f"record {record.sequence_number} left no trace")
        self.counted += len(counted)
        self.quarantined += len(rows)


def _payloads(record: Record) -> list[bytes]:
    try:
        user_records = deaggregate(record.payload)
    except BrokenAggregate:
        return []
    return [record.payload] if user_records is None else [one.payload for one in user_records]


def _strict(record: Record) -> Iterator[Reading]:
    """The readings of a record that count, one by one and as slowly as it takes."""
    payloads = _payloads(record)
    weights = [len(_accepted(payload)) if is_block(payload) else 1 for payload in payloads]
    if sum(max(1, weight) for weight in weights) > READINGS_PER_RECORD_MAX:
        return
    for payload in payloads:
        for one in _accepted(payload) if is_block(payload) else _parsed(payload):
            if -LATENESS_HORIZON_MS <= one.event_time_ms - record.arrival_ms <= EARLINESS_MS_MAX and _is_within(one):
                yield one


def _parsed(payload: bytes) -> list[Reading]:
    try:
        return [_spelled(parse_reading(payload))]
    except BadReading:
        return []


def _accepted(payload: bytes) -> list[Reading]:
    """The rows of a block that is accepted; Broken when pyarrow reads others."""
    try:
        ours = [_spelled(one) for one in decode_block(payload)]
    except BadReading:
        return []
    theirs = _by_pyarrow(payload)
    if theirs is not None and ours != theirs:
        raise Broken("pyarrow reads the block otherwise")
    return ours


def _by_pyarrow(payload: bytes) -> list[Reading] | None:
    """The rows as pyarrow reads them; None when it refuses, which it also does for metadata that are not aligned."""
    try:
        with pyarrow.ipc.open_stream(pa.py_buffer(payload[len(BLOCK_MAGIC) + 1 :])) as stream:
            columns = stream.read_all()
        columns.validate(full=True)
    except (pa.ArrowException, OSError):
        return None
    sequences = columns.column(3).to_pylist() if columns.num_columns > 3 else [0] * columns.num_rows
    values = [columns.column(place).to_pylist() for place in range(3)]
    return [
        Reading(sensor_id, time_ms, sequence, milli)
        for sensor_id, time_ms, milli, sequence in zip(*values, sequences, strict=True)
    ]


def _spelled(one: Reading) -> Reading:
    """The reading with its series in the place of its id, as blocks spell it."""
    return Reading(one.series, one.event_time_ms, one.sequence, one.value_milli)


def _is_within(one: Reading) -> bool:
    sensor_id, *quantity = one.sensor_id.split("\x1f")
    if len(quantity) == 2 and re.fullmatch("[a-z][a-z0-9_]{0,62}", quantity[0]) and quantity[0] != "temperature":
        unit = quantity[1]
        is_unit = 1 <= len(unit) <= 32 and unit.strip(" ") == unit
        least, most = -(2**31), 2**31 - 1
    else:
        sensor_id, unit, is_unit = one.sensor_id, "", True
        least, most = TEMPERATURE_MIN_MILLI, TEMPERATURE_MAX_MILLI
    return (
        1 <= len(sensor_id) <= SENSOR_ID_CHARACTERS_MAX
        and is_unit
        and not any(unicodedata.category(character) == "Cc" for character in sensor_id + unit)
        and INSTANT_MS_MIN <= one.event_time_ms <= INSTANT_MS_MAX
        and 0 <= one.sequence <= SEQUENCE_MAX
        and least <= one.value_milli <= most
    )
