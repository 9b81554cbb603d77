"""The shard consumer: from a parsed event to finished partial bytes."""

import base64
import hashlib
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import pybase64

from bench import baseline, forms, others
from bench.event import ARRIVAL_MS, READINGS, block_event, event, event_of, plain_event, readings
from bench.measure import Finding, medians, ratio_of, turns
from processors.consumer import plan
from processors.judge_blocks import BAD_ROWS_ALWAYS, BAD_ROWS_MAX
from processors.record_columns import records_of
from tests.horizon import LATENESS_HORIZON_MS
from tests.limits.hostile import BAD_PAYLOADS, small_blocks_of_bad_readings, spoiled_records
from windrow.live.columns import encode_messages
from windrow.payloads.load import load_contract
from windrow.payloads.reader import ContractReader

HOSTILE_BYTES, HOSTILE_ROUNDS = 500_000, 11
RATE = "readings/cpu-s"
TURNS = 21


def ours(parsed: Any, reader: ContractReader | None = None) -> list[bytes]:
    """What the handler does with an event, but for the writing: partials and quarantine as bytes."""
    planned = plan(records_of(parsed), now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS, reader=reader)
    return [put.body for write in planned.writes for put in write]


def json_200() -> Iterator[Finding]:
    """200 sensors with 200 readings each, against the baseline and against the floor, all three in turns."""
    parsed = event(sensors=200)
    least = _floor_of(parsed)
    fast, usual, bare = turns(lambda: ours(parsed), lambda: baseline.consume(parsed), least, rounds=TURNS)
    rates = [READINGS / statistics.median(seconds) for seconds in (fast, usual, bare)]
    for name, rate, against, target in (
        ("consumer.json.200", rates[1], usual, 8),
        ("consumer.json.200.floor", rates[2], bare, 1 / 3),
    ):
        ratio, spread = ratio_of(against, fast)
        yield Finding(name=name, ours=rates[0], baseline=rate, ratio=ratio, spread=spread, target=target, unit=RATE)


def json_20k() -> Iterator[Finding]:
    """20,000 sensors with 2 readings each."""
    yield _against_baseline("consumer.json.20k", event(sensors=20_000), target=8)


def json_faulty() -> Iterator[Finding]:
    """One payload in a hundred is bad."""
    yield _against_baseline("consumer.json.faulty", event(sensors=200, faulty=0.01), target=7)


def json_varying() -> Iterator[Finding]:
    """Temperatures from -20 to 40 °C: payloads of several lengths."""
    yield _against_baseline("consumer.json.varying", forms.varying_event(sensors=200), target=9)


def json_contract() -> Iterator[Finding]:
    """The same with other names, by contract."""
    yield _of_form("consumer.json.contract", forms.FLAT, baseline.flat_rows, target=8)


def json_nested() -> Iterator[Finding]:
    """Temperature and humidity in an object, float seconds, and a varying object beside them, by contract."""
    yield _of_form("consumer.json.nested", forms.NESTED, baseline.nested_rows, target=5)


def json_arrays() -> Iterator[Finding]:
    """The default form with an array of varying length beside it: no two layouts alike."""
    yield _of_form("consumer.json.arrays", forms.ARRAYS, None, target=3)


def json_escapes() -> Iterator[Finding]:
    """The default form with an escaped text beside it."""
    yield _of_form("consumer.json.escapes", forms.ESCAPES, None, target=3)


def json_texts() -> Iterator[Finding]:
    """Numbers as texts, and one with an exponent beside them, by contract."""
    yield _of_form("consumer.json.texts", forms.TEXTS, baseline.text_rows, target=3)


def json_senml() -> Iterator[Finding]:
    """SenML packs of ten records that inherit base fields."""
    yield _of_form("consumer.json.senml", forms.SENML, baseline.senml_rows, target=3, payloads=READINGS // 10)


def json_each() -> Iterator[Finding]:
    """Ten buffered samples in an array of one payload, by contract."""
    yield _of_form("consumer.json.each", forms.EACH, baseline.sample_rows, target=3, payloads=READINGS // 10)


def json_plain() -> Iterator[Finding]:
    """One reading a record, as MQTT rules, Telegraf and plain `put_records` send them."""
    for name, sensors in (("consumer.json.plain", 200), ("consumer.json.plain.20k", 20_000)):
        yield _against_baseline(name, plain_event(sensors=sensors), target=4, count=10_000)


def json_mixed() -> Iterator[Finding]:
    """Half of the readings in aggregates, half one a record."""
    yield _against_baseline("consumer.json.mixed", plain_event(sensors=200, aggregated=0.5), target=4, count=10_000)


def blocks() -> Iterator[Finding]:
    """Readings in blocks, against the baseline's JSON, per reading; with many sensors without a target.

    Ten times as many readings as the other events have, in fewer bytes; with as many the ratio is a sixth lower.
    """
    for name, sensors, target in (("consumer.block", 200, 40), ("consumer.block.20k", 20_000, None)):
        packed, spelled = block_event(readings(sensors, count=10 * READINGS)), event(sensors=sensors)
        fast, usual = medians(lambda: ours(packed), lambda: baseline.consume(spelled))  # noqa: B023 - called at once
        rates = (10 * READINGS / fast, READINGS / usual)
        yield Finding(name=name, ours=rates[0], baseline=rates[1], ratio=rates[0] / rates[1], target=target, unit=RATE)


def hostile() -> Iterator[Finding]:
    """CPU per megabyte of bad input, as a multiple of that of good input: the same small blocks, all or none good."""
    for name, bad in (("consumer.hostile", BAD_ROWS_MAX), ("consumer.hostile.rows", BAD_ROWS_ALWAYS)):
        good, spoiled = (_small_blocks(number) for number in (0, bad))
        usual, costly = medians(lambda: ours(good), lambda: ours(spoiled))  # noqa: B023 - called at once
        yield Finding(name=name, ours=costly / usual, at_most=3, unit="times the CPU of good input")


def hostile_json() -> Iterator[Finding]:
    """CPU per megabyte of records of nothing but bad payloads, as a multiple of that of good ones as short."""
    shapes = ["good", *BAD_PAYLOADS]
    events = [spoiled_records(shape, total_bytes=HOSTILE_BYTES) for shape in shapes]
    sizes = [sum(map(len, records)) for records in events]
    parsed = [event_of(records) for records in events]
    columns = turns(*(partial(ours, one) for one in parsed), rounds=HOSTILE_ROUNDS)
    costs = {
        shape: [second / size for second in seconds]
        for shape, seconds, size in zip(shapes, columns, sizes, strict=True)
    }
    usual = costs.pop("good")
    ratios = {shape: ratio_of(cost, usual)[0] for shape, cost in costs.items()}
    for shape, ratio in ratios.items():
        cost = statistics.median(costs[shape])
        print(f"# {shape}: {cost * 1e9:.0f} CPU ms a megabyte, {ratio:.1f} times that of good ones")
    worst = max(ratios.values())
    yield Finding(name="consumer.hostile.json", ours=worst, at_most=3, unit="times the CPU of good input, at worst")


def live() -> Iterator[Finding]:
    """What handing the newest values on costs (Live=push), as a multiple of a batch without it, but for the request."""
    for name, sensors, at_most in (("consumer.live.200", 200, 1.1), ("consumer.live.20k", 20_000, 1.5)):
        parsed = event(sensors=sensors)
        without, handing_on = turns(lambda: ours(parsed), lambda: _handed_on(parsed), rounds=TURNS)  # noqa: B023 - as above
        ratio, spread = ratio_of(handing_on, without)
        yield Finding(name=name, ours=ratio, spread=spread, at_most=at_most, unit="times the CPU of a batch without it")


def _handed_on(parsed: Any) -> list[str]:
    """Do what `ours` does, and return the messages with the newest values beside that."""
    planned = plan(records_of(parsed), now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS, wants_newest=True)
    assert planned.newest is not None
    return encode_messages(planned.newest)


def floor() -> Iterator[Finding]:
    """What no consumer of aggregates can leave out: base64 and MD5."""
    parsed = event(sensors=200)
    encoded = [record["kinesis"]["data"] for record in parsed["Records"]]

    def with_stdlib() -> None:
        for data in encoded:
            hashlib.md5(memoryview(base64.b64decode(data))[4:-16], usedforsecurity=False).digest()

    fast, standard = medians(_floor_of(parsed), with_stdlib)
    yield Finding(name="consumer.floor", ours=READINGS / fast, baseline=READINGS / standard, unit=RATE)


def partial_bytes() -> Iterator[Finding]:
    """What a reading takes in the lake."""
    for name, sensors, at_most in (("consumer.bytes", 200, 4), ("consumer.bytes.20k", 20_000, None)):
        parsed = event(sensors=sensors)
        sizes = [sum(map(len, consume(parsed))) / READINGS for consume in (ours, baseline.consume)]
        yield Finding(name=name, ours=sizes[0], baseline=sizes[1], at_most=at_most, unit="bytes/reading")


def compared() -> Iterator[Finding]:
    """Other engines that are installed, from the event to grouped numbers, without partials: no targets."""
    parsed = event(sensors=200)
    for name, consume in others.installed().items():
        (seconds,) = medians(partial(consume, parsed))
        yield Finding(name=f"consumer.json.{name}", ours=READINGS / seconds, unit=RATE)


BENCHES = {
    "consumer.json.200": json_200,
    "consumer.json.20k": json_20k,
    "consumer.json.faulty": json_faulty,
    "consumer.json.varying": json_varying,
    "consumer.json.contract": json_contract,
    "consumer.json.nested": json_nested,
    "consumer.json.arrays": json_arrays,
    "consumer.json.escapes": json_escapes,
    "consumer.json.texts": json_texts,
    "consumer.json.senml": json_senml,
    "consumer.json.each": json_each,
    "consumer.json.plain": json_plain,
    "consumer.json.mixed": json_mixed,
    "consumer.block": blocks,
    "consumer.hostile": hostile,
    "consumer.hostile.json": hostile_json,
    "consumer.live": live,
    "consumer.floor": floor,
    "consumer.bytes": partial_bytes,
    "consumer.others": compared,
}


def _small_blocks(bad: int) -> Any:
    """The event of half a megabyte of the smallest blocks that cost most when they are bad."""
    return event_of(islice(small_blocks_of_bad_readings(bad), 250))


def _floor_of(parsed: Any) -> Callable[[], None]:
    """What decodes the records of an event and takes their MD5, and nothing else."""
    encoded = [record["kinesis"]["data"] for record in parsed["Records"]]

    def run() -> None:
        for data in encoded:
            hashlib.md5(memoryview(pybase64.b64decode(data, validate=True))[4:-16], usedforsecurity=False).digest()

    return run


def _against_baseline(name: str, parsed: Any, *, target: float, count: int = READINGS) -> Finding:
    fast, usual = medians(lambda: ours(parsed), lambda: baseline.consume(parsed))
    rates = (count / fast, count / usual)
    return Finding(name=name, ours=rates[0], baseline=rates[1], ratio=usual / fast, target=target, unit=RATE)


def _of_form(
    name: str, form: forms.Form, rows_of: baseline.RowsOf | None, *, target: float, payloads: int = READINGS
) -> Finding:
    """Payloads by contract, against the baseline with the same mapping; the rates count readings."""
    parsed = forms.form_event(form, sensors=200, payloads=payloads)
    reader = None if form.contract == forms.DEFAULT else ContractReader(load_contract(form.contract))
    fast, usual = medians(lambda: ours(parsed, reader), lambda: baseline.consume(parsed, rows_of))
    rates = (form.readings * payloads / fast, form.readings * payloads / usual)
    return Finding(name=name, ours=rates[0], baseline=rates[1], ratio=usual / fast, target=target, unit=RATE)
