"""A run of a simulation: a fleet's batches, aggregated by shard and written to a stream, and the run's manifest."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from producers import noise
from producers.fleet import BATCH_SAMPLES_MAX, FleetSpec
from producers.fleet_batches import FleetBatch, first_pass, second_pass
from producers.manifest import Manifest, RunTotals, complete_run, plan_run
from producers.noise import Purpose
from producers.realtime import Pacer
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.writer import RecordStream, Writer, WriterCounters
from windrow.aws.stream import Answers, OutgoingRecord, Shard, Stored
from windrow.lake.store import ObjectStore
from windrow.timestamps import format_rfc3339
from windrow.wire.block import BLOCK_MAGIC
from windrow.wire.kpl import MAGIC


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is: payloads sent so far, the writer's counters, and the newest event time of the last batch."""

    payloads: int
    counters: WriterCounters
    newest_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is sent.

    list_shards: lists the stream's shards again after a split or a merge. pacer: if given, readings are sent at their
    event times instead of as fast as the stream takes them.
    """

    wire: Wire = Wire.JSON
    list_shards: Callable[[], Iterable[Shard]] | None = None
    pacer: Pacer | None = None

    @property
    def batch_steps_max(self) -> int:
        """Return how many steps of the fleet a batch may span: one if it is paced."""
        return BATCH_SAMPLES_MAX if self.pacer is None else 1

    def paced(self, batches: Iterable[FleetBatch]) -> Iterable[FleetBatch]:
        """Return the batches, held back to their event times if there is a pacer."""
        return batches if self.pacer is None else self.pacer.paced(batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The outcome of a run. last_sequence_numbers: per shard, the highest number it gave to a record of the run."""

    run_id: str
    stream: str
    totals: RunTotals
    counters: WriterCounters
    last_sequence_numbers: dict[str, int]


class DryRunStream:
    """A stream that accepts every record and keeps none."""

    def __init__(self, name: str) -> None:
        """`name` is that of the stream it stands for."""
        self.name = name

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """Answer that every record is stored, under number 0."""
        return Answers(tuple(Stored(record.shard_id, "0") for record in records))


def run_id_of(spec: FleetSpec, *, started_ms: int) -> str:
    """Name a run, such as 20261120T223512Z-3fa9c1d2: when it began, and a digest of the spec."""
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
    options: RunOptions | None = None,
    progress: Callable[[RunProgress], None] = lambda _: None,
) -> RunReport:
    """Send both passes of the fleet, and store the manifest before (planned) and after (completed).

    `shards` are those of `stream`, `store` is the lake, `writer` a writer to `stream` that has sent nothing yet.
    `progress` is called after every batch. If sending raises, the manifest stays planned.
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
    options: RunOptions | None = None,
    progress: Callable[[RunProgress], None] = lambda _: None,
) -> RunReport:
    """Send without a manifest; with a DryRunStream this is a dry run."""
    options = options or RunOptions()
    writer = writer or Writer(stream)
    truncator = _Truncator(spec)
    sender = Sender(writer, shard_map, wire=options.wire, list_shards=options.list_shards, on_record=truncator.before)
    totals = RunTotals()
    try:
        # The two passes share no record: a duplicate must come in another record than the first copy.
        for batches in (
            options.paced(first_pass(spec, batch_steps_max=options.batch_steps_max)),
            second_pass(spec),
        ):
            for batch in batches:
                _send_batch(sender, batch, wire=options.wire)
                totals = _add(totals, batch)
                if options.pacer is not None:
                    sender.flush()
                progress(_progress(totals, sender, batch))
            sender.cut()
    except (KeyboardInterrupt, SystemExit):
        sender.flush()
        raise
    sender.flush()
    totals = replace(totals, truncated=truncator.count)
    progress(_progress(totals, sender, None))
    return RunReport(
        run_id=run_id,
        stream=stream.name,
        totals=totals,
        counters=sender.counters,
        last_sequence_numbers=sender.last_sequence_numbers,
    )


class _Truncator:
    """Inserts a truncated copy before some aggregates and blocks, as a producer that dies while sending would."""

    def __init__(self, spec: FleetSpec) -> None:
        self._rate = spec.faults.truncated
        self._keys = noise.keys_of(spec.seed, Purpose.TRUNCATED, np.zeros(1, np.int64))
        self._seen = 0
        self.count = 0

    def before(self, record: OutgoingRecord) -> Iterator[OutgoingRecord]:
        """Yield the record, preceded by a truncated copy if the fault happens to it."""
        self._seen += 1
        is_cut = bool(noise.happens(noise.draw(self._keys, np.array([self._seen])), self._rate)[0])
        if is_cut and record.body.startswith((MAGIC, BLOCK_MAGIC)):
            self.count += 1
            yield replace(record, body=record.body[: len(record.body) * 2 // 3], readings=0)
        yield record


def _send_batch(sender: Sender, batch: FleetBatch, *, wire: Wire) -> None:
    """Send a batch in the wire form; broken payloads are sent as JSON in either form."""
    if wire is Wire.BLOCKS:
        sender.send(batch.sound)
        batch = batch.broken
    readings = batch.readings
    sender.send_payloads(readings.sensor_ids, readings.sensor, batch.payloads())


def _progress(totals: RunTotals, sender: Sender, batch: FleetBatch | None) -> RunProgress:
    newest_ms = None if batch is None else int(batch.readings.event_time_ms.max())
    return RunProgress(totals.payloads, sender.counters, newest_ms)


def _add(totals: RunTotals, batch: FleetBatch) -> RunTotals:
    payloads, malformed, repeated = len(batch.readings), batch.malformed_count, batch.repeated
    return replace(
        totals,
        payloads=totals.payloads + payloads,
        readings=totals.readings + payloads - malformed - repeated,
        repeated=totals.repeated + repeated,
        malformed=totals.malformed + malformed,
    )
