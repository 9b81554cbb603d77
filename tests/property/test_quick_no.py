"""The quick no against the strict reader: it refuses nothing that is a reading, and reasons are told of a few only."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.wire import STYLES, Style, batch
from windrow.reading import BadReading
from windrow.wire.json.quick import LEAST_OCTETS, is_surely_bad
from windrow.wire.json.quick_values import is_surely_bad_by_value
from windrow.wire.json.some import quick_no
from windrow.wire.json.strict import ReasonsWanted, parse_reading, parse_readings

SCALARS = st.sampled_from(
    [
        *(None, True, "", "C", "F", "K", "%", "a", "temperature", "humidity"),
        *("2026-11-20T10:05:00Z", "2026-11-20t10:05:00.5+01:00", "\u0085", "\ud800"),
        *(0, -1, -0.0, 1.5, -273.15, -273.1505, 10_000.0005, 18_032.0009),
        *(2**63 - 1, 2**63, 10**15, 9e9, 2_147_483.6474),
    ]
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from(["a", "unit"]), SCALARS, max_size=2)
NAMES = ["sensor_id", "event_time", "temperature", "unit", "sequence", "quantity", "value", "x"]


BOTH = (is_surely_bad, is_surely_bad_by_value)


def is_reading(payload: bytes) -> bool:
    """The definition."""
    try:
        parse_reading(payload)
    except BadReading:
        return False
    return True


def check(payload: bytes) -> None:
    for is_no in BOTH:
        assert not (is_no(payload) and is_reading(payload)), payload


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.sampled_from(["", " ", "\n\t"]), st.sampled_from(["", " "]))
def test_objects_of_any_fields(fields: dict[str, object], before: str, after: str) -> None:
    """Right and wrong fields in any mix, with blanks around and without."""
    sound = {"sensor_id": "a", "event_time": 0, "temperature": 1}
    for one in (fields, sound | fields, {"sensor_id": "a", "event_time": 0} | fields):
        text = json.dumps(one)
        check(f"{before}{text}{after}".encode())
        check(text.replace("e", "\\u0065").encode())


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(STYLES), min_size=1, max_size=3))
def test_payloads_of_all_styles_odd_and_damaged(seed: int, styles: list[Style]) -> None:
    """What fleets write, and what becomes of it on the way."""
    for payload in batch(seed, styles, size=40, odd=0.5, damaged=0.5):
        check(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sensor_id":"a","event_time":0,"temperature":0}',
        b'{"sensor_id":"a","event_time":0,"temperature":0,"x":%s}' % (b"9" * 5_000),
        b'{"sensor_id":"a","event_time":0,"temperature":0,"x":1e999}',
        b'{"sensor_id":"a","event_time":-0,"temperature":-0,"sequence":-0}',
        b'{"sensor_id":"a","event_time":0,"temperature":-273.1505}',
        b'{"sensor_id":"a\\":","event_time":0,"temperature":1e1}',
        b'{"\\u0073ensor_id":"a","event_time":0,"temperature":1}',
        b'{"sensor_id":":","event_time":0,"temperature":1,":":":"}',
        b'{"sensor_id":"a","event_time":0,"temperature":1,"x":{"sensor_id":1}}',
        b'{"sensor_id":"a","event_time":0,"temperature":1,"x":[":",":"]}',
    ],
)
def test_odd_readings_are_readings(payload: bytes) -> None:
    """The shortest one, long numbers where nobody looks, zeros with a sign, the last value that rounds into bounds."""
    assert is_reading(payload)
    assert not any(is_no(payload) for is_no in BOTH)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" " * 60,
        b"x" * 60,
        b'{"sensor_id":"a","event_time":0,"temperature":0},',
        b'{"sensor_id":"a","event_time":0,"temperature":1,"x":[}',
        b'{"sensor_id":"a","event_time":0,"temperature":1,"x":"\xff"}',
        b'{"sensor_id":"a","event_time":0,"temperature":9e9}   ',
        b'{"sensor_id":"a","event_time":0,"temperatura":1.0000}',
        b'{"sensor_id":"a","event_time":0,"temperature":1,"unit":"R"}',
        b'{"sensor_id":"a","event_time":0,"temperature":NaN,"x":1}',
        b'{"sensor_id":"a","event_time":"yesterday","temperature":1}',
        b'{"sensor_id":"a","event_time":0,"temperature":1,"temperature":2}',
        b'{"sensor_id":"a","event_time":0.5,"temperature":1,"x":"x"}',
    ],
)
def test_what_bad_gateways_send_is_told_without_the_strict_reader(payload: bytes) -> None:
    """Else a record of it would cost as much as with a reason for each."""
    assert not is_reading(payload)
    assert all(is_no(payload) for is_no in BOTH)


def test_least_octets_is_the_length_of_the_shortest_reading() -> None:
    """One octet less is none, wherever it is taken from."""
    shortest = b'{"sensor_id":"a","event_time":0,"temperature":0}'
    assert len(shortest) == LEAST_OCTETS
    assert is_reading(shortest)
    assert not any(is_reading(shortest[:at] + shortest[at + 1 :]) for at in range(len(shortest)))


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(STYLES), min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), min_size=1, max_size=4),
    st.booleans(),
)
def test_reasons_are_told_of_a_few(seed: int, styles: list[Style], groups: list[tuple[int, int]], tiny: bool) -> None:
    """The same payloads are readings; of a group with too many bad ones only the first has its reason."""
    size = sum(count for count, _ in groups)
    payloads = batch(seed, styles, size=size, odd=0.3, damaged=0.4) if size else []
    payloads = [b"{}" if tiny and number % 3 else payload for number, payload in enumerate(payloads)]
    most = np.array([wanted for _, wanted in groups], np.int64)
    group = np.repeat(np.arange(len(groups)), [count for count, _ in groups])
    all_told = parse_readings(payloads)
    some = parse_readings(payloads, ReasonsWanted(group, most), quick_no=quick_no)
    assert list(some.readings) == list(all_told.readings)
    assert some.source.tolist() == all_told.source.tolist()
    ends = np.cumsum([0, *(count for count, _ in groups)]).tolist()
    bad = [[one for one in all_told.bad if start <= one.index < end] for start, end in pairwise(ends)]
    told = [one for some_bad, wanted in zip(bad, most, strict=True) if len(some_bad) <= wanted for one in some_bad]
    first = [some_bad[0] for some_bad, wanted in zip(bad, most, strict=True) if len(some_bad) > wanted]
    doubted = [one for one in some.bad if one not in told and one not in first]
    assert set(told + first) <= set(some.bad)
    assert not any(is_surely_bad(payloads[one.index]) for one in doubted)
    assert sorted([*some.untold.tolist(), *(one.index for one in some.bad)]) == [one.index for one in all_told.bad]
