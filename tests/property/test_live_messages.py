"""The newest values of batches as columns and as messages: against dicts in plain Python."""

import random
from itertools import chain

import numpy as np
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.strategies import readings
from windrow.columns.strings import Strings
from windrow.live.columns import (
    MESSAGE_BYTES_MAX,
    decode_message,
    encode_messages,
    latest,
    newest,
    newest_of_partials,
    values_of,
)
from windrow.live.newest import KEPT_SECONDS
from windrow.quantities import Quantity
from windrow.reading import SEQUENCE_MAX, Reading, Readings
from windrow.rows.partial import partials_of
from windrow.window import WINDOW_MS
from windrow.wire.block.block import encode_block

batches = st.lists(st.lists(readings(), max_size=12), max_size=4)
NEVER_OLD_MS = 0


def newest_by_dict(found: list[Reading]) -> dict[str, Reading]:
    """The newest of each series, one by one."""
    kept: dict[str, Reading] = {}
    for one in found:
        there = kept.get(one.series)
        if there is None or order(there) < order(one):
            kept[one.series] = one
    return kept


def order(one: Reading) -> tuple[int, int, int]:
    return one.event_time_ms, one.sequence, one.value_milli


def by_series(found: Readings) -> dict[str, Reading]:
    """Readings by their series, of which each has one."""
    listed = list(found)
    kept = {one.series: one for one in listed}
    assert len(kept) == len(listed)
    return kept


@given(batches)
def test_the_newest_of_batches_are_those_of_a_dict(drawn: list[list[Reading]]):
    """Of raw readings with repeats, of partials of several windows, and in two steps."""
    expected = newest_by_dict(list(chain.from_iterable(drawn)))
    parts = [Readings.of(one) for one in drawn]
    assert by_series(newest(parts)) == expected
    of_partials = [newest_of_partials(partials_of(part), now_ms=NEVER_OLD_MS) for part in parts]
    assert by_series(newest(of_partials)) == expected
    for part, one in zip(of_partials, drawn, strict=True):
        assert by_series(part) == newest_by_dict(one)


@given(batches)
def test_messages_hold_what_was_encoded(drawn: list[list[Reading]]):
    """Series by series; and as values."""
    found = newest([Readings.of(one) for one in drawn])
    decoded = [decode_message(one) for one in encode_messages(found)]
    assert list(chain.from_iterable(decoded)) == list(found)
    values = [(one.sensor_id, one.quantity, *one.order) for one in values_of(found)]
    assert values == [(one.sensor_id, one.quantity, *order(one)) for one in found]


def test_windows_of_before_yesterday_are_left_to_the_rows():
    """A value that the table would delete at once is not handed on; the window that ends right then is the last."""
    kept, old = Reading("a", WINDOW_MS, 0, 1), Reading("b", 0, 0, 1)
    partials = partials_of(Readings.of([kept, old]))
    now_ms = WINDOW_MS + KEPT_SECONDS * 1_000
    assert list(newest_of_partials(partials, now_ms=now_ms)) == [kept]
    assert set(newest_of_partials(partials, now_ms=now_ms - 1)) == {kept, old}
    assert not len(newest_of_partials(partials, now_ms=now_ms + WINDOW_MS))


def test_a_message_fits_whatever_it_holds():
    """The longest ids of characters of four bytes, and numbers that do not compress, in many messages."""
    chance = random.Random(1)
    quantity = Quantity("q" * 63, "\U00010000" * 32)
    found = Readings.of(
        Reading(
            "".join(chr(chance.randrange(0x10000, 0x10FFFF)) for _ in range(128)),
            chance.getrandbits(45),
            chance.randrange(SEQUENCE_MAX),
            chance.getrandbits(30),
            quantity,
        )
        for _ in range(1_000)
    )
    messages = encode_messages(found)
    assert len(messages) > 1
    assert all(len(one) <= MESSAGE_BYTES_MAX for one in messages)
    assert list(chain.from_iterable(map(decode_message, messages))) == list(found)


def test_a_fleet_of_twenty_thousand_takes_few_messages():
    """Their ids have much in common, and so have their times."""
    ids = Strings.of(f"site-{number // 500:02}/sensor-{number:06}" for number in range(20_000))
    chance = np.random.default_rng(1)
    found = Readings(
        ids,
        np.arange(20_000, dtype=np.int32),
        1_795_223_100_000 + chance.integers(0, 20_000, 20_000),
        np.zeros(20_000, np.int64),
        chance.integers(-20_000, 40_000, 20_000).astype(np.int32),
    )
    messages = encode_messages(found)
    assert len(messages) <= 8
    assert sum(map(len, messages)) < 2 * MESSAGE_BYTES_MAX


@given(st.lists(readings(), max_size=12), st.integers(1, 12))
def test_of_too_many_the_latest_are_taken(drawn: list[Reading], count: int):
    """No event time that is left out is later than one that is taken."""
    found = newest([Readings.of(drawn)])
    taken = list(latest(found, count=count))
    assert len(taken) == min(count, len(found))
    left_out = [one for one in found if one not in taken]
    if taken and left_out:
        assert max(one.event_time_ms for one in left_out) <= min(one.event_time_ms for one in taken)


def as_text(block: bytes) -> str:
    return pybase64.b64encode_as_string(block)


SOUND = encode_block(Readings.of([Reading("a", 0, 0, 1)]))
UNSOUND = encode_block(Readings.of([("a", 0, -1, 1)]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "version none"),
        ("äöü", "base64"),
        ("!!!!", "base64"),
        (as_text(b"{}"), "version"),
        (as_text(SOUND[:-9]), "."),
        (as_text(UNSOUND), "1 of 1 values"),
        ("A" * (MESSAGE_BYTES_MAX + 4), "characters, at most"),
    ],
)
def test_what_is_no_message_says_why(text: str, told: str):
    """Each is a ValueError, by which the message goes to the dead letters."""
    assert len(decode_message(as_text(SOUND))) == 1
    with pytest.raises(ValueError, match=told):
        decode_message(text)
