"""A simulation: a fleet's deliveries, aggregated by shard and written to a stream, and the manifest of the run."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from producers import noise
from producers.deliveries import Delivery, deliveries, redeliveries
from producers.fleet import BATCH_SAMPLES_MAX, FleetSpec
from producers.manifest import Manifest, Totals, complete_run, plan_run
from producers.noise import Purpose
from producers.realtime import Clock
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.writer import RecordStream, Writer, WriterCounters
from windrow.aws.stream import Answers, OutgoingRecord, Shard, Stored
from windrow.lake.store import ObjectStore
from windrow.timestamps import format_rfc3339
from windrow.wire.block.block import BLOCK_MAGIC
from windrow.wire.kpl import MAGIC


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: payloads made so far, what of them is stored, and the newest event time of the last batch."""

    payloads: int
    counters: WriterCounters
    newest_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is sent.

    list_shards: asks the stream for its shards after a split or a merge; clock: when given, readings are sent at their
    event time, and not as fast as the stream takes them.
    """

    wire: Wire = Wire.JSON
    list_shards: Callable[[], Iterable[Shard]] | None = None
    clock: Clock | None = None

    @property
    def batch_steps_max(self) -> int:
        """By the clock, one step of the fleet at a time."""
        return BATCH_SAMPLES_MAX if self.clock is None else 1

    def clocked(self, batches: Iterable[Delivery]) -> Iterable[Delivery]:
        """The batches as they come, or when it is time for them."""
        return batches if self.clock is None else self.clock.in_time(batches)


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
    options: Options | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> RunReport:
    """Send everything the fleet delivers, with its manifest stored before (planned) and after (completed).

    `shards` are those of `stream`, `store` is the lake, `writer` a writer to `stream` that has sent nothing yet.
    `progress` is called after every batch. What raises in between leaves the manifest planned.
    """
    planned = Manifest(run_id=run_id, stream=stream.name, fleet=spec)
    shard_map = ShardMap(shards)
    etag = plan_run(store, planned)
    report = send(
        spec,
        run_id=run_id,
        stream=stream,
        shard_map=shard_map,
        writer=writer,
        options=options,
        progress=progress,
    )
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
    options: Options | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> RunReport:
    """The sending alone; with a NowhereStream it is a dry run."""
    options = options or Options()
    writer = writer or Writer(stream)
    cut = _Cut(spec)
    sender = Sender(writer, shard_map, wire=options.wire, list_shards=options.list_shards, on_record=cut.before)
    totals = Totals()
    try:
        # Nothing of the second pass shares a record with the first: a repeated reading comes in another one.
        for batches in (
            options.clocked(deliveries(spec, batch_steps_max=options.batch_steps_max)),
            redeliveries(spec),
        ):
            for delivery in batches:
                _send_delivery(sender, delivery, wire=options.wire)
                totals = _add(totals, delivery)
                if options.clock is not None:
                    sender.flush()
                progress(_progress(totals, sender, delivery))
            sender.cut()
    except (KeyboardInterrupt, SystemExit):
        sender.flush()
        raise
    sender.flush()
    totals = replace(totals, truncated=cut.count)
    progress(_progress(totals, sender, None))
    return RunReport(
        run_id=run_id,
        stream=stream.name,
        totals=totals,
        counters=sender.counters,
        last_sequence_numbers=sender.last_sequence_numbers,
    )


class _Cut:
    """Puts a cut copy before some aggregates and blocks, as a producer does that dies while it sends."""

    def __init__(self, spec: FleetSpec) -> None:
        self._rate = spec.faults.truncated
        self._keys = noise.keys_of(spec.seed, Purpose.TRUNCATED, np.zeros(1, np.int64))
        self._seen = 0
        self.count = 0

    def before(self, record: OutgoingRecord) -> Iterator[OutgoingRecord]:
        """The record, and perhaps a cut one before it."""
        self._seen += 1
        is_cut = bool(noise.happens(noise.draw(self._keys, np.array([self._seen])), self._rate)[0])
        if is_cut and record.body.startswith((MAGIC, BLOCK_MAGIC)):
            self.count += 1
            yield replace(record, body=record.body[: len(record.body) * 2 // 3], readings=0)
        yield record


def _send_delivery(sender: Sender, delivery: Delivery, *, wire: Wire) -> None:
    """In blocks only what is sound; broken payloads are JSON in either form."""
    if wire is Wire.BLOCKS:
        sender.send(delivery.sound)
        delivery = delivery.broken
    readings = delivery.readings
    sender.send_payloads(readings.sensor_ids, readings.sensor, delivery.payloads())


def _progress(totals: Totals, sender: Sender, delivery: Delivery | None) -> Progress:
    newest_ms = None if delivery is None else int(delivery.readings.event_time_ms.max())
    return Progress(totals.payloads, sender.counters, newest_ms)


def _add(totals: Totals, delivery: Delivery) -> Totals:
    payloads, malformed, repeated = len(delivery.readings), delivery.malformed_count, delivery.repeated
    return replace(
        totals,
        payloads=totals.payloads + payloads,
        readings=totals.readings + payloads - malformed - repeated,
        repeated=totals.repeated + repeated,
        malformed=totals.malformed + malformed,
    )
