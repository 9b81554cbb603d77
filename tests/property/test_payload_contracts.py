"""Payload contracts against other computations: zones by zoneinfo, units and times by decimals, frames one by one."""

import datetime
import json
from decimal import ROUND_HALF_EVEN, Context, Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from windrow.payloads.decode import decode
from windrow.payloads.load import load_contract
from windrow.payloads.paths import Path
from windrow.payloads.zones import zone_named
from windrow.wire.json.values import JsonNumber

CONTRACT = """
framing = "{framing}"
[[payload]]
sensor_id = "id"
time = {{ path = "at", form = "{form}" }}
[payload.quantity.temperature]
path = "t"
unit = "{unit}"
min = -200
[payload.quantity.humidity]
path = "h"
unit = "%"
missing = [-1]
"""
EXACT = Context(prec=120)
ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata", "UTC"]


@pytest.mark.slow
@given(
    naive=st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2059, 1, 1)).map(  # noqa: DTZ001 - naive times
        lambda naive: naive.replace(microsecond=0)
    ),
    name=st.sampled_from(ZONES),
)
@example(naive=datetime.datetime(2026, 10, 25, 2, 30), name="Europe/Berlin")  # noqa: DTZ001 - shown twice
@example(naive=datetime.datetime(2026, 3, 29, 2, 30), name="Europe/Berlin")  # noqa: DTZ001 - shown never
@example(naive=datetime.datetime(2026, 4, 5, 1, 45), name="Australia/Lord_Howe")  # noqa: DTZ001 - half an hour twice
def test_a_zone_is_what_zoneinfo_says(naive: datetime.datetime, name: str) -> None:
    """The instant at which a clock shows a naive time, and that there is none if it shows it twice or never."""
    place = ZoneInfo(name)
    instants = {
        aware.astimezone(datetime.UTC)
        for fold in (0, 1)
        if (aware := naive.replace(tzinfo=place, fold=fold)).astimezone(datetime.UTC).astimezone(place) == aware
        and aware.astimezone(datetime.UTC).astimezone(place).replace(tzinfo=None) == naive
    }
    naive_s = int(naive.replace(tzinfo=datetime.UTC).timestamp())
    if len(instants) == 1:
        assert zone_named(name).utc_s(naive_s) == int(instants.pop().timestamp())
    else:
        with pytest.raises(ValueError, match="never" if not instants else "twice"):
            zone_named(name).utc_s(naive_s)


@pytest.mark.slow
@given(
    value=st.decimals(-200, 1000, allow_nan=False, allow_infinity=False, places=5),
    unit=st.sampled_from(["C", "F", "K"]),
    time_s=st.decimals(0, 4_000_000_000, allow_nan=False, allow_infinity=False, places=6),
)
def test_values_and_times_are_rounded_once(value: Decimal, unit: str, time_s: Decimal) -> None:
    """Equal to decimals of 120 digits, half to even; what is out of bounds there is out of bounds here."""
    celsius = {
        "C": value,
        "F": EXACT.divide(EXACT.multiply(EXACT.subtract(value, Decimal(32)), Decimal(5)), Decimal(9)),
        "K": EXACT.subtract(value, Decimal("273.15")),
    }[unit]
    milli, time_ms = (
        int(EXACT.multiply(exact, Decimal(1000)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN, context=EXACT))
        for exact in (celsius, time_s)
    )
    contract = load_contract(CONTRACT.format(framing="object", form="epoch_s", unit=unit))
    decoded = decode(contract, f'{{"id":"a","at":{time_s:f},"t":{value:f}}}'.encode(), arrival_ms=0)
    if milli < -200_000:
        assert [str(one.reason) for one in decoded.refusals] == ["value_range"]
    else:
        assert [(one.event_time_ms, one.value_milli) for one in decoded.readings] == [(time_ms, milli)]


ELEMENTS = st.one_of(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["a", "b", 7, "", None]), "at": st.sampled_from([1, 2.5, "x", "3"])},
        optional={"t": st.sampled_from([1, -300, "2.5", "x", None]), "h": st.sampled_from([5, -1, True])},
    ),
    st.sampled_from([1, None, [], {}]),
)


@pytest.mark.slow
@given(elements=st.lists(ELEMENTS, min_size=1, max_size=6), framing=st.sampled_from(["lines", "concatenated", "array"]))
def test_a_frame_is_what_its_payloads_are_one_by_one(elements: list[object], framing: str) -> None:
    """The same readings in the same order, and the same refusals, however payloads share a record."""
    texts = [json.dumps(element).encode() for element in elements]
    joined = {"lines": b"\n".join(texts), "concatenated": b" ".join(texts), "array": b"[" + b",".join(texts) + b"]"}
    alone = load_contract(CONTRACT.format(framing="object", form="epoch_s", unit="C"))
    singles = [decode(alone, text, arrival_ms=0) for text in texts]
    framed = load_contract(CONTRACT.format(framing=framing, form="epoch_s", unit="C"))
    together = decode(framed, joined[framing], arrival_ms=0)
    assert together.readings == [reading for one in singles for reading in one.readings]
    assert [(one.reason, one.detail) for one in together.refusals] == [
        (refusal.reason, refusal.detail) for one in singles for refusal in one.refusals
    ]


STEPS = [
    ".a", ".b", '."c d"', "[0]", "[-2]", "[]", "[*]", ".*", "[::2]", "[::-1]", "[1:0:0]", "[:3]", "[?a == `1`]",
    "[?b != 'x']", "[?a]", "[?!b]", "[?a && b]", " || b", " | [0]", " | a", "[99999999999999999999]",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.text("ab1", max_size=2) | st.integers(0, 2).map(str).map(JsonNumber),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c d"]), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(text=st.lists(st.sampled_from(STEPS), max_size=4).map(lambda steps: "".join(["a", *steps])), value=JSON)
@example("a[1:0:0]", {"a": ["x"]})
def test_a_path_that_is_accepted_finds_something_or_nothing_in_any_value(text: str, value: object) -> None:
    """It never fails: what could is refused with the contract."""
    try:
        path = Path(text)
    except ValueError:
        return
    path.find(value, value)
