"""The readers of payloads agree: by layout, by value and strictly, in readings, order and reasons."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import corpus
from tests.fuzz.contracts import ContractFuzzer, Row, rows_of
from tests.fuzz.mutation import Mutator
from tests.property.contract_wire import KINDS, batch
from tests.property.wire import STYLES, Style
from tests.property.wire import batch as default_batch
from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.payloads.by_value import read_by_value
from windrow.payloads.decode import decode
from windrow.payloads.load import load_contract
from windrow.reading import BadReading, Readings
from windrow.wire.json.by_value import read_by_value as read_default_by_value
from windrow.wire.json.objects import UNSURE, read_values
from windrow.wire.json.strict import parse_reading, parse_readings
from windrow.wire.json.values import parse_value

CONTRACTS = {kind: load_contract(text) for kind, (text, _) in KINDS.items()}
MANY = 40


def by_value(kind: str, payloads: list[bytes]) -> list[Row]:
    """What is read by value of all payloads."""
    arrived_ms = 1_795_169_400_000 + np.arange(len(payloads))
    found = read_by_value(CONTRACTS[kind], Payloads.of(payloads), np.arange(len(payloads)), arrived_ms)
    return rows_of(found.readings, found.source)


@pytest.mark.slow
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_ways_agree_whatever_the_contract(seed: int) -> None:
    """A contract made by chance, and hostile payloads: the comparison that the fuzzer makes."""
    chance = random.Random(seed)
    ContractFuzzer(Mutator(corpus.load(), chance), chance).check_one()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), odd=st.sampled_from([0.0, 0.5]), damaged=st.sampled_from([0.0, 0.3]))
def test_the_ways_agree_about_each_kind(kind: str, seed: int, odd: float, damaged: float) -> None:
    """Values of all odd forms in all places, and payloads with damaged bytes."""
    payloads = batch(seed, kind, size=MANY, odd=odd, damaged=damaged)
    ContractFuzzer.compare(CONTRACTS[kind], payloads)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_usual_payloads_are_read_by_value(kind: str) -> None:
    """Nearly all of them, whatever their layout: none of these goes to the strict reader without need."""
    payloads = batch(7, kind, size=MANY, odd=0, damaged=0)
    decoded = [decode(CONTRACTS[kind], payload, arrival_ms=0) for payload in payloads]
    good = {place for place, one in enumerate(decoded) if one.readings and not one.refusals}
    assert {row[0] for row in by_value(kind, payloads)} == good
    assert len(good) > MANY // 4


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    styles=st.lists(st.sampled_from(STYLES), min_size=1, max_size=3),
    odd=st.sampled_from([0.0, 0.5]),
    damaged=st.sampled_from([0.0, 0.3]),
)
def test_the_default_form_is_read_by_value_as_strictly(
    seed: int, styles: list[Style], odd: float, damaged: float
) -> None:
    """What is read equals `parse_reading`; of usual payloads all are read."""
    payloads = default_batch(seed, styles, size=MANY, odd=odd, damaged=damaged)
    readings, rows = read_default_by_value(Payloads.of(payloads), np.arange(len(payloads)))
    strictly = {}
    for place, payload in enumerate(payloads):
        try:
            strictly[place] = parse_reading(payload)
        except BadReading:
            continue
    assert list(readings) == [strictly[place] for place in rows.tolist()]
    if not odd and not damaged:
        assert len(rows) == len(strictly)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":2}', b'{"b":{"a":1,"a":1}}', b'{"a":"x","\\u0061":"y"}', b'{"a":"\\\\","a":"\\""}',
        b'[{"a" : 1, "a" : 1}]', b'{"a":"\xff"}', b'{"\xff":1}', b'{"a":"\\ud800"}', b'{"a":NaN}', b"{} {}",
        b"\xef\xbb\xbf{}", b"[" * 17 + b"]" * 17, b'{"a":' * 17 + b"1" + b"}" * 17, b"[" * 2000 + b"]" * 2000,
        b"[[" * 9 + b',{"":""}' * 9 + b"]" * 18, b"1" + b"0" * 5000, b"", b'{"a":1,}', b'{"a":01}', b'{"a":"\t"}',
        b'[' * 6 + b'{"a":' * 11 + b"1" + b"}" * 11 + b"]" * 6,
        b'{"a":",{,{,{,{,{,{,{,{,{","b":' + b"[{\"a\":" * 8 + b"1" + b"}]" * 8 + b"}",
    ],
)  # fmt: skip
def test_what_msgspec_takes_otherwise_is_left_to_the_strict_reader(payload: bytes) -> None:
    """Names that come twice, however they are escaped; surrogates, depth, what is no JSON."""
    assert read_values([payload]) == [UNSURE]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":"\\"","b":"\\\\"}', b'{"a":"\\\\\\""}', b'{"\\u0022":"\\u005c"}', b'{"a":":","b":"{,{[{"}',
        b' { "a" : [ { "a" : 1 } , { "a" : 1 } ] } ', b'[' + b'{"a":[1]},' * 40 + b'{"a":[1]}]',
        b'{"a":' * 16 + b"1" + b"}" * 16, b"[" * 16 + b"]" * 16, "\"é\u2028\"".encode(), b'"\\u00e9\\/"',
    ],
)  # fmt: skip
def test_what_is_usual_is_read(payload: bytes) -> None:
    """Escapes, blanks, quotes in texts, arrays of objects, and as deep as the strict reader goes."""
    (value,) = read_values([payload])
    assert _as_strict(value) == parse_value(payload)


@pytest.mark.parametrize(("good", "all_are_tried"), [(0, False), (20, False), (200, True)])
def test_a_sample_tells_whether_payloads_are_tried(good: int, all_are_tried: bool) -> None:
    """Payloads of which most are bad are read strictly at once, which tells most of them faster."""
    made = [b'{"sensor_id":"a","event_time":1,"temperature":%de-1}' % number for number in range(good)]
    payloads = [b'{"sensor_id":"a","event_time":1}'] * (200 - good) + made
    tried: list[int] = []

    def read_some(column: Payloads, which: Int64s) -> tuple[Readings, Int64s]:
        tried.append(len(which))
        return read_default_by_value(column, which)

    parsed = parse_readings(payloads, read_some=read_some)
    assert (len(parsed.readings), len(parsed.bad)) == (good, 200 - good)
    assert (tried[-1] == 200) == all_are_tried
    assert tried[0] < 20


def _as_strict(value: object) -> object:
    """Return a value with its integers as the strict reader has them."""
    if isinstance(value, dict):
        return {name: _as_strict(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_strict(one) for one in value]
    return str(value) if type(value) is int else value
