"""The consumer's laws under a payload contract: cuts, repetition and neighbours decide nothing."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.event import Record
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.property.strategies import FIRST_WINDOW_MS
from tests.property.test_consumer import ARRIVAL_MS, Lake, aggregate_sizes, as_record, as_records, cuts, junk
from tests.simulation.simulated_s3 import SimulatedStore
from windrow.lake.layout import PARTIALS, QUARANTINE
from windrow.payloads.load import load_contract
from windrow.payloads.reader import ContractReader
from windrow.window import WINDOW_MS

READER = ContractReader(
    load_contract("""
framing = "lines"
[[payload]]
when = [{ path = "samples" }]
each = "samples"
sensor_id = "$.id"
time = { path = "at", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "C"
missing = [-127]
[payload.quantity.humidity]
path = "h"
unit = "%"
[[payload]]
sensor_id = "id"
time = { form = "arrival" }
[payload.quantity.temperature]
path = "t"
unit = "C"
""")
)


class ContractLake(Lake):
    """A lake that one contract fills."""

    def consume(self, records: Sequence[Record], *, now_ms: int = ARRIVAL_MS) -> int:
        store = SimulatedStore(self.state.apply, "lake")
        done = consume(records, store=store, now_ms=now_ms, horizon_ms=LATENESS_HORIZON_MS, reader=READER)
        return done.objects_new

    def rejected(self) -> set[tuple[str, int, str, str]]:
        return {
            (one["sequence_number"], one["index"], one["reason"], one["payload_base64"]) for one in self.quarantine()
        }


samples = st.fixed_dictionaries(
    {
        "at": st.sampled_from([FIRST_WINDOW_MS, FIRST_WINDOW_MS + WINDOW_MS, 5, "x"]),
        "t": st.sampled_from([1, 2.5, -127, "x"]),
    },
    optional={"h": st.sampled_from([50, 1e9])},
)
messages = st.one_of(
    st.fixed_dictionaries({"id": st.sampled_from(["a", "b", ""]), "samples": st.lists(samples, max_size=4)}),
    st.fixed_dictionaries({"id": st.sampled_from(["a", "b"]), "t": st.sampled_from([1, "x", 3.25])}),
).map(lambda message: json.dumps(message).encode())
payload_lists = st.lists(st.one_of(st.lists(messages, max_size=3).map(b"\n".join), junk), max_size=12)


@pytest.mark.slow
@given(payload_lists, aggregate_sizes, cuts)
def test_any_cut_and_any_repetition_give_the_same_readings_and_rows(
    payloads: list[bytes], sizes: list[int], at: list[int]
) -> None:
    """Whole, cut anywhere, or both: the same set of readings and of quarantined payloads; a replay writes nothing."""
    records = as_records(payloads, sizes)
    whole, cut = ContractLake(), ContractLake()
    whole.consume(records)
    bounds = [0, *sorted(min(place, len(records)) for place in at), len(records)]
    for first, end in pairwise(bounds):
        cut.consume(records[first:end])
    assert cut.readings() == whole.readings()
    assert cut.rejected() == whole.rejected()
    cut.consume(records)
    assert (cut.readings(), cut.rejected()) == (whole.readings(), whole.rejected())
    before = {**whole.objects(PARTIALS), **whole.objects(QUARANTINE)}
    assert whole.consume(records) == 0
    assert {**whole.objects(PARTIALS), **whole.objects(QUARANTINE)} == before


@pytest.mark.slow
@given(payload_lists)
def test_a_batch_is_what_its_payloads_are_one_by_one(payloads: list[bytes]) -> None:
    """No payload affects another one."""
    together, alone = ContractLake(), ContractLake()
    records = [as_record(payload, number) for number, payload in enumerate(payloads)]
    together.consume(records)
    for one in records:
        alone.consume([one])
    assert together.readings() == alone.readings()
    assert together.rejected() == alone.rejected()
