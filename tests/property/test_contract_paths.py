"""The ways of reading payloads under a contract agree in readings, their order, and reasons, whatever arrives."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.contract_wire import BUFFERS, FLAT, KINDS, batch
from windrow.columns.payloads import Payloads
from windrow.payloads.decode import decode
from windrow.payloads.fast import read_common_layouts
from windrow.payloads.layout import ContractLayout
from windrow.payloads.load import load_contract
from windrow.payloads.reader import ContractReader
from windrow.quantities import Quantity
from windrow.reading import Reading
from windrow.wire.json.fast import ROWS_MIN

CONTRACTS = {name: load_contract(text) for name, (text, _) in KINDS.items()}
ARRIVED_MS = 1_795_169_400_000


def check(kind: str, payloads: list[bytes]) -> None:
    """Compare with what `decode` gives, payload by payload."""
    arrived_ms = ARRIVED_MS + np.arange(len(payloads))
    parsed = ContractReader(CONTRACTS[kind]).read(Payloads.of(payloads), arrived_ms)
    readings, source, bad = [], [], []
    for index, payload in enumerate(payloads):
        decoded = decode(CONTRACTS[kind], payload, arrival_ms=ARRIVED_MS + index)
        for one in decoded.readings:
            quantity = Quantity(one.quantity, one.unit)
            readings.append(Reading(one.sensor_id, one.event_time_ms, one.sequence, one.value_milli, quantity))
            source.append(index)
        if decoded.refusals:
            bad.append((index, decoded.refusals[0].reason, str(decoded.refusals[0])))
    assert list(parsed.readings) == readings
    assert parsed.source.tolist() == source
    assert [(one.index, one.reason) for one in parsed.bad] == [(index, reason) for index, reason, _ in bad]
    assert all(one.detail.startswith(detail) for one, (_, _, detail) in zip(parsed.bad, bad, strict=True))


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(sorted(KINDS)),
    st.integers(1, 120),
    st.sampled_from((0.0, 0.05, 0.5)),
    st.sampled_from((0.0, 0.05, 0.5)),
)
def test_columns_and_one_by_one_agree(seed: int, kind: str, size: int, odd: float, damaged: float) -> None:
    """For any of these contracts, and any share of odd or damaged payloads."""
    check(kind, batch(seed, kind, size=size, odd=odd, damaged=damaged))


@pytest.mark.slow
@given(st.sampled_from(sorted(KINDS)), st.lists(st.binary(max_size=60), max_size=60))
def test_noise_is_bad_in_both(kind: str, noise: list[bytes]) -> None:
    """No layout is found in noise, and nothing fails."""
    check(kind, noise)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_octet_at_every_place(kind: str) -> None:
    """All 256 values in place of each byte of a payload, among payloads of its layout."""
    (body,) = batch(3, kind, size=1, odd=0, damaged=0)
    replaced = [body[:at] + bytes([octet]) + body[at + 1 :] for at in range(0, len(body), 5) for octet in range(256)]
    check(kind, [body] * ROWS_MIN + replaced)  # the first one is taken for the example


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_usual_payloads_leave_nearly_nothing_over(kind: str) -> None:
    """Otherwise the tests above would compare `decode` with itself."""
    payloads = [
        payload
        for payload in batch(1, kind, size=400, odd=0, damaged=0)
        if not decode(CONTRACTS[kind], payload, arrival_ms=0).refusals
    ]
    _, others = read_common_layouts(CONTRACTS[kind], Payloads.of(payloads), np.zeros(len(payloads), np.int64))
    usual = [one for one in others.tolist() if ContractLayout.of(CONTRACTS[kind], payloads[one])]
    assert len(payloads) > 200
    assert len(usual) < ROWS_MIN  # too few of one layout
    if kind not in {"arrival", "telegraf", "samples", "packs"}:  # other kinds of payloads, several in one
        assert len(others) < ROWS_MIN


def test_a_record_of_several_values_is_never_taken_for_one() -> None:
    """The second value of a frame is no part of the first one's layout."""
    for framing, joint in (("concatenated", " "), ("lines", "\n")):
        contract = load_contract(f'framing = "{framing}"\n{FLAT}')
        two = joint.join(json.dumps({"id": "a", "at": 1, "t": second}) for second in (1, 2)).encode()
        assert ContractLayout.of(contract, two) is None
        read = ContractReader(contract).read(Payloads.of([two] * 50), np.zeros(50, np.int64))
        assert len(read.readings) == 100


def test_a_value_that_says_there_is_none_is_left_to_the_definition() -> None:
    """Of many payloads of one layout exactly those are bad, with the device's own reason."""
    payloads = [b'{"id":"a","at":%d,"t":%s}' % (at, b"-127" if at % 3 else b"5") for at in range(90)]
    read = ContractReader(CONTRACTS["flat"]).read(Payloads.of(payloads), np.zeros(90, np.int64))
    assert len(read.readings) == 30
    assert {str(one.reason) for one in read.bad} == {"missing_value"}
    assert len(read.bad) == 60


def test_a_text_that_says_there_is_none_is_no_number() -> None:
    """A number in a text is read as a column, but not where the contract says that such a text is no value."""
    contract = load_contract(FLAT.replace("missing = [-127, 999.9]", 'missing = ["5"]'))
    payloads = [b'{"id":"a","at":%d,"t":"%s"}' % (at, b"5" if at % 3 else b"6") for at in range(90)]
    read = ContractReader(contract).read(Payloads.of(payloads), np.zeros(90, np.int64))
    assert len(read.readings) == 30
    assert {str(one.reason) for one in read.bad} == {"missing_value"}


def test_one_bad_id_among_the_elements_leaves_the_others_of_its_payload() -> None:
    """The payload is read by the definition, which refuses one element and keeps the rest in their order."""
    contract = load_contract(BUFFERS)
    last = ["a\u0085", "b", "c"]  # no id holds a control character, which no search for the end of a text stops at
    payloads = [
        f'{{"at":1795169000000,"values":[{{"device":"a","h":{n}}},{{"device":"{last[n % 3]}","h":{n}}}]}}'
        for n in range(90)
    ]
    read = ContractReader(contract).read(Payloads.of([one.encode() for one in payloads]), np.zeros(90, np.int64))
    assert np.bincount(read.source).tolist() == [1, 2, 2] * 30
    assert [(one.index, str(one.reason)) for one in read.bad] == [(n, "sensor_id") for n in range(0, 90, 3)]


def test_times_of_packs_around_the_one_that_is_no_longer_relative() -> None:
    """Rounded, 2**28 seconds do not tell on which side they were; such a pack is left to the definition."""
    times = ["268435455", "268435455.9994", "268435455.9999", "268435456", "268435456.0001", "268435457"]
    alone = [f'[{{"bn":"a","bu":"Cel","v":1,"t":{time}}}]' for time in times * 40]
    based = [
        f'[{{"bn":"a","bu":"Cel","bt":{time}}},{{"v":1,"t":{delta}}}]' for time in times for delta in range(-40, 1)
    ]
    check("packs", [pack.encode() for pack in (*alone, *based)])
