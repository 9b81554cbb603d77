"""A gateway that is killed again and again: python -m tests.unit.mortal_gateway ENDPOINT_URL SPOOL WIRE FIRST LIVES

Each life is a child of a fork, made by a process that has imported everything, so that it begins in milliseconds. It
puts readings numbered on from the last life's, one by one and in batches, and flushes now and then. It says

    o 17        readings up to number 17 are about to be put
    a 17        all of them were accepted, as `put` has returned
    f 17 123    readings up to number 17 are in the stream, as `flush` said True at 123 of `time.monotonic_ns`

into a file, because a pipe may be full. The parent kills it at a random moment, mostly after its first reading, some of
them after a flush, and passes on what it said, and then `k`. The last life is not killed: it flushes until all is sent.
"""

# ruff: noqa: T201 - it speaks on stdout
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from typing import NoReturn

from producers import Producer, Reading, Readings
from tests.oracle import Fact
from windrow.aws.clients import Place
from windrow.aws.kinesis import KinesisStream

NOON_MS = 1_795_176_000_000
LIFE_SECONDS_MAX = 0.4
FIRST_WORD_SECONDS_MAX = 300
DRAIN_SECONDS_MAX = 60
# How many readings a batch has at most, and how long a life rests after each put.
BATCHES_MAX = (40, 40, 40, 2_000)
RESTS_SECONDS = (0.0, 0.001, 0.005)
# How often it flushes instead of resting.
FLUSH_RATES = (0.0, 0.02, 0.2)
# How many of the lives are not killed before a flush of theirs said True, however slow the machine is. They put nothing
# between a flush that said False and the next, or each failure would mean more to send at the next try.
MUST_FLUSH = 0.15

_logger = logging.getLogger(__name__)


def fact(number: int) -> Fact:
    """The reading of that number."""
    return f"sensor-{number % 7}", NOON_MS + number, number, 20_000 + number % 5_000


@dataclass(frozen=True)
class Gateway:
    """What all lives have in common."""

    endpoint_url: str
    spool: str
    wire: str

    def producer(self) -> Producer:
        """What a life begins with."""
        return Producer.to_stream(
            "readings",
            endpoint_url=self.endpoint_url,
            spool=Path(self.spool),
            wire=self.wire,
            linger_seconds=0.02,
            contacts_stream=False,
        )


class Life:
    """One life, which goes on until the process is killed."""

    def __init__(self, gateway: Gateway, *, first: int, words_fd: int, random: Random, must_flush: bool) -> None:
        self._producer = gateway.producer()
        self._words_fd = words_fd
        self._random = random
        self._accepted = first - 1
        self._batch_readings_max = random.choice(BATCHES_MAX)
        self._rest_seconds = random.choice(RESTS_SECONDS)
        self._flush_rate = max(FLUSH_RATES) if must_flush else random.choice(FLUSH_RATES)
        self._must_flush = must_flush

    def go_on(self) -> NoReturn:
        """Put reading after reading, and flush now and then."""
        while True:
            self._put()
            if self._random.random() >= self._flush_rate:
                time.sleep(self._rest_seconds)
            else:
                self._flush()

    def _flush(self) -> None:
        while not (is_complete := self._producer.flush()) and self._must_flush:
            time.sleep(max(RESTS_SECONDS))
        if is_complete:
            self._must_flush = False
            self._say("f", self._accepted, time.monotonic_ns())

    def _put(self) -> None:
        first = last = self._accepted + 1
        is_batch = self._random.random() < 0.2
        if is_batch:
            last += self._random.randrange(self._batch_readings_max)
        self._say("o", last)
        if is_batch:
            self._producer.put_readings(Readings.of(Reading(*fact(one)) for one in range(first, last + 1)))
        else:
            sensor_id, time_ms, sequence, milli = fact(first)
            self._producer.put(sensor_id, milli / 1000, event_time=time_ms, sequence=sequence)
        self._say("a", last)
        self._accepted = last

    def _say(self, *words: str | int) -> None:
        os.write(self._words_fd, (" ".join(map(str, words)) + "\n").encode())


def main() -> None:
    """Live and die."""
    endpoint_url, spool, wire, first, lives = sys.argv[1:]
    logging.getLogger("windrow.producers").setLevel(logging.ERROR)  # that the stream is away is no news here
    gateway = Gateway(endpoint_url, spool, wire)
    KinesisStream.at(Place("producer", endpoint_url, "us-east-1"), "readings")  # its clients are there for every child
    number = int(first)
    for life in range(int(lives)):
        number = _live_and_die(gateway, number, Random(f"{wire} {first} {life}"))
    producer = gateway.producer()
    deadline_seconds = time.monotonic() + DRAIN_SECONDS_MAX
    while not producer.flush():
        if time.monotonic() > deadline_seconds:
            raise SystemExit("the last life could not send what was left")
    print("f", number - 1, time.monotonic_ns())
    producer.close()


def _live_and_die(gateway: Gateway, first: int, random: Random) -> int:
    """One life; the number of the first reading of the next."""
    must_flush = random.random() < MUST_FLUSH
    with TemporaryFile() as words:
        child = os.fork()
        if not child:
            _run_or_exit(
                lambda: Life(
                    gateway, first=first, words_fd=words.fileno(), random=random, must_flush=must_flush
                ).go_on()
            )
        try:
            if must_flush:
                _wait_for_word(b"f", words.fileno(), child)
            elif random.random() < 0.9:
                _wait_for_word(b"a", words.fileno(), child)
            time.sleep(LIFE_SECONDS_MAX * random.random() ** 2)
        finally:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise SystemExit("a life ended by itself")
        words.seek(0)
        said = [line.decode() for line in words if line.endswith(b"\n")]
    print(*said, "k\n", sep="", end="", flush=True)
    return max((int(line.split()[1]) + 1 for line in said if line.startswith("o")), default=first)


def _run_or_exit(work: Callable[[], None]) -> NoReturn:
    """Whatever ends the work ends the process: a child must never go on as its parent."""
    try:
        work()
    except BaseException:
        _logger.exception("a life ended by itself")
    finally:
        os._exit(1)


def _wait_for_word(word: bytes, words_fd: int, child: int) -> None:
    deadline_seconds = time.monotonic() + FIRST_WORD_SECONDS_MAX
    while not any(line.startswith(word) for line in os.pread(words_fd, 10_000_000, 0).splitlines()):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return  # by itself, which its status tells
        if time.monotonic() > deadline_seconds:
            raise SystemExit(f"a life has not said {word.decode()!r}")
        time.sleep(0.001)


if __name__ == "__main__":
    main()
