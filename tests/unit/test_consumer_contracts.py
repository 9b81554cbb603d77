"""The consumer under a payload contract: what it reads, what it quarantines, and that neither depends on neighbours."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.consumer import WrittenPlan, plan, slices
from processors.event import Record
from processors.judge_blocks import judge_all, readings_max
from processors.record_columns import records_of
from tests.consuming import consume, encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, WINDOW, aggregated, encoded, reading, record
from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.lake.by_digest import digest_of
from windrow.lake.layout import PARTIALS, QUARANTINE, contract_key
from windrow.payloads.load import load_contract, stored_form
from windrow.payloads.reader import ContractReader
from windrow.payloads.stored import contract_of, store_contract
from windrow.quantities import TEMPERATURE, Quantity
from windrow.reading import READINGS_PER_RECORD_MAX, Readings, Reason
from windrow.rows.partial_parquet import decode_partial
from windrow.wire.block.block import encode_block
from windrow.wire.json.strict import ParsedReadings

CASES = Path(__file__).parent.parent / "golden" / "payloads"
FLAT = """
[[payload]]
sensor_id = "id"
sequence = "n"
time = { path = "at", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "F"
missing = [-127]
max = 60
"""
SAMPLES = """
[[payload]]
each = "samples"
sensor_id = "$.id"
time = { path = "at", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "C"
"""
ARRIVAL = FLAT.replace('{ path = "at", form = "epoch_ms" }', '{ form = "arrival" }')
AT = WINDOW.start_ms


class Lake:
    """A simulated lake bucket that one contract fills."""

    def __init__(self, text: str = FLAT) -> None:
        self.state = S3State()
        self.reader = ContractReader(load_contract(text))
        self.store = SimulatedStore(self.state.apply, "lake")

    def consume(self, *records: Record) -> WrittenPlan:
        return consume(records, store=self.store, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS, reader=self.reader)

    def bodies(self, root: str) -> list[bytes]:
        return [one.body for key, one in sorted(self.state.buckets.get("lake", {}).items()) if key.startswith(root)]

    def readings(self) -> list[tuple[str, int, int, int]]:
        """The union of all partials: sensor, milliseconds after the window's start, sequence, thousandths."""
        return sorted(
            {
                (one.sensor_id, one.event_time_ms - AT, one.sequence, one.value_milli)
                for body in self.bodies(PARTIALS)
                for one in decode_partial(body)[0].readings
            }
        )

    def quarantine(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.bodies(QUARANTINE) for line in gzip.decompress(body).splitlines()]

    def reasons(self) -> list[tuple[str, int, str]]:
        return [(row["sequence_number"], row["index"], row["reason"]) for row in self.quarantine()]


def flat(**fields: object) -> bytes:
    return json.dumps({"id": "roof", "at": AT, "t": 70.5} | fields).encode()


def test_payloads_of_a_contract_become_partials_plain_and_aggregated() -> None:
    """Renamed fields, Fahrenheit, ids that are numbers; a payload of the default form lacks what it says."""
    lake = Lake()
    lake.consume(
        record(flat(), number=1),
        record(aggregated([flat(id=7, n=3), flat(at=AT + 5), *encoded([reading()])]), number=2),
    )
    assert lake.readings() == [("7", 0, 3, 21_389), ("roof", 0, 0, 21_389), ("roof", 5, 0, 21_389)]
    assert lake.reasons() == [("2", 2, "missing_field")]


def test_several_quantities_of_a_payload_are_several_series() -> None:
    """Each in its unit; of two readings at one instant neither is a repetition of the other."""
    text = FLAT + '[payload.quantity.pressure]\npath = "p"\nunit = "Pa"\nto = "hPa"\n'
    lake = Lake(text)
    consumed = lake.consume(record(flat(p=100_325), number=1), record(flat(t=None, p="99,9"), number=2))
    (body,) = lake.bodies(PARTIALS)
    assert {(one.sensor_id, one.quantity, one.value_milli) for one in decode_partial(body)[0].readings} == {
        ("roof", TEMPERATURE, 21_389),
        ("roof", Quantity("pressure", "hPa"), 1_003_250),
    }
    assert (consumed.plan.readings, consumed.plan.duplicates) == (2, 0)
    assert lake.reasons() == [("2", 0, "value")]


def test_bad_payloads_go_to_quarantine_and_neighbours_count() -> None:
    """Each with its reason and its place; the device's word for a missing value, and a bound, apart."""
    lake = Lake()
    bad = [flat(t=-127), flat(t=200), b"{", flat(id=None), flat(at=AT - LATENESS_HORIZON_MS * 2)]
    lake.consume(record(aggregated([flat(), *bad[:4]])), record(aggregated([bad[4], flat(id="cellar")]), number=2))
    assert [one[0] for one in lake.readings()] == ["cellar", "roof"]
    assert [reason for _, _, reason in lake.reasons()] == [
        "missing_value", "value_range", "not_json", "missing_field", "too_late",
    ]  # fmt: skip
    assert [index for _, index, _ in lake.reasons()] == [1, 2, 3, 4, 0]


def test_of_many_bad_payloads_the_record_is_kept_instead() -> None:
    """Under a contract as without one: what is bad in a payload counts once, and the good ones count."""
    lake = Lake()
    body = aggregated([flat(), *[flat(t=-127)] * 5, flat(id="cellar")])
    lake.consume(record(body))
    assert [one[0] for one in lake.readings()] == ["cellar", "roof"]
    assert lake.reasons() == [("1", 0, "record_payloads")]


def test_what_is_bad_in_one_payload_is_one_row_that_names_it_all() -> None:
    """A row has one identity: parts of a payload that are no readings, or late, share it, and the others count."""
    lake = Lake(SAMPLES)
    times = [AT, "x", AT + 1, "y", *["z"] * 5, AT - 2 * LATENESS_HORIZON_MS]
    payload = json.dumps({"id": "roof", "samples": [{"at": time, "t": 20} for time in times]}).encode()
    lake.consume(record(payload))
    assert [one[1] for one in lake.readings()] == [0, 1]
    (row,) = lake.quarantine()
    assert row["reason"] == "event_time"
    for part in ("samples[1]", "samples[3]", "and 2 more", "too_late"):
        assert part in row["detail"]


def test_a_time_of_arrival_is_that_of_the_record() -> None:
    """Whenever it is processed, and again: the same reading, so a replay writes nothing new."""
    lake = Lake(ARRIVAL)
    records = [record(flat(), number=1, arrival_ms=AT + 7), record(flat(), number=2, arrival_ms=AT + 9)]
    lake.consume(*records)
    assert [one[1] for one in lake.readings()] == [7, 9]
    assert lake.consume(*records).objects_new == 0


def test_a_reading_of_a_block_that_is_delivered_again_is_of_the_default_form() -> None:
    """A block is read as ever, and the JSON that its bad reading is quarantined as is not the contract's to judge."""
    lake = Lake()
    late = reading(at_ms=-2 * LATENESS_HORIZON_MS)
    lake.consume(record(encode_block(Readings.of([reading("hall"), late]))))
    assert [one[0] for one in lake.readings()] == ["hall"]
    (row,) = lake.quarantine()
    assert (row["reason"], row["block_row"]) == ("too_late", 1)
    again = replace(record(encoded([reading("cellar")])[0]), block_row=1)
    lake.consume(again, record(flat(), number=2))
    assert [one[0] for one in lake.readings()] == ["cellar", "hall", "roof"]


def test_a_block_and_payloads_of_the_contract_share_a_record() -> None:
    """Each is read in its own way, and a bad payload keeps its place."""
    lake = Lake()
    lake.consume(record(aggregated([flat(), encode_block(Readings.of([reading("hall")])), b"{", flat(id="cellar")])))
    assert [one[0] for one in lake.readings()] == ["cellar", "hall", "roof"]
    assert lake.reasons() == [("1", 2, "not_json")]


BARE = SAMPLES.replace('path = "t"', 'path = "@"').replace('{ path = "at", form = "epoch_ms" }', '{ form = "arrival" }')


class ManyReader:
    """Reads every payload as the number of readings that it is."""

    def read(self, payloads: Payloads, arrived_ms: Int64s) -> ParsedReadings:
        counts = np.array([int(payload) for payload in payloads])
        source = np.repeat(np.arange(len(payloads)), counts)
        ids = Strings.of([f"of {count}" for count in counts.tolist()])
        zeros = np.zeros(len(source), np.int64)
        readings = Readings(ids, source.astype(np.int32), arrived_ms[source], zeros, zeros.astype(np.int32))
        return ParsedReadings(readings, source, ())

    def readings_max(self, record: bytes, *, payloads_max: int) -> int:
        return int(record) * payloads_max


def test_an_event_as_columns_is_read_as_its_records_are() -> None:
    """As Lambda hands it over: plain records, an aggregate, a block and bad ones come to the same objects."""
    records = [record(flat(n=number), number=number, arrival_ms=ARRIVAL_MS + number) for number in range(40)]
    records.append(record(aggregated([flat(), b"{", flat(t=-127)]), number=40))
    records.append(record(encode_block(Readings.of([reading("hall")])), number=41))
    for text in (FLAT, ARRIVAL):
        one_by_one, columns = Lake(text), Lake(text)
        one_by_one.consume(*records)
        event = records_of(json.loads(encode_event(records)))
        consume(
            event,
            store=columns.store,
            now_ms=ARRIVAL_MS,
            horizon_ms=LATENESS_HORIZON_MS,
            reader=columns.reader,
        )
        assert len(one_by_one.readings()) == 41  # one comes twice
        assert columns.state.fingerprint() == one_by_one.state.fingerprint()


def test_a_record_of_too_many_readings_goes_to_quarantine_whole() -> None:
    """Though each of its payloads holds fewer; a neighbour with exactly as many as a record may have counts."""
    half, most = str(READINGS_PER_RECORD_MAX // 2).encode(), str(READINGS_PER_RECORD_MAX).encode()
    records = [record(aggregated([half, half, b"1"]), number=7), record(most, number=8), record(b"2", number=9)]
    judged = judge_all(records, horizon_ms=0, reader=ManyReader())
    assert Counter(one.sensor_id for one in judged.readings) == {f"of {most.decode()}": int(most), "of 2": 2}
    assert [(one.sequence_number, one.reason, one.payload) for one in judged.rejected] == [
        ("7", Reason.TOO_MANY_READINGS, records[0].payload)
    ]


@pytest.mark.parametrize(
    ("text", "payload", "readings"),
    [
        (FLAT, flat(), 1),
        (SAMPLES, b'{"id":"a","samples":[{"t":1,"at":1},{"t":1,"at":2}]}', 2),
        (BARE, b'{"id":"a","samples":[1,2,3]}', 3),
        ('use = "telegraf"', (CASES / "telegraf_payload.jsonl").read_bytes(), 24),
        ('use = "senml"', b'[{"bn":"a","u":"Cel","v":1},{"u":"%RH","v":2}]', 2),
        ('framing = "concatenated"\n' + FLAT, flat() * 3, 3),
        ('framing = "array"\n' + FLAT, b"[%b,%b]" % (flat(), flat()), 2),
    ],
)
def test_the_bound_of_a_record_is_one(text: str, payload: bytes, readings: int) -> None:
    """At least the readings that it holds, plain or aggregated, and not without measure more."""
    reader = ContractReader(load_contract(text))
    for copies, body in ((1, payload), (4, aggregated([payload] * 4))):
        assert copies * readings <= readings_max(body, reader) <= 12 * copies * readings


def test_a_batch_is_cut_by_what_its_contract_may_find() -> None:
    """Without the contract the two records would be one slice."""
    payload = b'{"id":"a","samples":[%b]}' % b",".join([b'{"at":%d,"t":1}' % AT] * 4)
    records = [record(payload, number=1), record(payload, number=2)]
    reader = ContractReader(load_contract(SAMPLES))
    assert [len(cut) for cut in slices(records, readings_max_per_slice=8)] == [2]
    assert [len(cut) for cut in slices(records, readings_max_per_slice=8, reader=reader)] == [1, 1]
    (cut,) = slices(records, reader=reader)
    assert plan(cut, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS, reader=reader).readings == 8


def test_another_contract_makes_one_more_partial_and_union_absorbs_it() -> None:
    """The same records read again: what both contracts find is there once, what only the new one finds joins it."""
    lake = Lake()
    payloads = [flat(), flat(id=None, mac="cellar")]
    records = [record(payload, number=number) for number, payload in enumerate(payloads)]
    lake.consume(*records)
    lake.reader = ContractReader(load_contract(FLAT.replace('"id"', '"id || mac"')))
    assert lake.consume(*records).objects_new == 1
    assert [one[0] for one in lake.readings()] == ["cellar", "roof"]
    assert len(lake.bodies(PARTIALS)) == 2


def test_a_stored_contract_is_found_by_its_digest() -> None:
    """Written once; what is not there, or not what its name says, is named, with what to do."""
    lake = Lake().store
    stored = stored_form(FLAT)
    digest = store_contract(lake, stored)
    assert digest == store_contract(lake, stored) == digest_of(stored)
    assert [kind.name for kind in contract_of(lake, digest).kinds] == ["payload 0"]
    with pytest.raises(WindrowError, match="not in the lake bucket"):
        contract_of(lake, "0" * 64)
    lake.put(contract_key("1" * 64), stored)
    with pytest.raises(WindrowError, match="does not hold what its name says"):
        contract_of(lake, "1" * 64)
