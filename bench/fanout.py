"""What handing a batch to others costs, beside what processing it costs: `python -m bench.fanout`.

CPU milliseconds of one thread, the least of several rounds, taken in turn. The invocation itself is not in it: its
latency depends on the place, and docs/fanout.md says what it may be for fan-out to pay.
"""

import json
import sys
import time
from collections.abc import Callable

from bench import event as json_event
from processors.chunk import balance, encoded_records
from processors.consumer import plan, slices
from processors.event import decode_event
from processors.fanout import CHUNK_BYTES_TARGET
from tests.horizon import LATENESS_HORIZON_MS

ROUNDS = 5
SENSORS = 2_000


def process(text: bytes) -> None:
    """What a processor does with an event, but for writing it."""
    for one in slices(decode_event(json.loads(text))):
        plan(one, now_ms=json_event.ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)


def hand_over(text: bytes) -> list[bytes]:
    """What the fan-out function does with an event, but for invoking: the events of its chunks."""
    return [chunk.event() for chunk in balance(encoded_records(json.loads(text)), bytes_target=CHUNK_BYTES_TARGET)]


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
        "40,000 readings in blocks": json_event.block_event(json_event.readings(SENSORS)),
        "800,000 readings in blocks": json_event.block_event(json_event.readings(SENSORS, count=800_000)),
    }
    sys.stdout.write(f"{'batch':<28}{'MB':>6}{'process':>10}{'hand over':>11}{'largest chunk':>15}{'may take':>10}\n")
    for name, event in batches.items():
        text = json.dumps(event).encode()
        whole, over, part = measure(text)
        row = f"{name:<28}{len(text) / 1e6:>6.1f}{whole:>7.0f} ms{over:>8.0f} ms{part:>12.0f} ms"
        sys.stdout.write(f"{row}{whole - over - part:>7.0f} ms\n")


if __name__ == "__main__":
    main()
