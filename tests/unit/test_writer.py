"""The writer: what reaches the stream, how often, in which requests, and when it gives up."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.writer import ATTEMPTS_MAX, BACKOFF_MAX_SECONDS, PACE_MIN_SECONDS, Writer, WriterCounters
from tests.simulation.scripted_stream import ScriptedStream, even_shards
from windrow.errors import WindrowError
from windrow.kinesis import REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX, Answers, OutgoingRecord

THROTTLED = "ProvisionedThroughputExceededException"
FAILED = "InternalFailure"


class Time:
    """A clock that moves only by sleeping, and remembers how it slept."""

    def __init__(self) -> None:
        self.now_seconds = 1_000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_seconds += seconds


def writer_to(stream: ScriptedStream, time: Time | None = None, *, uniform: float = 0.5) -> Writer:
    time = time or Time()
    return Writer(stream, clock=time.clock, sleep=time.sleep, uniform=lambda: uniform)


def records(count: int, *, body_bytes: int = 1, readings: int = 1) -> list[OutgoingRecord]:
    return [
        OutgoingRecord(partition_key=f"k{number:05}", body=b"x" * body_bytes, shard_id="shardId-7", readings=readings)
        for number in range(count)
    ]


def stored_keys(stream: ScriptedStream) -> list[str]:
    return sorted(stored.record.partition_key for stored in stream.stored)


def keys(some: list[OutgoingRecord]) -> list[str]:
    return [record.partition_key for record in some]


def test_only_the_failed_entries_are_sent_again() -> None:
    """Of four entries two fail: the second request holds those two, and each record is stored exactly once."""
    stream = ScriptedStream(refuse=lambda request, position: FAILED if request == 0 and position in {1, 3} else None)
    writer = writer_to(stream)
    sent = records(4)

    writer.write(sent)
    writer.flush()

    assert [keys(request) for request in stream.requests] == [keys(sent), [keys(sent)[1], keys(sent)[3]]]
    assert stored_keys(stream) == keys(sent)
    assert writer.counters.retried == 2


@given(
    count=st.integers(0, 1_200),
    refused=st.sets(st.tuples(st.integers(0, 8), st.integers(0, REQUEST_RECORDS_MAX - 1)), max_size=200),
    code=st.sampled_from([THROTTLED, FAILED]),
)
def test_whatever_fails_each_record_is_stored_exactly_once(
    count: int, refused: set[tuple[int, int]], code: str
) -> None:
    """Any entries of the first nine requests may fail; nothing is lost, doubled, or counted twice."""
    stream = ScriptedStream(refuse=lambda request, position: code if (request, position) in refused else None)
    writer = writer_to(stream)
    sent = records(count, readings=3)

    writer.write(sent)
    writer.flush()

    assert stored_keys(stream) == keys(sent)
    assert writer.counters.records == count
    assert writer.counters.readings == 3 * count
    assert writer.counters.bytes == sum(record.size_bytes for record in sent)


def test_a_request_holds_at_most_500_records() -> None:
    """The 501st record starts the next request."""
    stream = ScriptedStream()
    writer = writer_to(stream)

    writer.write(records(REQUEST_RECORDS_MAX + 1))
    assert [len(request) for request in stream.requests] == [REQUEST_RECORDS_MAX]
    writer.flush()

    assert [len(request) for request in stream.requests] == [REQUEST_RECORDS_MAX, 1]


@pytest.mark.parametrize(("excess", "sizes"), [(0, [5]), (1, [4, 1])])
def test_a_request_holds_at_most_5_mib_with_its_partition_keys(excess: int, sizes: list[int]) -> None:
    """Five records of exactly 5 MiB together go in one request; with one byte more the fifth waits."""
    stream = ScriptedStream()
    writer = writer_to(stream)
    body_bytes = REQUEST_BYTES_MAX // 5 - len("k00000")
    sent = records(4, body_bytes=body_bytes) + records(1, body_bytes=body_bytes + excess)

    writer.write(sent)
    writer.flush()

    assert [len(request) for request in stream.requests] == sizes


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_request_without_answer_is_sent_again_whole(is_stored: bool) -> None:
    """It may have been stored or not, so all of it is sent again and counted as ambiguous."""
    stream = ScriptedStream(unanswered={0: is_stored})
    writer = writer_to(stream)
    sent = records(3)

    writer.write(sent)
    writer.flush()

    assert [keys(request) for request in stream.requests] == [keys(sent), keys(sent)]
    assert set(stored_keys(stream)) == set(keys(sent))
    assert writer.counters == WriterCounters(
        requests=2, records=3, readings=3, bytes=writer.counters.bytes, retried=3, ambiguous=3
    )


def test_a_request_that_the_client_repeated_counts_as_ambiguous() -> None:
    """The client's own retry may have stored the records once before."""

    class Repeating(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            return Answers(super().put_records(records).entries, repeats=1)

    writer = writer_to(Repeating())
    writer.write(records(2))
    writer.flush()
    assert writer.counters.ambiguous == 2


def test_giving_up_names_stream_shard_and_error() -> None:
    """After the bounded number of attempts in vain the error says what failed where, and sends no more."""
    stream = ScriptedStream(refuse=lambda _request, position: FAILED if position == 0 else None)
    writer = writer_to(stream)

    writer.write(records(2))
    with pytest.raises(WindrowError, match=r"stream 'scripted', shard shardId-7: 1 records failed .*InternalFailure"):
        writer.flush()

    assert len(stream.requests) == ATTEMPTS_MAX + 1
    assert stored_keys(stream) == ["k00001"]


def test_giving_up_without_any_answer_says_so() -> None:
    """A stream that never answers is given up as well."""
    stream = ScriptedStream(unanswered=dict.fromkeys(range(100), False))
    writer = writer_to(stream)
    writer.write(records(1))
    with pytest.raises(WindrowError, match="no answer: read timeout"):
        writer.flush()
    assert len(stream.requests) == ATTEMPTS_MAX


def test_patience_lasts_while_anything_is_stored() -> None:
    """A slow shard that takes one record of each request is not given up, however many requests it takes."""
    stream = ScriptedStream(refuse=lambda _request, position: THROTTLED if position else None)
    writer = writer_to(stream)
    sent = records(3 * ATTEMPTS_MAX)

    writer.write(sent)
    writer.flush()

    assert stored_keys(stream) == keys(sent)
    assert writer.counters.throttled == writer.counters.retried == sum(range(3 * ATTEMPTS_MAX))


def test_backoff_is_full_jitter_under_a_doubling_ceiling() -> None:
    """The n-th pause is a uniform part of a ceiling that doubles up to its bound."""
    time = Time()
    stream = ScriptedStream(refuse=lambda request, _position: FAILED if request < 8 else None)
    writer = writer_to(stream, time, uniform=0.25)

    writer.write(records(1))
    writer.flush()

    assert [seconds * 4 for seconds in time.slept] == [0.2, 0.4, 0.8, 1.6, 3.2, *[BACKOFF_MAX_SECONDS] * 3]


def test_throttling_slows_the_requests_that_follow_and_success_speeds_them_up() -> None:
    """After a throttled request there is a gap before the next ones, until they go well."""
    time = Time()
    stream = ScriptedStream(refuse=lambda request, _position: THROTTLED if request == 0 else None)
    writer = writer_to(stream, time, uniform=0.0)

    for _ in range(3):
        writer.write(records(1))
        writer.flush()

    backoff, gap = time.slept
    assert backoff == 0.0
    assert gap == pytest.approx(PACE_MIN_SECONDS)


def test_an_unthrottled_writer_never_sleeps() -> None:
    """Nothing is paced without a reason."""
    time = Time()
    writer = writer_to(ScriptedStream(), time)
    writer.write(records(2_000))
    writer.flush()
    assert time.slept == []


def test_the_last_sequence_number_of_each_shard_is_the_greatest_integer() -> None:
    """Number 10 comes after 9, whatever the order of their digits; shards are kept apart."""
    stream = ScriptedStream(even_shards(2))
    writer = writer_to(stream)

    writer.write(records(8))
    writer.flush()

    highest = {stored.shard_id: stored.sequence_number for stored in stream.stored}
    assert max(highest.values()) > 9
    assert writer.last_sequence_numbers == highest


def test_flushing_nothing_sends_nothing() -> None:
    """Kinesis refuses a request without records."""
    stream = ScriptedStream()
    writer_to(stream).flush()
    assert stream.requests == []
