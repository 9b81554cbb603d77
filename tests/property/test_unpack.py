"""Unpacking a batch at once against `deaggregate` record by record: the same payloads, the same broken records."""

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from windrow.columns.payloads import join_octets
from windrow.columns.strings import offsets_of
from windrow.reading import Reason
from windrow.wire.kpl import (
    DIGEST_BYTES,
    MAGIC,
    BrokenAggregate,
    BrokenDigest,
    UserRecord,
    aggregate,
    deaggregate,
    seal,
)
from windrow.wire.kpl_walk import AggregateBodies, walk
from windrow.wire.unpack import BrokenRecord, unpack

KEY_LENGTHS = (0, 1, 8, 10, 18, 26, 127, 128, 300)  # 10, 18 and 26 are the bytes of tags
PAYLOAD_LENGTHS = (0, 1, 8, 20, 26, 104, 127, 128, 300, 16_383, 16_384, 20_000)

keys = st.one_of(
    st.sampled_from(KEY_LENGTHS).map("k".__mul__), st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
payloads = st.one_of(
    st.sampled_from(PAYLOAD_LENGTHS).map(b"{".__mul__),
    st.sampled_from([b"\x1a\x08\x08\x01\x1a\x04{..}", b"\x0a\x01k", b"\x1a\x1a\x08", b"\x1a"]),
    st.binary(max_size=60),
)
hash_keys = st.one_of(st.none(), st.integers(0, 2**128 - 1).map(str))
aggregates = st.lists(st.builds(UserRecord, keys, payloads, hash_keys), max_size=12).map(aggregate)


def check(records: list[bytes]) -> None:
    unpacked = unpack(records)
    expected, broken = [], []
    for index, record in enumerate(records):
        try:
            user_records = deaggregate(record)
        except BrokenAggregate as error:
            reason = Reason.AGGREGATE_DIGEST if isinstance(error, BrokenDigest) else Reason.AGGREGATE_MALFORMED
            broken.append(BrokenRecord(index, reason, str(error)))
            continue
        if user_records == []:
            broken.append(BrokenRecord(index, Reason.AGGREGATE_EMPTY, "an aggregate without user records"))
        found = [record] if user_records is None else [user_record.payload for user_record in user_records]
        expected += [(index, position, payload) for position, payload in enumerate(found)]
    assert list(zip(unpacked.record.tolist(), unpacked.position.tolist(), unpacked.payloads, strict=True)) == expected
    assert list(unpacked.broken) == broken


def walked(records: list[bytes]) -> list[bool]:
    """Return which aggregates the walk reads."""
    bounds = offsets_of(np.array([len(record) for record in records], np.int64))
    bodies = AggregateBodies(join_octets(records), bounds[:-1] + len(MAGIC), bounds[1:] - DIGEST_BYTES)
    taken: list[bool] = walk(bodies)[1].tolist()
    return taken


def mutated(body: bytes, seed: int) -> bytes:
    """Change, insert, delete or move a few bytes of the protobuf; it gets a correct MD5 afterwards."""
    rng = random.Random(seed)
    for _ in range(rng.randrange(1, 4)):
        at, to = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
        more = bytes(
            rng.choice((0x08, 0x0A, 0x10, 0x12, 0x1A, 0x22, 0x80, 0x81, 0xFF, 0, 1)) for _ in range(rng.randrange(4))
        )
        body = rng.choice(
            (
                body[:at] + more + body[at:],
                body[:at] + more + body[at + len(more) :],
                body[:at] + body[at + 1 :],
                body[:at] + body[to:] + body[at:to],
                body[:at],
                body + body[at:to],
            )
        )
    return body


@settings(deadline=None)
@given(st.lists(st.one_of(aggregates, payloads, aggregates.map(lambda record: record[:-1])), max_size=8))
def test_together_and_one_by_one_agree(records: list[bytes]) -> None:
    """For any mix of aggregates, plain records and broken ones."""
    check(records)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(st.lists(aggregates, min_size=1, max_size=4), st.lists(st.integers(0, 2**32), min_size=4, max_size=4))
def test_mutated_messages_agree(records: list[bytes], seeds: list[int]) -> None:
    """The MD5 is correct, but the protobuf is broken or unusual."""
    bodies = [record[len(MAGIC) : -DIGEST_BYTES] for record in records]
    check([seal(mutated(body, seed)) for body, seed in zip(bodies, seeds, strict=False)] + records)


def test_a_wrong_digest_is_broken_whatever_it_is_taken_over() -> None:
    """A message of the usual shape with one flipped bit, in it or in its MD5."""
    record = aggregate([UserRecord("key", b"payload"), UserRecord("other", b"more")])
    flipped = [
        record[:at] + bytes([record[at] ^ 1 << bit]) + record[at + 1 :]
        for at in range(len(MAGIC), len(record))
        for bit in range(8)
    ]
    check([*flipped, record])
    assert {broken.reason for broken in unpack(flipped).broken} == {Reason.AGGREGATE_DIGEST}
    assert len(unpack(flipped).broken) == len(flipped)


@pytest.mark.slow
def test_every_byte_at_every_position_of_a_message() -> None:
    """A small aggregate with two keys and a hash key, each byte replaced by every other value."""
    body = aggregate([UserRecord("a", b"{}"), UserRecord("bc", b"[]", "7"), UserRecord("a", b"")])[4:-16]
    check([seal(body[:at] + bytes([octet]) + body[at + 1 :]) for at in range(len(body)) for octet in range(256)])
    check([seal(body[:at] + bytes([octet]) + body[at:]) for at in range(len(body) + 1) for octet in range(256)])


@pytest.mark.parametrize("key_length", [1, 9, 10, 11, 18, 21, 26, 36, 127])
@pytest.mark.parametrize("payload_length", [2, 20, 26, 60, 104, 125, 130, 1_000, 17_000])
def test_aggregates_of_readings_are_walked(key_length: int, payload_length: int) -> None:
    """Otherwise these tests would compare `deaggregate` with itself. Some lengths look like tags."""
    rng = random.Random(key_length)
    many = [f"{rng.randrange(10**9):09}".rjust(key_length, "s")[-key_length:] for _ in range(200)]
    records = [
        aggregate([UserRecord(key, b"{" * payload_length, hash_key) for key in many]) for hash_key in (None, "5")
    ]
    assert walked(records) == [True, True]
    check(records)


def test_unicode_keys_are_walked_and_invalid_ones_are_not() -> None:
    """Keys may have characters of several bytes; half a character is broken, even next to its other half."""
    halves = [
        seal(bytes.fromhex("0a 01 c3 0a 01 a9 1a 04 08 00 1a 00")),
        seal(bytes.fromhex("0a 02 c3a9 1a 04 08 00 1a 00")),
    ]
    assert walked([aggregate([UserRecord("Fühler", b"{}")]), *halves]) == [True, False, True]
    check([aggregate([UserRecord("Fühler", b"{}")]), *halves])


@pytest.mark.parametrize(
    "body",
    [
        "0a 01 6b 1a 04 08 01 1a 00",  # key index 1 of 1
        "0a 01 6b 1a 06 08 00 10 00 1a 00",  # hash key index 0 of 0
        "0a 01 6b 12 01 35 1a 06 08 00 10 01 1a 00",  # hash key index 1 of 1
        "1a 04 08 00 1a 00",  # no key
        "1a 04 08 00 1a 00 0a 01 6b",  # the keys behind: legal
        "0a 01 6b 1a 04 1a 00 08 00",  # the payload before the index: legal
        "0a 01 6b 1a 06 08 00 08 00 1a 00",  # an index twice: legal
        "0a 01 6b 1a 04 08 00 1a 00 1a 00",  # an empty record at the end
        "0a 01 6b 1a 05 08 80 00 1a 00",  # a longer varint than needed: legal
        "0a 01 6b 1a 07 08 80 80 80 00 1a 00",  # longer than the walk reads: legal
        # An index of 26 << 21, whose last octet looks like the tag of a payload.
        "0a 01 6b 1a 20 08 80 80 80 1a 1a 19" + 25 * " 7b",
        "0a 01 6b 12 01 35 1a 22 08 00 10 80 80 80 1a 1a 19" + 25 * " 7b",  # likewise the index of a hash key
        "0a 81 00 6b 1a 04 08 00 1a 00",  # a longer length of a key than needed: legal
        "0a 01 6b 1a 0e 08 80 80 80 80 80 80 80 80 80 01 1a 00",  # 2**63
        "0a 01 6b 1a 0b 08 00 1a 00 22 05 0a 01 74 12 00",  # a tag: legal
        "0a 01 6b 12 01 ff 1a 04 08 00 1a 00",  # a hash key that is not UTF-8
        "0a 01 6b",
        "",
        "ff",
    ],
)
def test_unusual_messages_agree_among_usual_ones(body: str) -> None:
    """Unusual shapes, allowed by the format or not."""
    usual = aggregate([UserRecord("k", b"{}"), UserRecord("l", b"{}")])
    check([usual, seal(bytes.fromhex(body)), usual])


def varint(value: int, octets: int) -> bytes:
    """Encode a varint in `octets` bytes, or in as many as it needs."""
    encoded = bytearray()
    while value > 0x7F or len(encoded) < octets - 1:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


@st.composite
def indexed(draw: st.DrawFn) -> bytes:
    """Aggregates with key and hash key indices around the ends of the tables, as varints of any length."""
    tables = [draw(st.integers(0, 3) | st.sampled_from([127, 128, 129, 300])) for _ in range(2)]
    body = b"".join(
        bytes([tag, 1]) + b"k" for tag, count in zip((0x0A, 0x12), tables, strict=True) for _ in range(count)
    )
    for _ in range(draw(st.integers(1, 3))):
        fields = b""
        for tag, count in zip((0x08, 0x10), tables, strict=True):
            beyond = st.sampled_from([count - 1, count, count + 1, count + 127, count + 128, count << 7, 26 << 21])
            index = draw(st.one_of(st.integers(0, max(0, count - 1)), beyond.map(lambda value: max(0, value))))
            is_there = tag == 0x08 or draw(st.booleans())
            fields += bytes([tag]) + varint(index, draw(st.integers(1, 4))) if is_there else b""
        payload = b"{" * draw(st.sampled_from([0, 1, 26]))
        fields += b"\x1a" + varint(len(payload), 1) + payload
        body += b"\x1a" + varint(len(fields), 1) + fields
    return seal(body)


@given(st.lists(indexed(), min_size=1, max_size=3))
@example([seal(b"\x0a\x01k" + b"\x12\x01k" * 5 + b"\x1a\x07\x08\x00\x10\x81\x01\x1a\x00")])  # hash key 129 of 5
@example([seal(b"\x0a\x01k" * 5 + b"\x1a\x05\x08\x81\x01\x1a\x00")])  # key 129 of 5
@example([seal(b"\x0a\x01k\x12\x01k\x1a\x08\x08\x00\x10\x80\x80\x01\x1a\x00")])  # hash key 16,384 of 1
def test_every_byte_of_an_index_counts(records: list[bytes]) -> None:
    """An index beyond its table breaks the aggregate, whatever the length of its varint."""
    check(records)


def test_keys_beyond_a_hundred_are_walked() -> None:
    """Their indices take two bytes; without this test the walk would not be compared for them."""
    many = [UserRecord(f"key {number}", b"{}", str(number)) for number in range(300)]
    assert walked([aggregate(many)]) == [True]
    check([aggregate(many)])


def test_no_records_are_no_payloads() -> None:
    """An empty batch is valid."""
    check([])
