"""What the gateway sends, at the limits of a record and of a request, and what it makes of the answers.

readings ── BlockAggregator ──> blocks of at most 1 MiB ── Writer ──> requests of at most 500 records and 5 MiB
"""

from collections.abc import Sequence
from random import Random

import pytest

from producers.block_aggregator import BlockAggregator
from producers.shards import ShardMap
from producers.writer import Writer
from tests.simulation.scenes import START_MS
from tests.simulation.scripted_stream import BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX, ScriptedStream, even_shards
from windrow.aws.stream import OutgoingRecord
from windrow.reading import Reading, Readings
from windrow.wire.block.block import decode_block

LONG_ID_CHARACTERS = 128
LETTERS = "".join(chr(code) for code in range(0x4E00, 0x4F00))
"""Of three octets each."""


def hard_to_compress(count: int, *, seed: int) -> list[Reading]:
    """Readings of as many sensors, with long random ids."""
    random = Random(seed)
    return [
        Reading("".join(random.choices(LETTERS, k=LONG_ID_CHARACTERS)), START_MS + number, number, random.randrange(9))
        for number in range(count)
    ]


def test_blocks_keep_to_the_limit_of_a_record() -> None:
    """Ids alone are several MiB: the block is parted until each record is within 1 MiB, and no reading is lost."""
    assert faults_of_long_blocks() == []


def faults_of_long_blocks() -> list[str]:
    """What is wrong with the records of readings that are far more than a record takes."""
    readings = hard_to_compress(15_001, seed=1)
    aggregator = BlockAggregator(ShardMap(even_shards(1)))
    records = aggregator.add(Readings.of(readings)) + aggregator.flush()
    faults = [f"{record.size_bytes} bytes" for record in records if record.size_bytes > RECORD_BYTES_MAX]
    if len(records) < 3:
        faults.append("too few bytes to be parted twice")
    if [one for record in records for one in decode_block(record.body)] != readings:
        faults.append("other readings come out")
    return faults


def writer_to(stream: ScriptedStream) -> Writer:
    """A writer whose time passes only while it waits."""
    passed_seconds: list[float] = []
    return Writer(
        stream, clock=lambda: sum(passed_seconds), sleep=passed_seconds.append, uniform=lambda: 0.5, rate_limit=None
    )


def records(sizes: Sequence[int], *, key: str = "", shard_id: str = "shardId-000000000000") -> list[OutgoingRecord]:
    """Records that take so many bytes with their keys, which begin with `key`."""
    keys = [f"{key}{number:03}" for number in range(len(sizes))]
    return [
        OutgoingRecord(partition_key=key, body=b"x" * (size - len(key.encode())), shard_id=shard_id)
        for key, size in zip(keys, sizes, strict=True)
    ]


MANY = [20] * (2 * RECORDS_MAX)
LARGE = [BYTES_MAX // 8] * 16
ONE_BYTE_TOO_MANY = [BYTES_MAX // 8 + 1, *LARGE[1:]]


@pytest.mark.parametrize("key", ["", "日" * 200], ids=["short keys", "long keys"])
@pytest.mark.parametrize("sizes", [MANY, LARGE, ONE_BYTE_TOO_MANY], ids=["many", "large", "one byte too many"])
def test_requests_after_a_refusal_keep_to_the_limits(sizes: list[int], key: str) -> None:
    """While a shard pauses, more waits for it than one request may hold; keys count."""
    assert faults_of_full_requests([max(size, 700) for size in sizes] if key else sizes, key=key) == []


def faults_of_full_requests(sizes: Sequence[int], *, key: str = "") -> list[str]:
    """What is wrong after records of these sizes were written, the first of which was refused once."""
    stream = ScriptedStream(refuse=lambda request, at: "InternalFailure" if request == at == 0 else None)
    writer, sent = writer_to(stream), records(sizes, key=key)
    writer.write(sent)
    writer.flush()
    stored = sorted(one.record.partition_key for one in stream.stored)
    return [] if stored == [record.partition_key for record in sent] else ["other records are stored"]


def test_the_last_number_of_a_shard_is_the_highest_answer() -> None:
    """The stream takes the records of a request in any order, and an audit begins at the last number."""
    assert faults_of_unordered_answers() == []


def faults_of_unordered_answers() -> list[str]:
    """What is wrong with the last numbers after requests whose first record was stored last."""
    stream = ScriptedStream(even_shards(3))
    writer = writer_to(stream)
    for size in range(20, 90):
        writer.write(records([size] * 8, key=f"{size}-", shard_id=""))
        writer.flush()
    highest: dict[str, int] = {}
    for one in stream.stored:
        highest[one.shard_id] = max(highest.get(one.shard_id, 0), one.sequence_number)
    return [] if writer.last_sequence_numbers == highest else [f"{writer.last_sequence_numbers}, not {highest}"]


def test_a_stream_that_comes_and_goes_leaves_the_writer_its_room() -> None:
    """What was given back, to be kept elsewhere, takes no room: the next records go in one request."""
    assert faults_of_given_back_records() == []


def faults_of_given_back_records() -> list[str]:
    """What is wrong after the stream was away ten times, and the writer gave back what waited."""
    is_away = True
    stream = ScriptedStream(refuse=lambda _request, _at: "InternalFailure" if is_away else None)
    writer, sent = writer_to(stream), records([BYTES_MAX // 8] * 8)
    faults = []
    for _ in range(10):
        writer.write(sent)
        faults += [] if writer.give_back() == sent else ["other records are given back"]
        faults += [f"{writer._waiting_bytes} bytes wait of none"] if writer._waiting_bytes else []
    is_away = False
    stream.requests.clear()
    writer.write(sent)
    writer.flush()
    return faults + ([] if len(stream.requests) == 1 else [f"{len(stream.requests)} requests instead of one"])
