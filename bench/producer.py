"""The producer: from readings in columns to the bodies of records, and a fleet of a million sensors.

The aggregator stays from round to round, as that of a running producer does, so it knows where each sensor's id goes.
It cuts for four shards; the baseline, like those who use it, mixes shards.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.event import READINGS, WINDOW_START_MS, readings
from bench.measure import Finding, medians
from bench.producer_baseline import aggregates
from producers.aggregator import TARGET_BYTES, Aggregator
from producers.block_aggregator import BlockAggregator
from producers.fleet import FleetSpec
from producers.fleet import readings as fleet_readings
from producers.shards import ShardMap
from windrow.aws.stream import HASH_KEY_MAX, RECORD_BYTES_MAX, Shard
from windrow.reading import Readings

RATE = "readings/cpu-s"
SHARDS = 4
SENSORS = 1_000_000


def shard_map() -> ShardMap:
    """Shards that share the hash keys evenly."""
    step = (HASH_KEY_MAX + 1) // SHARDS
    return ShardMap(
        Shard(shard_id=f"shardId-{place:012}", first_hash_key=place * step, last_hash_key=(place + 1) * step - 1)
        for place in range(SHARDS)
    )


def json_200() -> Iterator[Finding]:
    """200 sensors with 200 readings each, in aggregates of 50 KB and of 1 MB."""
    yield from _json("producer.json.200", sensors=200, target=9)


def json_20k() -> Iterator[Finding]:
    """20,000 sensors with 2 readings each, in aggregates of 50 KB and of 1 MB."""
    yield from _json("producer.json.20k", sensors=20_000, target=7)


def block() -> Iterator[Finding]:
    """Compressed Arrow blocks of as many readings, against JSON in aggregates of 50 KB."""
    for name, sensors, target in (("producer.block", 200, 50), ("producer.block.20k", 20_000, None)):
        aggregator = BlockAggregator(shard_map())
        # Every shard gets one whole block: four times as many readings for us.
        yield _against_baseline(name, readings(sensors), aggregator, TARGET_BYTES, times=SHARDS, target=target)


def simulate() -> Iterator[Finding]:
    """Simulate and encode a fleet of a million sensors, one reading each; and the peak memory of a process doing so."""
    spec = FleetSpec(seed=7, sensors=SENSORS, start_ms=WINDOW_START_MS, end_ms=WINDOW_START_MS + 10_000)
    aggregator = Aggregator(shard_map())
    made = 0

    def run() -> None:
        nonlocal made
        made = 0
        for batch in fleet_readings(spec):
            made += len(batch)
            aggregator.add(batch)
        aggregator.flush()

    (seconds,) = medians(run, rounds=3)
    yield Finding(name="producer.simulate", ours=made / seconds, unit=RATE)
    for steps in (1, 5):
        yield Finding(name=f"producer.simulate.peak.{steps}", ours=_peak_megabytes(steps), unit="MB")


BENCHES = {
    "producer.json.200": json_200,
    "producer.json.20k": json_20k,
    "producer.block": block,
    "producer.simulate": simulate,
}


def _json(name: str, *, sensors: int, target: float) -> Iterator[Finding]:
    batch = readings(sensors)
    for suffix, target_bytes in (("", TARGET_BYTES), (".1mb", RECORD_BYTES_MAX)):
        aggregator = Aggregator(shard_map(), target_bytes=target_bytes)
        yield _against_baseline(name + suffix, batch, aggregator, target_bytes, target=target)


def _against_baseline(
    name: str,
    batch: Readings,
    aggregator: Aggregator | BlockAggregator,
    target_bytes: int,
    *,
    times: int = 1,
    target: float | None,
) -> Finding:
    rows = [(one.sensor_id, one.event_time_ms, one.sequence, one.value_milli) for one in batch]

    def ours() -> None:
        for _ in range(times):
            aggregator.add(batch)
        aggregator.flush()

    fast, usual = medians(ours, lambda: aggregates(rows, target_bytes=target_bytes))
    fast /= times
    rates = (READINGS / fast, READINGS / usual)
    return Finding(name=name, ours=rates[0], baseline=rates[1], ratio=usual / fast, target=target, unit=RATE)


_PEAK = """
import sys
from bench import measure, producer
from producers.aggregator import Aggregator
from producers.fleet import FleetSpec, readings
aggregator = Aggregator(producer.shard_map())
start_ms = producer.WINDOW_START_MS
end_ms = start_ms + int(sys.argv[1]) * 10_000
for batch in readings(FleetSpec(seed=7, sensors=producer.SENSORS, start_ms=start_ms, end_ms=end_ms)):
    aggregator.add(batch)
aggregator.flush()
print(measure.peak_mb())
"""


def _peak_megabytes(steps: int) -> float:
    """The most memory that a process takes for so many readings of every sensor; it must not grow with them."""
    command = [sys.executable, "-c", _PEAK, str(steps)]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, check=True, text=True)  # noqa: S603 - our own interpreter
    return float(run.stdout)
