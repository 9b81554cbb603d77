"""Fifty gateways on a stage without a stream: from uploads under all faults to rows, and what a calm hour costs."""

import io
from collections import Counter
from operator import itemgetter

import pyarrow.parquet

import processors.uploads
import producers.uploader
from dispatcher.tick import Tick
from infra.prices import price_table
from processors.puts import Deadline, Puts
from processors.upload_event import UploadRef
from producers.sender import Wire
from tests.horizon import LATENESS_HORIZON_MS
from tests.oracle import expected_rows, window_start_ms
from tests.simulation.lake import LIFETIMES, RESULTS, buckets
from tests.simulation.simulated_s3 import Answer, Operation, Put, S3State, SimulatedStore
from tests.simulation.uploads_world import START_MS, Bucket, Weather, World
from windrow.lake.layout import PARTIALS, RECEIPTS, rows_key
from windrow.lake.receipt import Receipt
from windrow.reading import Reading, Readings
from windrow.window import WINDOW_MS, Window

GATEWAYS = 50
SHOWN = itemgetter("sensor_id", "readings", "sum_milli", "min_milli", "max_milli", "first_milli")


def tick(state: S3State, scheduled_time_ms: int) -> None:
    Tick(buckets=buckets(state.apply), lifetimes=LIFETIMES, scheduled_time_ms=scheduled_time_ms).run()


def rows_of(state: S3State, window: Window) -> list[dict[str, object]]:
    stored = state.buckets[RESULTS].get(rows_key(window))
    return [] if stored is None else pyarrow.parquet.read_table(io.BytesIO(stored.body)).to_pylist()


def test_rows_are_the_truth_and_receipts_what_was_counted() -> None:
    """Lost answers, repeats and kills at the gateways; events lost, twice and late; a function that is killed.

    Each object has a receipt. Those of a gateway have all that it sent, and more only for what it sent again.
    """
    world = World(8, uploads=processors.uploads, uploader=producers.uploader, gateways=GATEWAYS)
    world.run(rounds=3)
    assert world.acknowledged == world.sent
    assert len(world.sent) > 8 * GATEWAYS
    assert world.killed
    assert any(gateway.counters.ambiguous for gateway in world.gateways)
    for minutes in (12, 17):
        tick(world.state, world.bucket.now_ms // WINDOW_MS * WINDOW_MS + minutes * 60_000)

    facts = [(one.series, one.event_time_ms, one.sequence, one.value_milli) for one in world.sent]
    for start_ms in sorted({window_start_ms(time_ms) for _, time_ms, _, _ in facts}):
        expected = expected_rows(fact for fact in facts if window_start_ms(fact[1]) == start_ms)
        rows = rows_of(world.state, Window(start_ms))
        assert list(map(SHOWN, rows)) == list(map(SHOWN, expected))
    receipts = [Receipt.from_json(body) for body in world.receipts().values()]
    assert len(receipts) == len(world.bucket.stored)
    assert {(one.refusal, len(one.rejected)) for one in receipts} == {("", 0)}
    counted = Counter[str]()
    for one in receipts:
        counted[one.key.split("/")[-2]] += one.readings  # of those with a token it stands a folder deeper
    own = {one for one in world.sent if not one.sensor_id.startswith("g9-")}  # somebody else writes for these, too
    sent = Counter(one.sensor_id.partition("-")[0] for one in own)
    assert [name for name, readings in sent.items() if counted[name] < readings] == []
    assert sum(counted[name] for name in sent) < 2 * sent.total()


def test_a_calm_round_asks_of_s3_what_the_price_is_of() -> None:
    """For each object one PUT, one GET, one receipt and one event; partials for a batch, not for an object."""
    weather = Weather(None)  # type: ignore[arg-type]  # calm: it asks for no chance
    weather.is_calm = True
    queue: list[tuple[UploadRef, int]] = []
    bucket = Bucket(weather, queue)
    state = S3State()
    calls = Counter[str]()

    def perform(operation: Operation) -> Answer:
        if isinstance(operation, Put):
            calls[operation.key.partition("/")[0] + "/"] += 1
        else:
            calls[type(operation).__name__] += 1
        return state.apply(operation)

    for number in range(GATEWAYS):
        gateway = producers.uploader.Uploader(bucket, name=f"g{number}", wire=Wire.BLOCKS)
        gateway.send(Readings.of([Reading(f"g{number}-{n}", START_MS + n * 1_000, 0, 20_000) for n in range(20)]))
        gateway.flush()
    consumer = processors.uploads.UploadsConsumer(
        source=bucket, lake=SimulatedStore(perform, "lake"), horizon_ms=LATENESS_HORIZON_MS, puts=Puts(1)
    )
    consumer.process([ref for ref, _ in queue], deadline=Deadline(lambda: 60_000), now_ms=START_MS + 60_000)

    assert (len(bucket.stored), len(queue), bucket.opened) == (GATEWAYS, GATEWAYS, GATEWAYS)
    assert calls == {RECEIPTS: GATEWAYS, PARTIALS: 1}
    table = price_table()
    put, get, event = (
        table.usd("s3_put_thousand") / 1e3,
        table.usd("s3_get_thousand") / 1e3,
        table.usd("events_million") / 1e6,
    )
    usd = (len(bucket.stored) + calls.total()) * put + bucket.opened * get + len(queue) * event
    month = 30.4 * 288
    assert 3.0 < usd * month < 6.0
