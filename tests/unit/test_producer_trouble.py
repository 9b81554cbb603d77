"""The producer tells the truth in trouble: a dead thread, a fork, a page for an answer, no credentials, a bad entry."""

import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from producers import Producer, Reading, Readings
from producers.sender import Sender
from producers.spool import Spool
from tests.simulation.payloads import plain
from tests.simulation.scripted_stream import ScriptedStream
from tests.unit.answering_endpoint import HTML, HttpAnswer, answering_endpoint
from tests.unit.producers_to import NOON_MS, Away, producer_to, put, reading, readings_in
from windrow.aws.stream import Answers, OutgoingRecord, Refused
from windrow.errors import PermanentError, WindrowError
from windrow.reading import BadReading


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
    return one.sensor_id, one.event_time_ms, one.sequence, one.value_milli


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
        raise PermanentError("there is no stream 'x' in eu-central-1")

    with pytest.raises(PermanentError, match="no stream"):
        Producer(make_sender, spool=Spool(tmp_path), contacts_stream=True)
    Spool(tmp_path).close()
    with Producer(make_sender, spool=Spool(tmp_path)) as producer:  # unless asked not to
        put(producer, range(1))
        assert not producer.flush()
        assert isinstance(producer.last_error, PermanentError)


@pytest.mark.slow
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
    with pytest.raises(PermanentError, match=match):
        Producer.to_stream("x", endpoint_url=f"http://127.0.0.1:{port}", spool=tmp_path / "spool")


@pytest.mark.slow
def test_an_endpoint_that_answers_with_a_page_stores_nothing(tmp_path: Path) -> None:
    """A captive portal says 200 to everything; flush says False, and the readings wait for the real stream."""
    with answering_endpoint() as endpoint, pytest.MonkeyPatch.context() as patch:
        endpoint.answer = HttpAnswer(body=b"<html>Sign in to the wireless network</html>", headers=HTML)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with Producer.to_stream("x", endpoint_url=endpoint.endpoint_url, spool=tmp_path) as producer:
            put(producer, range(3))
            assert not producer.flush()
            assert producer.last_error is not None
    stream = ScriptedStream()
    with producer_to(stream, spool=Spool(tmp_path)):
        pass
    assert set(readings_in(stream)) == set(map(reading, range(3)))


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
    wide = replace(columns, value_milli=columns.value_milli.astype(np.int64))
    stream = Away()
    stream.is_away = True
    producer = producer_to(stream, spool=Spool(tmp_path) if is_spooled else None)
    producer.put_readings(wide)
    wide.value_milli[:] = 0
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
