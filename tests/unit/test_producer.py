"""The producer: what it took is in the stream or on local disk, whatever happens to either of them."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from producers import Producer, Reading, Readings, Wire
from producers.sender import Sender
from producers.shards import ShardMap
from producers.spool import Spool, SpoolFull
from producers.writer import Writer
from tests.simulation.payloads import plain
from tests.simulation.scripted_stream import ScriptedStream, even_shards
from windrow.aws.kinesis import Answers, OutgoingRecord, Refused, Unanswered
from windrow.aws.stream import UNREACHABLE
from windrow.columns.strings import Strings
from windrow.errors import Unusable, WindrowError
from windrow.reading import BadReading
from windrow.wire.block.block import decode_block, is_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import deaggregate

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = 1_795_176_000_000


class Away(ScriptedStream):
    """A stream that can be away."""

    is_away = False

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        if self.is_away:
            return Answers((Refused(UNREACHABLE, "nothing answers"),) * len(records))
        return super().put_records(records)


def producer_to(
    stream: ScriptedStream, *, spool: Spool | None = None, wire: Wire = Wire.JSON, **options: float
) -> Producer:
    def make_sender() -> Sender:
        writer = Writer(stream, uniform=lambda: 0.0, attempts_max=3, pace=None)
        return Sender(writer, ShardMap(stream.shards), wire=wire, list_shards=lambda: stream.shards)

    return Producer(make_sender, spool=spool, linger_seconds=0.02, probe_seconds_min=0.01, **options)  # type: ignore[arg-type]


def readings_in(stream: ScriptedStream) -> list[Reading]:
    """Everything the stream holds, in its order."""
    found: list[Reading] = []
    for stored in stream.stored:
        user_records = deaggregate(stored.record.body)
        payloads = [stored.record.body] if user_records is None else [one.payload for one in user_records]
        for payload in payloads:
            found += decode_block(payload) if is_block(payload) else [parse_reading(payload)]
    return found


def reading(number: int) -> Reading:
    return Reading(f"sensor-{number % 7}", NOON_MS + number, number, 20_000 + number)


def put(producer: Producer, numbers: range) -> None:
    for number in numbers:
        one = reading(number)
        producer.put(
            one.sensor_id, Decimal(one.temperature_milli_c) / 1000, event_time=one.event_time_ms, sequence=number
        )


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
    ("celsius", "milli_c"),
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
def test_a_temperature_is_rounded_once_half_to_even(celsius: float | Decimal, milli_c: int) -> None:
    """From the decimal that a float prints as."""
    stream = ScriptedStream()
    with producer_to(stream) as producer:
        producer.put("roof", celsius, event_time=NOON)
    assert readings_in(stream) == [Reading("roof", NOON_MS, 0, milli_c)]


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
        {"temperature_c": float("nan")},
        {"temperature_c": float("inf")},
        {"temperature_c": -273.16},
        {"sequence": -1},
        {"event_time": NOON.replace(tzinfo=None)},
    ],
)
def test_a_reading_that_could_not_count_is_refused_at_once(bad: dict[str, object]) -> None:
    """Where the mistake is, not in quarantine."""
    with producer_to(ScriptedStream()) as producer, pytest.raises(BadReading):
        producer.put(**{"sensor_id": "roof", "temperature_c": 20.0, "event_time": NOON, **bad})  # type: ignore[arg-type]


def test_a_closed_producer_takes_nothing() -> None:
    """And may be closed again."""
    producer = producer_to(ScriptedStream())
    producer.close()
    producer.close()
    with pytest.raises(WindrowError, match="closed"):
        producer.put("roof", 1.0)


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


class Broken(ScriptedStream):
    """A stream whose client has a fault of its own."""

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:  # noqa: ARG002
        raise KeyError("Records")


@pytest.mark.parametrize("is_spooled", [False, True])
def test_whatever_ends_the_sender_thread_is_told_by_every_call(is_spooled: bool, tmp_path: Path) -> None:
    """Not once but again and again: nothing that was put before or is put now is sent any more."""
    producer = producer_to(Broken(), spool=Spool(tmp_path) if is_spooled else None)
    put(producer, range(3))
    for call in (producer.flush, lambda: put(producer, range(3, 4)), producer.flush, producer.close, producer.close):
        with pytest.raises(WindrowError, match="KeyError: 'Records'"):
            call()
    if is_spooled:  # the folder is free again, and has everything
        stream = ScriptedStream()
        with producer_to(stream, spool=Spool(tmp_path)):
            pass
        assert set(readings_in(stream)) == set(map(reading, range(3)))


def test_everybody_who_waits_for_a_flush_that_fails_is_told() -> None:
    """Two threads flush while the stream refuses; neither of them is told that all is well."""
    entered, gate = threading.Event(), threading.Event()

    class Refusing(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            entered.set()
            gate.wait(10)
            return Answers((Refused("InternalFailure", "no"),) * len(records))

    producer = producer_to(Refusing())
    put(producer, range(3))
    assert entered.wait(10)
    told: list[object] = []

    def flush() -> None:
        try:
            told.append(producer.flush())
        except WindrowError as error:
            told.append(error)

    threads = [threading.Thread(target=flush) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(producer._flushes) < 4:
        time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert [type(one) for one in told] == [WindrowError] * 4
    with pytest.raises(WindrowError):
        producer.close()


def test_a_flush_waits_for_a_pass_that_began_after_it() -> None:
    """What is put while a request is under way is not covered by that request's success."""
    entered, gate = threading.Event(), threading.Event()

    class Slow(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            entered.set()
            gate.wait(10)
            return super().put_records(records)

    stream = Slow()
    with producer_to(stream) as producer:
        put(producer, range(1))
        assert entered.wait(10)
        put(producer, range(1, 2))
        threading.Timer(0.05, gate.set).start()
        assert producer.flush()
        assert set(readings_in(stream)) == {reading(0), reading(1)}


def test_without_a_spool_what_failed_is_tried_again_by_itself() -> None:
    """Nobody puts or flushes; it arrives when the stream is back."""
    arrived = threading.Event()

    class Telling(Away):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            answers = super().put_records(records)
            if not self.is_away:
                arrived.set()
            return answers

    stream = Telling()
    stream.is_away = True
    producer = producer_to(stream)
    put(producer, range(5))
    with pytest.raises(WindrowError):
        producer.flush()
    stream.is_away = False
    assert arrived.wait(10)
    producer.close()
    assert set(readings_in(stream)) == set(map(reading, range(5)))


def test_one_bad_entry_of_an_older_spool_stops_nothing(tmp_path: Path) -> None:
    """An earlier version took nanoseconds for milliseconds; its entry is kept beside, the others are sent."""
    bad = plain(("roof", NOON_MS * 1_000_000, 0, 20_000))
    entries = [plain(fact_of(0)), bad, plain(fact_of(1)), bytes(64), plain(fact_of(2))]
    old = [len(entry).to_bytes(4, "little") + zlib.crc32(entry).to_bytes(4, "little") + entry for entry in entries]
    old[3] = bytes(64)  # and a loss of power left zeros
    (tmp_path / "00000001.spool").write_bytes(b"".join(old))
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        put(producer, range(3, 6))
        for _ in range(200):
            if not producer.is_away:
                break
            assert not producer.flush()
        assert producer.counters.damaged == 2
        assert not producer.flush(), "something that was put will never arrive"
    assert set(readings_in(stream)) == set(map(reading, range(6)))
    assert (tmp_path / "00000001.damaged").read_bytes() == b"".join(old)
    assert [path.name for path in tmp_path.glob("*.s*")] == []


def fact_of(number: int) -> tuple[str, int, int, int]:
    one = reading(number)
    return one.sensor_id, one.event_time_ms, one.sequence, one.temperature_milli_c


@pytest.mark.slow
def test_after_a_fork_the_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    """In the child put, flush and close say why; nothing hangs, and nothing of the parent's is touched."""
    script = (
        "import os, sys\n"
        "from producers import Producer\n"
        "from windrow.errors import WindrowError\n"
        "producer = Producer.to_stream('x', endpoint_url='http://127.0.0.1:9', spool=sys.argv[1])\n"
        f"producer.put('roof', 1, event_time={NOON_MS})\n"
        "child = os.fork()\n"
        "if not child:\n"
        f"    for call in (lambda: producer.put('roof', 2, event_time={NOON_MS}), producer.flush, producer.close):\n"
        "        try:\n"
        "            call()\n"
        "        except WindrowError as error:\n"
        "            assert 'fork' in str(error), error\n"
        "        else:\n"
        "            os._exit(1)\n"
        "    sys.exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        f"producer.put('roof', 3, event_time={NOON_MS + 1})\n"
        "producer.close()\n"
    )
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=True, timeout=60)
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert readings_in(stream) == [Reading("roof", NOON_MS, 0, 1_000), Reading("roof", NOON_MS + 1, 0, 3_000)]


@pytest.mark.slow
def test_a_program_that_never_closes_sends_what_is_buffered(tmp_path: Path) -> None:
    """It ends with a reading that was put a moment ago; here into its spool, which the end has sealed."""
    script = (
        "import sys\n"
        "from producers import Producer\n"
        "producer = Producer.to_stream('x', endpoint_url='http://127.0.0.1:9')\n"
        f"producer.put('roof', 1, event_time={NOON_MS})\n"
    )
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, timeout=60, capture_output=True, text=True
    )
    assert "not everything was sent as the program ended" in ended.stderr


def test_it_tells_once_when_the_stream_goes_away_and_once_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However many attempts fail; `last_error` has the cause as long as it lasts."""
    stream = Away()
    stream.is_away = True
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        for number in range(5):
            put(producer, range(number, number + 1))
            assert not producer.flush()
        assert "nothing answers" in str(producer.last_error)
        stream.is_away = False
        while not producer.flush():
            time.sleep(0.001)
        assert producer.last_error is None
    told = [(record.levelname, record.name, record.getMessage()) for record in caplog.records]
    assert [name for _, name, _ in told] == ["windrow.producers"] * 2
    assert "nothing answers" in told[0][2]
    assert "again" in told[1][2]


def test_a_permanent_cause_is_raised_at_the_first_contact_and_the_spool_is_free(tmp_path: Path) -> None:
    """Nothing is accepted by a producer that can never send."""

    def make_sender() -> Sender:
        raise Unusable("there is no stream 'x' in eu-central-1")

    with pytest.raises(Unusable, match="no stream"):
        Producer(make_sender, spool=Spool(tmp_path), contacts_stream=True)
    Spool(tmp_path).close()
    with Producer(make_sender, spool=Spool(tmp_path)) as producer:  # unless asked not to
        put(producer, range(1))
        assert not producer.flush()
        assert isinstance(producer.last_error, Unusable)


@pytest.mark.parametrize(
    ("environment", "port", "match"),  # a port each, as a client is made once for each place
    [
        ({}, 11, "no AWS credentials"),
        ({"AWS_ACCESS_KEY_ID": "x"}, 12, "incomplete"),
        ({"AWS_PROFILE": "nobody"}, 13, "nobody"),
    ],
)
def test_without_credentials_there_is_no_producer(
    environment: dict[str, str], port: int, match: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is said where the producer is made, before a reading is taken."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unusable, match=match):
        Producer.to_stream("x", endpoint_url=f"http://127.0.0.1:{port}", spool=tmp_path / "spool")


def test_an_endpoint_that_answers_with_a_page_stores_nothing(tmp_path: Path) -> None:
    """A captive portal says 200 to everything; flush says False, and the readings wait for the real stream."""
    with page_server() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with Producer.to_stream("x", endpoint_url=url, spool=tmp_path) as producer:
            put(producer, range(3))
            assert not producer.flush()
            assert producer.last_error is not None
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert set(readings_in(stream)) == set(map(reading, range(3)))


@contextlib.contextmanager
def page_server() -> Iterator[str]:
    """A server on the loopback interface that answers every request with a page of HTML."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            page = b"<html>Sign in to the wireless network</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_many_columns_with_a_bad_row_are_refused_whole() -> None:
    """The row is named, and nothing of the batch is sent."""
    good = Readings.of(map(reading, range(10)))
    sequence = good.sequence.copy()
    sequence[7] = -1
    stream = ScriptedStream()
    with producer_to(stream) as producer, pytest.raises(BadReading, match="row 7"):
        producer.put_readings(replace(good, sequence=sequence))
    assert readings_in(stream) == []


@pytest.mark.parametrize("is_spooled", [False, True])
def test_columns_are_taken_as_they_are_now(is_spooled: bool, tmp_path: Path) -> None:
    """Wider types than ours are taken, and the caller may go on with its own arrays."""
    rows = [reading(number) for number in range(10)]
    columns = Readings.of(rows)
    wide = replace(columns, temperature_milli_c=columns.temperature_milli_c.astype(np.int64))
    stream = Away()
    stream.is_away = True
    producer = producer_to(stream, spool=Spool(tmp_path) if is_spooled else None)
    producer.put_readings(wide)
    wide.temperature_milli_c[:] = 0
    wide.event_time_ms[:] = 0
    stream.is_away = False
    while not flushed(producer):
        time.sleep(0.001)
    producer.close()
    assert set(readings_in(stream)) == set(rows)


def flushed(producer: Producer) -> bool:
    try:
        return producer.flush()
    except WindrowError:
        return False


def test_a_flush_ends_though_others_go_on_putting_while_the_spool_is_sent(tmp_path: Path) -> None:
    """With each request of what was left over another reading is put; flush waits for none of those."""
    with Producer(unreachable, spool=Spool(tmp_path), probe_seconds_min=0.01) as producer:
        put(producer, range(1))

    class Answering(ScriptedStream):
        producer: Producer | None = None

        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            if self.producer is not None and len(self.requests) < REQUESTS_MAX:
                put(self.producer, range(len(self.requests) + 1, len(self.requests) + 2))
            return super().put_records(records)

    stream = Answering()
    stream.producer = producer_to(stream, spool=Spool(tmp_path))
    assert stream.producer.flush()
    asked = len(stream.requests)
    stream.producer.close()
    assert asked < REQUESTS_MAX
    assert set(readings_in(stream)) >= set(map(reading, range(asked)))


REQUESTS_MAX = 200


def unreachable() -> Sender:
    raise WindrowError("nothing answers")
