"""A gateway that is killed again and again: python mortal_gateway.py ENDPOINT_URL SPOOL WIRE FIRST LIVES SEED

Each life is a child of a fork, made by a process that has imported everything, so that it begins in milliseconds. It
puts readings numbered from the last life's on, one by one and in batches, and says on its own pipe

    a 17    every reading up to number 17 was accepted, as `put` has returned
    f 17    every reading that it was told of up to number 17 is in the stream, as `flush` has said True

The parent kills it at a random moment after its first words, and passes on what it said, and then `k`. The last life is
not killed: it flushes until all is sent, and says `d` and how much damage it found.
"""

# ruff: noqa: T201 - it speaks on stdout
import os
import signal
import sys
import time
from pathlib import Path
from random import Random

from producers import Producer, Reading, Readings
from windrow.aws.clients import Place
from windrow.aws.kinesis import KinesisStream

NOON_MS = 1_795_176_000_000
LIFE_SECONDS_MAX = 0.25
FLUSHES_MAX = 200


def main() -> None:
    """Live and die."""
    url, spool, wire, first, lives, seed = sys.argv[1:]
    KinesisStream.at(Place("producer", url, "us-east-1"), "readings")  # its clients are there for every child
    random, number = Random(int(seed)), int(first)
    for life in range(int(lives)):
        number = _live_and_die(url, spool, wire, number, Random(f"{seed} {life}"), random)
    producer = _producer(url, spool, wire)
    for _ in range(FLUSHES_MAX):
        if producer.flush():
            print("f", number - 1)
            break
    print("d", producer.counters.damaged)
    producer.close()


def _live_and_die(url: str, spool: str, wire: str, number: int, child_random: Random, random: Random) -> int:
    """One life; the number of the first reading of the next."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _live(_producer(url, spool, wire), number, writer, child_random)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        first = said.readline()
        time.sleep(random.random() * LIFE_SECONDS_MAX)
        os.kill(child, signal.SIGKILL)
        words = [line.split() for line in (first, *said) if line.endswith(b"\n")]
    os.waitpid(child, 0)
    for kind, told in words:
        print(kind.decode(), int(told))
    print("k", flush=True)
    accepted = [int(told) for kind, told in words if kind == b"a"]
    # What was put as it was killed may have been accepted without a word; the next life goes on far behind it.
    return max(accepted, default=number) + 1_000


def _live(producer: Producer, number: int, writer: int, random: Random) -> None:
    while True:
        if random.random() < 0.2:
            end = number + random.randint(1, 40)
            producer.put_readings(Readings.of(Reading(*_fact(one)) for one in range(number, end)))
        else:
            end = number + 1
            sensor_id, time_ms, sequence, milli_c = _fact(number)
            producer.put(sensor_id, milli_c / 1000, event_time=time_ms, sequence=sequence)
        number = end
        os.write(writer, b"a %d\n" % (number - 1))
        if random.random() < 0.01 and producer.flush():
            os.write(writer, b"f %d\n" % (number - 1))


def _fact(number: int) -> tuple[str, int, int, int]:
    return f"sensor-{number % 7}", NOON_MS + number, number, 20_000 + number % 5_000


def _producer(url: str, spool: str, wire: str) -> Producer:
    return Producer.to_stream(
        "readings", endpoint_url=url, spool=Path(spool), wire=wire, linger_seconds=0.02, contacts_stream=False
    )


if __name__ == "__main__":
    main()
