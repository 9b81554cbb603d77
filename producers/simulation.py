"""A simulation: a fleet's deliveries, aggregated by shard and written to a stream, and the manifest of the run."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from producers.aggregator import Aggregator, ShardMap
from producers.deliveries import Delivery, deliveries, redeliveries
from producers.fleet import FleetSpec
from producers.manifest import Manifest, Totals, complete_run, plan_run
from producers.writer import RecordStream, Writer, WriterCounters
from windrow.kinesis import Answers, OutgoingRecord, Shard, Stored
from windrow.store import ObjectStore
from windrow.timestamps import format_rfc3339


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: payloads made so far, and what of them is stored."""

    payloads: int
    counters: WriterCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did. `last_sequence_numbers`: for each shard the highest number it gave to a record of the run."""

    run_id: str
    stream: str
    totals: Totals
    counters: WriterCounters
    last_sequence_numbers: dict[str, int]


class NowhereStream:
    """Takes every record and keeps none: the stream of a dry run."""

    def __init__(self, name: str) -> None:
        """`name` is that of the stream it stands for."""
        self.name = name

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """Every record is stored, under number 0."""
        return Answers(tuple(Stored(record.shard_id, "0") for record in records))


def run_id_of(spec: FleetSpec, *, started_ms: int) -> str:
    """The name of a run, such as 20261120T223512Z-3fa9c1d2: when it began, and a digest of the spec."""
    spelled = json.dumps(spec.to_json(), sort_keys=True).encode()
    started = format_rfc3339(started_ms)[:19].replace("-", "").replace(":", "")
    return f"{started}Z-{hashlib.sha256(spelled).hexdigest()[:8]}"


def run(
    spec: FleetSpec,
    *,
    run_id: str,
    stream: RecordStream,
    shards: Iterable[Shard],
    store: ObjectStore,
    writer: Writer | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> RunReport:
    """Send everything the fleet delivers, with its manifest stored before (planned) and after (completed).

    `shards` are those of `stream`, `store` is the lake, `writer` a writer to `stream` that has sent nothing yet.
    `progress` is called after every batch. What raises in between leaves the manifest planned.
    """
    planned = Manifest(run_id=run_id, stream=stream.name, fleet=spec)
    shard_map = ShardMap(shards)
    etag = plan_run(store, planned)
    report = send(spec, run_id=run_id, stream=stream, shard_map=shard_map, writer=writer, progress=progress)
    completed = replace(
        planned,
        is_completed=True,
        totals=report.totals,
        counters=report.counters,
        last_sequence_numbers=report.last_sequence_numbers,
    )
    complete_run(store, completed, etag=etag)
    return report


def send(
    spec: FleetSpec,
    *,
    run_id: str,
    stream: RecordStream,
    shard_map: ShardMap,
    writer: Writer | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> RunReport:
    """The sending alone; with a NowhereStream it is a dry run."""
    writer = writer or Writer(stream)
    aggregator = Aggregator(shard_map)
    totals = Totals()
    # Nothing of the second pass shares a record with the first: a repeated reading comes in another one.
    for batches in (deliveries(spec), redeliveries(spec)):
        for delivery in batches:
            readings = delivery.readings
            writer.write(aggregator.add_payloads(readings.sensor_ids, readings.sensor, delivery.payloads()))
            totals = _add(totals, delivery)
            progress(Progress(totals.payloads, writer.counters))
        writer.write(aggregator.flush())
    writer.flush()
    progress(Progress(totals.payloads, writer.counters))
    return RunReport(
        run_id=run_id,
        stream=stream.name,
        totals=totals,
        counters=writer.counters,
        last_sequence_numbers=writer.last_sequence_numbers,
    )


def _add(totals: Totals, delivery: Delivery) -> Totals:
    payloads, malformed, repeated = len(delivery.readings), delivery.malformed_count, delivery.repeated
    return Totals(
        payloads=totals.payloads + payloads,
        readings=totals.readings + payloads - malformed - repeated,
        repeated=totals.repeated + repeated,
        malformed=totals.malformed + malformed,
    )
