"""The writer: what reaches the stream, how often, in which requests, and when it gives up."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.shard_queue import BACKOFF_MAX_SECONDS, RateLimit
from producers.writer import ATTEMPTS_MAX, WAITING_RECORDS_MAX, Writer, WriterCounters
from tests.simulation.scripted_stream import ScriptedStream, even_shards
from windrow.aws.stream import REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX, Answers, OutgoingRecord
from windrow.errors import WindrowError

THROTTLED = "ProvisionedThroughputExceededException"
FAILED = "InternalFailure"


class Time:
    """A clock that moves only by sleeping, and remembers how it slept."""

    def __init__(self) -> None:
        self.now_seconds = 1_000.0
        self.slept: list[float] = []
        self.sleep_hook: Callable[[float], None] = lambda _seconds: None

    def clock(self) -> float:
        return self.now_seconds

    def sleep(self, seconds: float) -> None:
        self.sleep_hook(seconds)
        self.slept.append(seconds)
        self.now_seconds += seconds


def writer_to(
    stream: ScriptedStream, time: Time | None = None, *, uniform: float = 0.5, rate_limit: RateLimit | None = None
) -> Writer:
    time = time or Time()
    return Writer(stream, clock=time.clock, sleep=time.sleep, uniform=lambda: uniform, rate_limit=rate_limit)


def records(count: int, *, body_bytes: int = 1, readings: int = 1) -> list[OutgoingRecord]:
    return [
        OutgoingRecord(
            partition_key=f"k{number:05}", body=b"x" * body_bytes, shard_id="shardId-000000000000", readings=readings
        )
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
@example(count=1_200, refused={(0, 0)}, code=FAILED)  # the shard pauses, and more than a request takes waits
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


@pytest.mark.parametrize(("excess", "sizes"), [(0, [8]), (1, [7, 1])])
def test_a_request_holds_at_most_5_mib_with_its_partition_keys(excess: int, sizes: list[int]) -> None:
    """Eight records of exactly 5 MiB together go in one request; with one byte more the eighth waits."""
    stream = ScriptedStream()
    writer = writer_to(stream)
    body_bytes = REQUEST_BYTES_MAX // 8 - len("k00000")
    sent = records(7, body_bytes=body_bytes) + records(1, body_bytes=body_bytes + excess)

    writer.write(sent)
    writer.flush()

    assert [len(request) for request in stream.requests] == sizes


@st.composite
def _large_records(draw: st.DrawFn) -> list[OutgoingRecord]:
    """Records of which any few in a row are a request, to the byte or but for one; keys may be a good part of them."""
    count = draw(st.integers(6, 9))
    share_bytes, rest_bytes = divmod(REQUEST_BYTES_MAX + draw(st.integers(-1, 1)), count)
    large = draw(st.integers(0, count - 1))
    made = []
    for number in range(2 * count):
        key = f"{number:02}{draw(st.sampled_from(['', 'k' * 200, '日' * 200]))}"
        size_bytes = share_bytes + rest_bytes * (number % count == large)
        body = b"x" * (size_bytes - len(key.encode()))
        made.append(OutgoingRecord(partition_key=key, body=body, shard_id="shardId-000000000000"))
    return made


@given(sent=_large_records(), refused=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=12))
def test_no_request_is_beyond_the_limits_whatever_waits(
    sent: list[OutgoingRecord], refused: set[tuple[int, int]]
) -> None:
    """More than a request's worth waits after a refusal; the stream takes no byte too much, keys included."""
    stream = ScriptedStream(refuse=lambda request, position: FAILED if (request, position) in refused else None)
    writer = writer_to(stream)

    writer.write(sent)
    writer.flush()

    assert stored_keys(stream) == sorted(keys(sent))


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
    with pytest.raises(
        WindrowError, match=r"stream 'scripted', shard shardId-000000000000: 1 records failed .*InternalFailure"
    ):
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

    ceilings = [0.2, 0.4, 0.8, 1.6, 3.2, *[BACKOFF_MAX_SECONDS] * 3]
    assert [seconds * 4 for seconds in time.slept] == pytest.approx(ceilings)


def test_a_shard_that_fails_does_not_hold_up_the_others() -> None:
    """While one pauses, the records of the other go."""
    time = Time()
    stream = ScriptedStream(refuse=lambda request, position: THROTTLED if request == 0 and position == 0 else None)
    writer = writer_to(stream, time)
    slow, quick = (
        [OutgoingRecord(partition_key=f"{shard}{number}", body=b"x", shard_id=shard) for number in range(2)]
        for shard in ("slow", "quick")
    )

    writer.write([slow[0]])
    writer.write([quick[0]])
    with pytest.raises(RuntimeError):
        raise_at_sleep(time, writer.flush)
    writer.write([quick[1]])
    with pytest.raises(RuntimeError):
        raise_at_sleep(time, writer.flush)

    assert stored_keys(stream) == keys(quick)


def raise_at_sleep(time: Time, act: Callable[[], None]) -> None:
    """Do it, but stop where it would sleep."""

    def refuse(_seconds: float) -> None:
        raise RuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep_hook", refuse)
        act()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate_limit", "body_bytes", "least_seconds"),
    [
        (RateLimit(bytes_per_second=1e6, records_per_second=1e3), 1, 4),
        (RateLimit(bytes_per_second=1e6, records_per_second=1e3), 10_000, 49),
    ],
)
def test_a_shard_is_written_at_its_pace(rate_limit: RateLimit, body_bytes: int, least_seconds: float) -> None:
    """5,000 records take four seconds beyond the first second's worth, or as long as their bytes take."""
    time = Time()
    stream = ScriptedStream()
    writer = writer_to(stream, time, rate_limit=rate_limit)
    writer.write(records(5_000, body_bytes=body_bytes))
    writer.flush()
    assert len(stream.stored) == 5_000
    assert least_seconds <= sum(time.slept) < least_seconds * 1.2


def test_no_second_takes_more_than_two_seconds_worth() -> None:
    """A full bucket and what flows in beside it, and a record that overdraws it; in the long run the rate itself."""
    time = Time()
    sent: list[tuple[float, int]] = []

    class Timed(ScriptedStream):
        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            sent.append((time.now_seconds, sum(record.size_bytes for record in records)))
            return super().put_records(records)

    writer = writer_to(Timed(), time, rate_limit=RateLimit(bytes_per_second=1e6, records_per_second=1e3))
    writer.write(records(400, body_bytes=50_000))
    writer.flush()
    for start, _ in sent:
        assert sum(size for at, size in sent if start <= at < start + 1) <= 2_150_000


def test_what_waits_is_bounded() -> None:
    """A writer that is given more than the shard takes waits for the shard instead of growing."""
    time = Time()
    stream = ScriptedStream()
    writer = Writer(stream, clock=time.clock, sleep=time.sleep, waiting_bytes_max=2_000_000)
    for record in records(300, body_bytes=50_000):
        writer.write([record])
        assert writer._waiting_bytes <= max(2_000_000, REQUEST_BYTES_MAX) + 50_006
    assert time.slept
    assert WAITING_RECORDS_MAX >= REQUEST_RECORDS_MAX


def test_no_request_is_empty() -> None:
    """Nor when a shard paused so long that all that waited went at once, to make room; Kinesis takes 1 to 500."""
    time = Time()
    stream = ScriptedStream(refuse=lambda request, position: FAILED if request == position == 0 else None)
    writer = Writer(stream, clock=time.clock, sleep=time.sleep, rate_limit=None, waiting_bytes_max=10_000)
    writer.write(records(40, body_bytes=1_000))
    writer.flush()
    assert all(stream.requests)
    assert len(stream.stored) == 40


def test_giving_up_one_shard_forgets_no_record_of_another() -> None:
    """Two shards fail alike; what waits after the error is all of it, and a later flush sends it."""
    refusing = True
    stream = ScriptedStream(refuse=lambda _request, _position: FAILED if refusing else None)
    writer = Writer(stream, uniform=lambda: 0.0, rate_limit=None)
    sent = [OutgoingRecord(partition_key=f"k{number}", body=b"x", shard_id=f"shard-{number}") for number in range(3)]
    writer.write(sent)
    with pytest.raises(WindrowError, match="failed 10 times"):
        writer.flush()
    assert len(stream.requests) == ATTEMPTS_MAX
    refusing = False
    writer.flush()
    assert stored_keys(stream) == keys(sent)


@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    kept=st.sets(st.sampled_from(["shard-0", "shard-1", "shard-2"])),
)
def test_a_writer_that_gave_back_has_room_again(counts: list[int], kept: set[str]) -> None:
    """Time after time a stream that is away gives back what waits: never does more count as waiting than waits."""
    stream = ScriptedStream(refuse=lambda _request, _position: FAILED)
    writer = writer_to(stream)
    waiting = 0
    for count in counts:
        writer.write(
            OutgoingRecord(partition_key="k", body=b"x" * 9, shard_id=f"shard-{number % 3}") for number in range(count)
        )
        waiting += 10 * count
        waiting -= sum(record.size_bytes for record in writer.give_back(except_shards=kept))
        assert writer._waiting_bytes == waiting


def test_a_writer_that_gives_back_for_days_still_fills_its_requests() -> None:
    """A stream that comes and goes: what was given back takes no room, so the next records go in one request."""
    is_away = True
    stream = ScriptedStream(refuse=lambda _request, _position: FAILED if is_away else None)
    time = Time()
    writer = Writer(
        stream, clock=time.clock, sleep=time.sleep, uniform=lambda: 0.5, rate_limit=None, waiting_bytes_max=100_000
    )
    for _ in range(5):
        writer.write(records(9, body_bytes=10_000))
        assert len(writer.give_back()) == 9
    is_away = False
    writer.write(records(9, body_bytes=10_000))
    writer.flush()
    assert [len(request) for request in stream.requests] == [9]


def test_what_was_not_stored_can_be_taken_back() -> None:
    """After giving up nothing is lost: the records that are not stored are there, in order."""
    stream = ScriptedStream(refuse=lambda _request, position: FAILED if position else None)
    time = Time()
    writer = writer_to(stream, time)
    sent = records(3)
    writer.write(sent)
    with pytest.raises(RuntimeError):
        raise_at_sleep(time, writer.flush)
    assert writer.give_back() == sent[1:]
    writer.flush()
    assert len(stream.requests) == 1


def test_a_record_in_another_shard_than_its_own_is_told() -> None:
    """As after a split: the answer names the shard that took it."""
    told: list[tuple[str, str]] = []
    stream = ScriptedStream(even_shards(2))
    writer = Writer(
        stream, rate_limit=None, on_misplaced=lambda record, stored: told.append((record.shard_id, stored.shard_id))
    )
    old = OutgoingRecord(partition_key="a", body=b"x", explicit_hash_key="0", shard_id="shardId-old")
    right = OutgoingRecord(partition_key="a", body=b"x", explicit_hash_key="0", shard_id="shardId-000000000000")
    writer.write([old, right, OutgoingRecord(partition_key="a", body=b"x", explicit_hash_key="0")])
    writer.flush()
    assert told == [("shardId-old", "shardId-000000000000")]
    assert writer.counters.misplaced == 1


def test_the_last_sequence_number_of_each_shard_is_the_greatest_integer() -> None:
    """Number 10 comes after 9, whatever the order of their digits and of the answers; shards are kept apart."""
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


def test_records_of_a_request_that_is_refused_for_good_are_still_there() -> None:
    """Access is denied, and granted later: every record of the denied request is stored by the next flush."""

    class Denied(ScriptedStream):
        is_denied = True

        def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
            if self.is_denied:
                raise WindrowError("AccessDenied")
            return super().put_records(records)

    stream = Denied(even_shards(2))
    writer = writer_to(stream)
    sent = records(5)
    writer.write(sent)
    for _ in range(3):
        with pytest.raises(WindrowError, match="AccessDenied"):
            writer.flush()
    assert keys(writer.give_back()) == keys(sent)
    writer.write(sent)
    stream.is_denied = False
    writer.flush()
    assert stored_keys(stream) == keys(sent)
