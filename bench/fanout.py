"""What handing a batch to others costs, beside what processing it costs: `python -m bench.fanout`.

CPU milliseconds of one thread, the least of several rounds, taken in turn. The invocation itself is not in it: its
latency depends on the place, and docs/fanout.md says what it may be for fan-out to pay.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench import event as json_event
from processors.chunk import balance, encoded_records
from processors.consumer import plan
from processors.event import Record, decode_event, encode_event
from processors.fanout import CHUNK_BYTES_TARGET
from processors.slices import slices
from windrow.block import encode_block
from windrow.reading import LATENESS_HORIZON_MS, Readings
from windrow.strings import Strings
from windrow.window import WINDOW_MS

ROUNDS = 5
SENSORS = 2_000
READINGS_PER_BLOCK = 20_000
STREAM_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/fleet"


def process(text: bytes) -> None:
    """What a processor does with an event, but for writing it."""
    for one in slices(decode_event(json.loads(text))):
        plan(one, now_ms=json_event.ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)


def hand_over(text: bytes) -> list[bytes]:
    """What the fan-out function does with an event, but for invoking: the events of its chunks."""
    return [chunk.event() for chunk in balance(encoded_records(json.loads(text)), bytes_target=CHUNK_BYTES_TARGET)]


def block_event(readings: int, *, sensors: int = SENSORS) -> Any:
    """The parsed event of `readings`, evenly over one window, in blocks of READINGS_PER_BLOCK."""
    number = np.arange(readings)
    noise = np.random.default_rng(7).normal(0, 60, readings)
    whole = Readings(
        sensor_ids=Strings.of(f"site-{which % 10:02}/sensor-{which:06}" for which in range(sensors)),
        sensor=(number % sensors).astype(np.int32),
        event_time_ms=json_event.WINDOW_START_MS + number * WINDOW_MS // readings,
        sequence=176_500_000 + number // sensors,
        temperature_milli_c=(18_000 + number % sensors * 37 % 9_000 + noise).astype(np.int32),
    )
    return json.loads(
        encode_event(
            Record(
                stream_arn=STREAM_ARN,
                shard="shardId-000000000003",
                sequence_number=f"4965{start:052}",
                arrival_ms=json_event.ARRIVAL_MS,
                partition_key="a",
                payload=encode_block(whole.take(number[start : start + READINGS_PER_BLOCK])),
            )
            for start in range(0, readings, READINGS_PER_BLOCK)
        )
    )


def measure(text: bytes) -> tuple[float, float, float]:
    """CPU milliseconds of processing all of it, of handing it over, and of processing its costliest chunk."""
    chunks = hand_over(text)
    rounds = [
        (cpu_ms(process, text), cpu_ms(hand_over, text), max(cpu_ms(process, chunk) for chunk in chunks))
        for _ in range(ROUNDS)
    ]
    whole, over, part = map(min, zip(*rounds, strict=True))
    return whole, over, part


def cpu_ms(work: Callable[[bytes], object], text: bytes) -> float:
    """CPU milliseconds of one call."""
    began = time.process_time_ns()
    work(text)
    return (time.process_time_ns() - began) / 1e6


def main() -> None:
    """Print a line for each kind of batch."""
    batches = {
        "40,000 readings as JSON": json_event.event(sensors=SENSORS),
        "40,000 readings in blocks": block_event(40_000),
        "800,000 readings in blocks": block_event(800_000),
    }
    sys.stdout.write(f"{'batch':<28}{'MB':>6}{'process':>10}{'hand over':>11}{'largest chunk':>15}{'may take':>10}\n")
    for name, event in batches.items():
        text = json.dumps(event).encode()
        whole, over, part = measure(text)
        row = f"{name:<28}{len(text) / 1e6:>6.1f}{whole:>7.0f} ms{over:>8.0f} ms{part:>12.0f} ms"
        sys.stdout.write(f"{row}{whole - over - part:>7.0f} ms\n")


if __name__ == "__main__":
    main()
