"""The frontier: whether the consumer has caught up with the producer, derived from keys."""

from windrow.lake.frontier import Frontier, frontier_of, is_drained
from windrow.lake.layout import Origin, PartialKey, QuarantineKey
from windrow.window import Window

WINDOW = Window(1_763_640_000_000)
DIGEST = "0" * 32


def partial_key(shard: int, first: int, last: int, *, stream: str = "readings-dev") -> str:
    origin = Origin(stream=stream, shard=f"shardId-{shard:012}", first=first, last=last)
    return str(PartialKey(window=WINDOW, origin=origin, digest=DIGEST))


def quarantine_key(shard: int, first: int, last: int) -> str:
    origin = Origin(stream="readings-dev", shard=f"shardId-{shard:012}", first=first, last=last)
    return str(QuarantineKey(window=WINDOW, origin=origin, count=1, digest=DIGEST))


def frontier(*keys: str) -> Frontier:
    return frontier_of(keys, stream="readings-dev")


FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"


def test_a_shard_is_behind_until_a_batch_ends_with_its_last_number() -> None:
    """A batch that ends one number earlier is not enough; the number itself, or a later one of another producer, is."""
    assert frontier(partial_key(0, 1, 9)).shards_behind({FIRST: 10}) == (FIRST,)
    assert frontier(partial_key(0, 1, 10)).shards_behind({FIRST: 10}) == ()
    assert frontier(partial_key(0, 1, 11)).shards_behind({FIRST: 10}) == ()


def test_numbers_are_compared_as_integers() -> None:
    """Ten comes after nine, and 2^186 still counts exactly."""
    assert frontier(partial_key(0, 1, 10)).shards_behind({FIRST: 9}) == ()
    assert frontier(partial_key(0, 1, 2**186 - 1)).shards_behind({FIRST: 2**186}) == (FIRST,)


def test_a_batch_of_nothing_but_bad_readings_counts_by_its_quarantine() -> None:
    """Such a batch has no partial."""
    assert frontier(quarantine_key(0, 1, 10)).shards_behind({FIRST: 10}) == ()


def test_the_highest_number_counts_in_whatever_order_keys_come() -> None:
    """Keys are ordered by window, not by sequence number."""
    assert frontier(partial_key(0, 5, 10), partial_key(0, 1, 4)).shards_behind({FIRST: 10}) == ()


def test_every_shard_that_took_records_must_be_reached() -> None:
    """Progress on another shard or another stream does not count."""
    seen = frontier(partial_key(0, 1, 10), partial_key(1, 1, 99, stream="other"))
    assert seen.shards_behind({FIRST: 10, SECOND: 10}) == (SECOND,)
    assert seen.objects == 1


def test_a_stream_is_drained_when_two_listings_agree() -> None:
    """The objects of a batch are written concurrently: the first one visible does not prove that the others exist."""
    produced = {FIRST: 10}
    behind = frontier(partial_key(0, 1, 9))
    reached = frontier(partial_key(0, 1, 9), partial_key(0, 9, 10))
    more = frontier(partial_key(0, 1, 9), partial_key(0, 9, 10), quarantine_key(0, 9, 10))
    assert not is_drained(behind, behind, produced=produced)
    assert not is_drained(behind, reached, produced=produced)
    assert not is_drained(reached, more, produced=produced)
    assert is_drained(more, more, produced=produced)


def test_nothing_produced_is_drained_at_once() -> None:
    """An empty run is drained without waiting."""
    assert is_drained(frontier(), frontier(), produced={})
