"""The KPL format: strict reading, and bytes that other implementations understand."""

import base64
import hashlib

import aws_kinesis_agg.aggregator
import aws_kinesis_agg.deaggregator
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.wire.kpl import MAGIC, BrokenAggregate, BrokenDigest, UserRecord, aggregate, deaggregate, seal

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hash_keys = st.one_of(st.none(), st.integers(0, 2**128 - 1).map(str))
user_records = st.lists(st.builds(UserRecord, keys, st.binary(max_size=60), hash_keys), max_size=12)

# Written out by hand after aggregation-format.md: one partition key, no hash key, one record with the data "hi".
BODY = bytes.fromhex("0a 01 6b" "1a 06" "08 00" "1a 02 6869")  # fmt: skip


def test_bytes_written_by_hand_are_read() -> None:
    """The published format, field by field."""
    record = bytes.fromhex("f3 89 9a c2") + BODY + hashlib.md5(BODY, usedforsecurity=False).digest()
    assert deaggregate(record) == [UserRecord("k", b"hi")]
    assert aggregate([UserRecord("k", b"hi")]) == record


@given(user_records)
def test_aggregates_give_back_their_records(records: list[UserRecord]) -> None:
    """deaggregate(aggregate(x)) == x, in order."""
    assert deaggregate(aggregate(records)) == records


@given(user_records.filter(bool))
def test_awslabs_python_reads_what_we_write(records: list[UserRecord]) -> None:
    """aws-kinesis-agg finds the same records in the same order."""
    kinesis = {
        "kinesisSchemaVersion": "1.0",
        "sequenceNumber": "1",
        "partitionKey": "a",
        "approximateArrivalTimestamp": 0.0,
        "data": base64.b64encode(aggregate(records)),
    }
    theirs = aws_kinesis_agg.deaggregator.deaggregate_records([{"kinesis": kinesis}])
    found = [(r["kinesis"]["partitionKey"], base64.b64decode(r["kinesis"]["data"])) for r in theirs]
    assert found == [(record.partition_key, record.payload) for record in records]


@given(user_records.filter(bool))
def test_we_read_what_awslabs_python_writes(records: list[UserRecord]) -> None:
    """aws-kinesis-agg's aggregator is understood, hash keys included."""
    aggregator = aws_kinesis_agg.aggregator.RecordAggregator()
    for record in records:
        aggregator.add_user_record(record.partition_key, record.payload, record.explicit_hash_key)
    written = aggregator.clear_and_get().get_contents()[2]
    found = deaggregate(written)
    assert found is not None
    assert [(r.partition_key, r.payload) for r in found] == [(r.partition_key, r.payload) for r in records]


@given(st.binary(max_size=60).filter(lambda record: not record.startswith(MAGIC)))
def test_without_the_magic_a_record_is_plain(record: bytes) -> None:
    """Only the magic decides."""
    assert deaggregate(record) is None


def test_a_flipped_bit_anywhere_breaks_the_digest() -> None:
    """Every byte after the magic is covered by the MD5, and the whole MD5 is compared."""
    record = aggregate([UserRecord("key", b"payload", "5"), UserRecord("other", b"more")])
    for position in range(len(MAGIC), len(record)):
        for bit in range(8):
            corrupt = bytearray(record)
            corrupt[position] ^= 1 << bit
            with pytest.raises(BrokenDigest):
                deaggregate(bytes(corrupt))


def test_a_truncated_aggregate_is_broken_at_every_length() -> None:
    """From the bare magic to one byte short."""
    record = aggregate([UserRecord("key", b"payload")])
    for length in range(len(MAGIC), len(record)):
        with pytest.raises(BrokenDigest):
            deaggregate(record[:length])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1a 04 08 00 1a 00", "partition key 0 of 0"),
        ("0a 01 6b 1a 04 08 01 1a 00", "partition key 1 of 1"),
        ("0a 01 6b 1a 06 08 00 10 00 1a 00", "explicit hash key 0 of 0"),
        ("0a 01 6b 1a 02 08 00", "protobuf"),  # no data
        ("0a 01 6b 1a 02 1a 00", "protobuf"),  # no key index
        ("0a 05 6b", "protobuf"),  # cut short
        ("ff", "protobuf"),
        ("0a 02 ff fe 1a 04 08 00 1a 00", "UTF-8"),
    ],
)
def test_a_sound_digest_over_an_unsound_protobuf_is_broken(body: str, message: str) -> None:
    """Every key index is checked, and required fields are required."""
    with pytest.raises(BrokenAggregate, match=message):
        deaggregate(seal(bytes.fromhex(body)))


def test_one_bad_key_index_spoils_the_whole_aggregate() -> None:
    """An aggregate is read as a whole or not at all."""
    good, bad = "1a 06 08 00 1a 02 68 69", "1a 06 08 07 1a 02 68 69"
    with pytest.raises(BrokenAggregate):
        deaggregate(seal(bytes.fromhex("0a 01 6b" + good + bad + good)))


def test_tags_and_unknown_fields_are_passed_over() -> None:
    """Additions of newer producers are ignored."""
    tagged = "0a 01 6b" "1a 0f 08 00 1a 02 6869 22 07 0a 01 74 12 02 7676" "52 01 78"  # fmt: skip
    assert deaggregate(seal(bytes.fromhex(tagged))) == [UserRecord("k", b"hi")]
