"""Our own aggregates, read back without protobuf, are what protobuf reads; whatever else there is, is not ours."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_unpack import KEY_LENGTHS, aggregates, mutated
from windrow.wire.kpl import DIGEST_BYTES, MAGIC, BrokenAggregate, deaggregate, seal
from windrow.wire.kpl_read import own_user_records
from windrow.wire.kpl_write import aggregate_body, key_field, key_in, lengths_of

own_keys = st.lists(
    st.one_of(st.sampled_from(KEY_LENGTHS).map("k".__mul__), st.text(st.characters(exclude_categories=["Cs"]))),
    unique=True,
    min_size=1,
    max_size=200,
)
own_payloads = st.lists(st.one_of(st.binary(max_size=200), st.just(b"{" * 20_000)), max_size=30)


def of_protobuf(record: bytes) -> object:
    try:
        return deaggregate(record)
    except BrokenAggregate:
        return None


@given(own_keys, own_payloads, st.randoms(use_true_random=False))
def test_what_we_wrote_is_read_as_protobuf_reads_it(keys: list[str], payloads: list[bytes], random: object) -> None:
    """Every key and payload, in order; and truncated it is none."""
    places = np.array([random.randrange(len(keys)) for _ in payloads], np.int64)  # type: ignore[attr-defined]
    record = seal(aggregate_body([key_field(key.encode()) for key in keys], places, payloads, lengths_of(payloads)))
    found = own_user_records(record)
    assert found == deaggregate(record)
    assert [one.payload for one in found or []] == payloads
    assert own_user_records(record[:-1]) is None
    assert [key_in(key_field(key.encode())).decode() for key in keys] == keys


@given(aggregates, st.integers(0, 2**32))
def test_nothing_is_read_otherwise_than_protobuf_reads_it(record: bytes, seed: int) -> None:
    """An aggregate of others, or one with changed bytes and the right MD5: the same, or not ours."""
    for one in (record, seal(mutated(record[len(MAGIC) : -DIGEST_BYTES], seed))):
        found = own_user_records(one)
        assert found is None or found == of_protobuf(one)


def test_what_is_no_aggregate_is_not_ours() -> None:
    """A plain record, the magic alone, and a wrong digest."""
    record = seal(b"")
    assert own_user_records(record) == []
    for other in (b"", b'{"sensor_id": "roof"}', MAGIC, record[:-1] + b"\x00", b"\x00" + record[1:]):
        assert own_user_records(other) is None
