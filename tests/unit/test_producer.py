"""The producer: what it took is in the stream or on local disk, whatever happens to either of them."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from producers import Producer, Reading, Readings, Wire
from producers.sender import Sender
from producers.spool import Spool, SpoolFull
from tests.simulation.scripted_stream import ScriptedStream, even_shards
from tests.unit.producers_to import NOON, NOON_MS, Away, producer_to, put, reading, readings_in
from windrow.aws.stream import Answers, OutgoingRecord, Unanswered
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.reading import BadReading


@pytest.mark.parametrize("wire", list(Wire))
def test_what_is_put_arrives(wire: Wire) -> None:
    """Single readings and batches, in either form, in order per sensor."""
    stream = ScriptedStream(even_shards(3))
    with producer_to(stream, wire=wire) as producer:
        put(producer, range(100))
        producer.put_readings(Readings.of(map(reading, range(100, 300))))
        put(producer, range(300, 350))
    assert sorted(readings_in(stream), key=lambda one: one.sequence) == [reading(number) for number in range(350)]
    for sensor in range(7):
        numbers = [one.sequence for one in readings_in(stream) if one.sensor_id == f"sensor-{sensor}"]
        assert numbers == sorted(numbers)
    assert producer.counters.readings == 350


def test_a_reading_does_not_wait_longer_than_its_linger() -> None:
    """Nobody flushes; it is sent all the same."""
    sent = threading.Event()

    class Telling(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            sent.set()
            return super().put_records(records)

    with producer_to(Telling()) as producer:
        put(producer, range(1))
        assert sent.wait(10)


def test_many_threads_may_put() -> None:
    """Nothing is lost or doubled."""
    stream = ScriptedStream(even_shards(2))
    with producer_to(stream) as producer:
        threads = [
            threading.Thread(target=put, args=(producer, range(first, first + 200))) for first in range(0, 1_600, 200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert producer.flush()
    assert Counter(readings_in(stream)) == Counter(reading(number) for number in range(1_600))


def test_a_full_producer_makes_put_wait() -> None:
    """Memory is bounded: while the stream stands still, at most so many readings are pending."""
    gate = threading.Event()

    class Slow(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            gate.wait(10)
            return super().put_records(records)

    stream = Slow()
    with producer_to(stream, pending_readings_max=10) as producer:
        thread = threading.Thread(target=put, args=(producer, range(100)))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert producer._courier._pending.count <= 10
        gate.set()
        thread.join(10)
    assert len(readings_in(stream)) == 100


def test_without_a_spool_a_stream_that_keeps_refusing_is_told_and_nothing_is_lost() -> None:
    """The error comes from flush; when the stream is back, the next flush sends all of it."""
    stream = Away(even_shards(2))
    stream.is_away = True
    producer = producer_to(stream)
    producer.put_readings(Readings.of(map(reading, range(50))))
    with pytest.raises(WindrowError, match="nothing answers"):
        producer.flush()
    stream.is_away = False
    assert producer.flush()
    producer.close()
    assert Counter(readings_in(stream)) == Counter(map(reading, range(50)))


def test_with_a_spool_a_stream_that_is_away_stops_nobody(tmp_path: Path) -> None:
    """Readings go to local disk, flush says so, and when the stream is back they are sent and the disk is empty."""
    stream = Away(even_shards(2))
    stream.is_away = True
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        put(producer, range(30))
        assert not producer.flush()
        put(producer, range(30, 60))
        assert producer.is_away
        assert producer.counters.spooled == 60
        stream.is_away = False
        for _ in range(500):
            if producer.flush():
                break
        assert not producer.is_away
        put(producer, range(60, 90))
    assert set(readings_in(stream)) == {reading(number) for number in range(90)}
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_closing_while_the_stream_is_away_leaves_everything_to_the_next_process(tmp_path: Path) -> None:
    """The next producer with the same spool sends it, before it has anything of its own."""
    stream = Away()
    stream.is_away = True
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        put(producer, range(40))
    assert readings_in(stream) == []
    stream.is_away = False
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert readings_in(stream) == [reading(number) for number in range(40)]


def test_a_stream_that_cannot_even_be_asked_for_its_shards_counts_as_away(tmp_path: Path) -> None:
    """A gateway starts without its uplink."""
    calls = 0

    def make_sender() -> Sender:
        nonlocal calls
        calls += 1
        raise WindrowError("nothing answers")

    with Producer(make_sender, spool=Spool(tmp_path), probe_seconds_min=0.01) as producer:
        put(producer, range(5))
        assert not producer.flush()
    assert calls > 0
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert len(readings_in(stream)) == 5


def test_a_full_spool_is_told_and_what_it_holds_is_kept(tmp_path: Path) -> None:
    """The bound holds; what was accepted before arrives."""
    stream = Away()
    stream.is_away = True
    accepted = 0
    with producer_to(stream, spool=Spool(tmp_path, bytes_max=2_000)) as producer:
        for number in range(100):
            try:
                put(producer, range(number, number + 1))
            except SpoolFull:
                break
            accepted += 1
        stream.is_away = False
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert 10 < accepted < 100
    assert set(readings_in(stream)) == {reading(number) for number in range(accepted)}


def test_an_ambiguous_request_is_counted() -> None:
    """It was stored, no answer came, and it is sent again."""
    stream = ScriptedStream(unanswered={0: True})
    with producer_to(stream) as producer:
        put(producer, range(1))
        producer.flush()
        assert (producer.counters.ambiguous, producer.counters.retried) == (1, 1)
    assert readings_in(stream) == [reading(0)] * 2


@pytest.mark.parametrize("failure", [Unanswered("reset"), WindrowError("AccessDenied")])
def test_whatever_keeps_the_stream_from_taking_them_spooled_readings_wait(failure: Exception, tmp_path: Path) -> None:
    """No answer, no permission: what is on disk stays there."""

    class Failing(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:  # noqa: ARG002
            raise failure

    with producer_to(Failing(), spool=Spool(tmp_path)) as producer:
        put(producer, range(3))
        assert not producer.flush()
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert set(readings_in(stream)) == {reading(number) for number in range(3)}


@pytest.mark.slow
def test_killed_while_the_stream_is_away_and_started_again_nothing_is_missing(tmp_path: Path) -> None:
    """A process is killed as it puts, while nothing listens where Kinesis should be; all it had put arrives later."""
    script = (
        "import itertools, sys\n"
        "from producers import Producer\n"
        "producer = Producer.to_stream('readings', endpoint_url='http://127.0.0.1:9', spool=sys.argv[1])\n"
        "for number in itertools.count():\n"
        "    name, celsius = f'sensor-{number % 7}', 20.0 + number / 1000\n"
        f"    producer.put(name, celsius, event_time={NOON_MS} + number, sequence=number)\n"
        "    if number == 3000: assert not producer.flush()\n"
        "    print(number, flush=True)\n"
    )
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, "-c", script, str(tmp_path / "spool")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = list(itertools.islice(process.stdout, 4_000))
        process.kill()
        told += process.stdout
    assert process.returncode == -signal.SIGKILL
    put = sum(line.endswith(b"\n") for line in told)
    assert put >= 4_000
    stream = ScriptedStream(even_shards(2))
    with producer_to(stream, spool=Spool(tmp_path / "spool")):
        pass
    # The last put may have ended without a word of it.
    assert set(readings_in(stream)) - {reading(put)} == {reading(number) for number in range(put)}


@pytest.mark.slow
def test_sigterm_sends_what_is_buffered(tmp_path: Path) -> None:
    """The block is left, and the producer closes: here into its spool, which is sealed and whole."""
    script = (
        "import os, signal, sys, time\n"
        "from producers import Producer\n"
        "with Producer.to_stream('readings', endpoint_url='http://127.0.0.1:9', spool=sys.argv[1]) as producer:\n"
        f"    producer.put('roof', 21.5, event_time={NOON_MS})\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False, timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert readings_in(stream) == [Reading("roof", NOON_MS, 0, 21_500)]


@pytest.mark.parametrize(
    ("celsius", "milli"),
    [
        (21.437, 21_437),
        (0.0005, 0),
        (0.0015, 2),
        (-0.0005, 0),
        (20, 20_000),
        (Decimal("1e1"), 10_000),
        (0.1 + 0.2, 300),
    ],
)
def test_a_temperature_is_rounded_once_half_to_even(celsius: float | Decimal, milli: int) -> None:
    """From the decimal that a float prints as."""
    stream = ScriptedStream()
    with producer_to(stream) as producer:
        producer.put("roof", celsius, event_time=NOON)
    assert readings_in(stream) == [Reading("roof", NOON_MS, 0, milli)]


def test_a_time_has_a_zone_and_is_floored() -> None:
    """Any zone; microseconds are cut off."""
    stream = ScriptedStream()
    east = timezone(timedelta(hours=5, minutes=45))
    with producer_to(stream) as producer:
        producer.put("roof", 1, event_time=(NOON + timedelta(microseconds=1_999)).astimezone(east))
    assert readings_in(stream)[0].event_time_ms == NOON_MS + 1


@pytest.mark.parametrize(
    "bad",
    [
        {"sensor_id": ""},
        {"sensor_id": "x" * 129},
        {"sensor_id": "\ud800"},
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": -273.16},
        {"sequence": -1},
        {"event_time": NOON.replace(tzinfo=None)},
    ],
)
def test_a_reading_that_could_not_count_is_refused_at_once(bad: dict[str, object]) -> None:
    """Where the mistake is, not in quarantine."""
    with producer_to(ScriptedStream()) as producer, pytest.raises(BadReading):
        producer.put(**{"sensor_id": "roof", "value": 20.0, "event_time": NOON, **bad})  # type: ignore[arg-type]


def test_a_closed_producer_takes_nothing() -> None:
    """And may be closed again."""
    producer = producer_to(ScriptedStream())
    producer.close()
    producer.close()
    with pytest.raises(WindrowError, match="closed"):
        producer.put("roof", 1.0)


@pytest.mark.slow
def test_a_large_batch_fits_the_spool_in_several_entries(tmp_path: Path) -> None:
    """More readings than one block may hold."""
    number = np.arange(150_000)
    readings = Readings(
        Strings.of(["roof"]),
        np.zeros(len(number), np.int32),
        NOON_MS + number,
        number,
        (20_000 + number % 500).astype(np.int32),
    )
    stream = ScriptedStream()
    stream_away = Away()
    stream_away.is_away = True
    with producer_to(stream_away, spool=Spool(tmp_path)) as producer:
        producer.put_readings(readings)
    with producer_to(stream, spool=Spool(tmp_path), wire=Wire.BLOCKS):
        pass
    assert len(set(readings_in(stream))) == 150_000
