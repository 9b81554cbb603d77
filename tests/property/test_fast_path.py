"""Readings read together against `parse_reading` one by one: the same readings, the same bad, in the same order."""

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.wire import OTHERS, OURS, STYLES, TEMPERATURES, TIMES, Style, batch
from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.words import ROWS_AT_ONCE
from windrow.reading import BadReading, Reading, Readings, Reason
from windrow.wire.json.by_value import read_by_value
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.fast import EXAMPLES_MAX, ROWS_MIN, read_common_layouts
from windrow.wire.json.layout import Layout
from windrow.wire.json.sample import is_worth_reading
from windrow.wire.json.strict import PAYLOAD_BYTES_MAX, BadPayload, parse_reading, parse_readings


def one_by_one(payloads: Sequence[bytes]) -> tuple[list[Reading], list[int], list[BadPayload]]:
    """The definition."""
    readings, source, bad = [], [], []
    for index, payload in enumerate(payloads):
        try:
            readings.append(parse_reading(payload))
            source.append(index)
        except BadReading as error:
            bad.append(BadPayload(index, error.reason, error.detail))
    return readings, source, bad


def check(payloads: Sequence[bytes]) -> None:
    readings, source, bad = one_by_one(payloads)
    for parsed in (parse_readings(payloads), parse_readings(payloads, read_some=read_by_value)):
        assert parsed.source.tolist() == source
        assert list(parsed.readings) == readings
        assert list(parsed.bad) == bad


def left_over(payloads: Sequence[bytes]) -> int:
    """How many payloads the columns leave to `parse_reading`."""
    _, others = read_common_layouts(Payloads.of(payloads), lambda _: True, length_max=PAYLOAD_BYTES_MAX)
    return len(others)


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(STYLES), min_size=1, max_size=3),
    st.integers(1, 200),
    st.sampled_from((0.0, 0.05, 0.5)),
    st.sampled_from((0.0, 0.05, 0.5)),
)
def test_columns_and_one_by_one_agree(seed: int, styles: list[Style], size: int, odd: float, damaged: float) -> None:
    """For any mix of layouts, and any share of odd or damaged payloads."""
    check(batch(seed, styles, size=size, odd=odd, damaged=damaged))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(STYLES), st.sampled_from((0.0, 0.3)), st.sampled_from((0.0, 0.3)))
def test_payloads_of_one_length_agree_too(seed: int, style: Style, odd: float, damaged: float) -> None:
    """Most of them have one shape and are read by position; the others have only its length."""
    payloads = batch(seed, [style], size=200, odd=odd, damaged=damaged)
    usual_length, _ = Counter(map(len, payloads)).most_common(1)[0]
    alike = [payload for payload in payloads if len(payload) == usual_length]
    check(alike * (ROWS_MIN // len(alike) + 1))


@given(st.lists(st.binary(max_size=60), max_size=80))
def test_noise_is_bad_in_both(noise: list[bytes]) -> None:
    """No layout is found in noise, and nothing fails."""
    check(noise)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: f"{'-'.join(style.names)}:{style.time}")
def test_a_usual_layout_leaves_nothing_over(style: Style) -> None:
    """Each layout is read as columns; otherwise these tests would compare `parse_reading` with itself."""
    payloads = [payload for payload in batch(1, [style], size=400, odd=0, damaged=0) if one_by_one([payload])[0]]
    assert len(payloads) > ROWS_MIN
    assert left_over(payloads) <= len(payloads) // 10  # doubles below 1 may have more digits than are read as columns


SPELLED_ALIKE = [
    b'{"sensor_id":"ab","event_time":1795169100000,"temperature":-2.507,"sequence":17,"site":"no","battery":-3.6}',
    b'{"sensor_id":"site-00/sensor-7","event_time":1795169100000,"temperature":21.4375,"unit":"F"}',
    b'{"note":"longer than a word","sequence":0,"temperature":7,"unit":"K","event_time":0, "sensor_id":"a"}',
    b'{"sensor_id":"s","event_time":123456789012345,"temperature":1234.1234567890125,"sequence":123456789012345678}',
    b'{"sensor_id":"s","event_time":1,"temperature":-273.150}',
    b'{"sensor_id":"s","event_time":1,"temperature":10000}',
]


@pytest.mark.slow
@pytest.mark.parametrize("body", SPELLED_ALIKE)
def test_every_octet_at_every_place_of_payloads_spelled_alike(body: bytes) -> None:
    """All 256 values in place of each byte of a payload, among payloads of the same length."""
    replaced = [body[:at] + bytes([octet]) + body[at + 1 :] for at in range(len(body)) for octet in range(256)]
    check([body] * ROWS_MIN + replaced)  # the first one is taken for the example


@pytest.mark.parametrize("body", SPELLED_ALIKE)
def test_payloads_spelled_alike_are_read_by_their_places(body: bytes) -> None:
    """Otherwise the tests above would not reach the code they are for."""
    layout = Layout.of(body)
    assert layout is not None
    assert len(layout.read_alike(Payloads.of([body] * 20 + [body + b" "]), np.arange(21)).rows) == 20
    assert len(layout.read_alike(Payloads.of([body, body + b" "]), np.arange(2)).rows) == 0


@pytest.mark.parametrize("name", ["spectrum", "axes", "topic", "gain", "battery", "site"])
def test_every_odd_value_of_an_ignored_field_among_usual_ones(name: str) -> None:
    """Arrays, texts with escapes and exponents that are no JSON, or longer than columns are read."""
    style = Style(("sensor_id", name, "event_time", "temperature"), comma=", ")
    usual = batch(2, [style], size=2 * ROWS_MIN, odd=0, damaged=0)
    values = {"sensor_id": '"a"', "event_time": "1795169100000", "temperature": "21.4"}
    check([*usual, *(style.spell(values | {name: odd}) for odd in OTHERS)])


@pytest.mark.parametrize("unit", ["C", "F", "K"])
def test_every_odd_temperature_among_usual_ones(unit: str) -> None:
    """Signs, zeros, rounding at the half, limits of the range, too many digits: in every unit."""
    style = Style((*OURS.names, "unit"), unit=unit)
    usual = batch(2, [style], size=2 * ROWS_MIN, odd=0, damaged=0)
    values = {"sensor_id": '"a"', "event_time": "1795169100000", "sequence": "1", "unit": f'"{unit}"'}
    check(usual + [style.spell(values | {"temperature": spelled}) for spelled in TEMPERATURES])


@pytest.mark.parametrize("time", ["epoch", "seconds", "milliseconds", "isoformat", "offset", "ahead"])
def test_every_odd_time_among_usual_ones(time: str) -> None:
    """Days that do not exist, leap years, limits, long fractions: beside usual times of every kind."""
    style = Style(OURS.names, time=time)
    usual = batch(3, [style], size=2 * ROWS_MIN, odd=0, damaged=0)
    values = {"sensor_id": '"a"', "temperature": "1.5", "sequence": "1"}
    check(usual + [style.spell(values | {"event_time": spelled}) for spelled in TIMES])


@pytest.mark.slow
@pytest.mark.parametrize("field", ["sensor_id", "event_time", "temperature", "sequence", "site", "battery"])
def test_every_octet_at_every_place_of_a_field(field: str) -> None:
    """All 256 values, inserted before and replacing each byte of one payload among usual ones."""
    style = Style((*OURS.names, "site", "battery"))
    usual = batch(4, [style], size=2 * ROWS_MIN, odd=0, damaged=0)
    body = (
        b'{"sensor_id":"ab","event_time":1795169100000,"temperature":-2.507,"sequence":17,"site":"no","battery":-3.6}'
    )
    start = body.index(field.encode()) - 1
    end = body.find(b',"', start) + 1 or len(body)
    inserted = [body[:at] + bytes([octet]) + body[at:] for at in range(start, end) for octet in range(256)]
    replaced = [body[:at] + bytes([octet]) + body[at + 1 :] for at in range(start, end) for octet in range(256)]
    check(usual + inserted + replaced)


def test_a_payload_never_reads_on_into_the_next() -> None:
    """A payload cut off anywhere is bad, although the next one begins right there in the buffer."""
    body = b'{"sensor_id":"ab","event_time":1795169100000,"temperature":2.5,"sequence":17}'
    column = Payloads.of([body] * ROWS_MIN + [body, body])
    for cut in range(len(body)):
        lengths = column.lengths.copy()
        lengths[ROWS_MIN] = cut
        parsed = parse_readings(Payloads(column.octets, column.starts, lengths))
        assert [bad.index for bad in parsed.bad] == [ROWS_MIN]


def test_a_payload_cut_at_the_end_of_the_buffer_is_bad() -> None:
    """Even if the layout continues beyond the end of the buffer."""
    body = b'{"sensor_id":"ab","event_time":1795169100000,"note":["%s"],"temperature":2.5}' % (b"x" * 5_000)
    check([body] * ROWS_MIN + [body[:9]])


def test_a_payload_beyond_the_limit_is_bad_in_any_layout() -> None:
    """Two payloads of one layout, one of them a byte longer than the limit."""
    body = b'{"sensor_id":"a%s","event_time":1795169100000,"temperature":2.5%s}'
    room = b" " * (PAYLOAD_BYTES_MAX - len(body % (b"", b"")))
    payloads = [body % (b"", room)] * ROWS_MIN + [body % (b"b", room)]
    check(payloads)
    assert left_over(payloads) == 1


@pytest.mark.slow
def test_more_rows_than_are_read_at_once_keep_their_order() -> None:
    """Bad and odd payloads on both sides of a chunk's edge keep their positions."""
    rows = [
        (f"s{number % 50}", 1_795_169_100_000 + number, number, number % 40_000) for number in range(ROWS_AT_ONCE + 50)
    ]
    payloads = encode_readings(Readings.of(rows))
    for at in (0, 7, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 49):
        payloads[at] = payloads[at][:-1]
    payloads[ROWS_AT_ONCE - 2] = payloads[ROWS_AT_ONCE - 2].replace(b":", b" :")
    check(payloads)


def test_a_run_of_bad_payloads_does_not_slow_down_the_good() -> None:
    """The examples of layouts are taken from the whole batch."""
    good = batch(5, [OURS], size=2_000, odd=0, damaged=0)
    good = [payload for payload in good if one_by_one([payload])[0]]
    bad = [b"{}"] * 1_000
    _, others = read_common_layouts(Payloads.of(bad + good), lambda p: p != b"{}", length_max=PAYLOAD_BYTES_MAX)
    assert len(others) <= len(bad) + ROWS_MIN


def test_an_id_that_is_not_utf8_is_bad_and_hurts_no_other() -> None:
    """Overlong forms, surrogates, stray and missing continuation bytes, in ids that are otherwise plain."""
    ids = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\x80",
        b"\xe2\x82",
        b"\xf5\x80\x80\x80",
        "é".encode(),
        "😀".encode(),
    ]
    body = b'{"sensor_id":"%s","event_time":1795169100000,"temperature":2.5,"sequence":17}'
    payloads = [body % (stem + spelled) for stem in (b"s", b"s" * 40) for spelled in ids for _ in range(ROWS_MIN)]
    check(payloads)
    assert {bad.reason for bad in parse_readings(payloads).bad} == {Reason.NOT_UTF8}


@pytest.mark.slow
@pytest.mark.parametrize("code", [0x00, 0x1F, 0x20, 0x7E, 0x7F, 0x80, 0x85, 0x9F, 0xA0, 0x7FF])
def test_control_characters_in_ids_are_bad_in_both(code: int) -> None:
    """Enough payloads of each that all are tried as columns; characters next to the range are allowed."""
    ids = [stem.replace("*", chr(code)) for stem in ("*", "a*b", f"{'s' * 40}*", "é*")]
    spellings = [one.encode() for one in ids] + [ascii(one)[1:-1].replace("\\x", "\\u00").encode() for one in ids]
    body = b'{"sensor_id":"%s","event_time":1795169100000,"temperature":2.5,"sequence":17}'
    payloads = [body % spelled for spelled in spellings for _ in range(2 * ROWS_MIN)] + [body % b"roof"] * ROWS_MIN

    check(payloads)

    reasons = {bad.reason for bad in parse_readings(payloads).bad}
    if code in {*range(0x20), *range(0x7F, 0xA0)}:
        assert Reason.SENSOR_ID in reasons
        assert reasons <= {Reason.SENSOR_ID, Reason.NOT_JSON}
    else:
        assert not reasons


def test_payloads_may_lie_anywhere_in_the_buffer() -> None:
    """Out of order, with gaps, and more than once."""
    payloads = batch(6, [OURS, STYLES[1]], size=200, odd=0.1, damaged=0.1)
    column = Payloads.of(payloads)
    order = np.random.default_rng(6).integers(0, len(payloads), 300)
    shuffled = Payloads(column.octets, column.starts[order], column.lengths[order])
    parsed, expected = parse_readings(shuffled), parse_readings([payloads[which] for which in order])
    assert list(parsed.readings) == list(expected.readings)
    assert parsed.bad == expected.bad


def test_other_quantities_of_the_default_form_are_read_among_temperatures() -> None:
    """Many alike, alone and beside thermometers: all of them count, as one by one."""
    humid = [
        b'{"sensor_id":"a","event_time":%d,"quantity":"humidity","unit":"%%","value":5.5}' % number
        for number in range(100)
    ]
    for payloads in (humid, [b'{"sensor_id":"a","event_time":1,"temperature":5}', *humid] * 2):
        parsed = parse_readings(payloads)
        assert list(parsed.readings) == [parse_reading(payload) for payload in payloads]


def test_payloads_of_one_length_in_many_layouts_are_all_columns() -> None:
    """Each layout is read by its places, and the search goes on though none is found again among the rest."""
    names = ("sensor_id", "event_time", "temperature", "sequence")
    orders = list(itertools.permutations(names))[: EXAMPLES_MAX // 2]
    payloads = []
    for number in range(150 * len(orders)):
        values = dict(zip(names, (f'"roof-{number:04}"', 1_763_640_300_000 + number, 21.4, 100), strict=True))
        order = orders[number % len(orders)]
        payloads.append(("{" + ",".join(f'"{name}":{values[name]}' for name in order) + "}").encode())
    assert len(set(map(len, payloads))) == 1
    check(payloads)
    assert left_over(payloads) == 0


def test_a_quarter_of_a_sample_decides_about_all() -> None:
    """Too few payloads are not tried at all, and of many only a sample is."""
    asked: list[int] = []

    def read(sample: Int64s) -> int:
        asked.append(len(sample))
        return len(sample) // 4

    assert not is_worth_reading(np.arange(15), len)
    assert is_worth_reading(np.arange(16), read)
    assert is_worth_reading(np.arange(16_000), read)
    assert not is_worth_reading(np.arange(16_000), lambda sample: len(sample) // 4 - 1)
    assert asked == [16, 16]
