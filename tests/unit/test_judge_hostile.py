"""Records of bad payloads: how much is done for a megabyte of them, counted in work and not in time."""

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

import windrow.wire.json.strict
from processors.judge import PAYLOAD_ROW_BYTES, PAYLOAD_ROWS_ALWAYS, Judgement, payload_rows_max
from processors.judge_blocks import judge_all
from tests.horizon import LATENESS_HORIZON_MS
from tests.limits.hostile import BAD_PAYLOADS, spoiled_records
from tests.unit.stream_records import aggregated, encoded, reading, record
from windrow.reading import Reason
from windrow.wire.json.fast import EXAMPLES_MAX
from windrow.wire.json.strict import parse_reading

RECORD_BYTES = 50_000


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts how often the strict reader is asked."""
    counts: Counter[str] = Counter()

    def counted(payload: bytes) -> object:
        counts["strict"] += 1
        return parse_reading(payload)

    monkeypatch.setattr(windrow.wire.json.strict, "parse_reading", counted)
    return counts


def judged(*bodies: bytes) -> Judgement:
    return judge_all(
        [record(body, number=number) for number, body in enumerate(bodies, start=1)], horizon_ms=LATENESS_HORIZON_MS
    )


@pytest.mark.parametrize("shape", BAD_PAYLOADS)
def test_a_megabyte_of_bad_payloads_costs_a_row_and_a_strict_read_for_each_record(
    shape: str, work: Counter[str]
) -> None:
    """A row and a reason for each record, whatever the payloads are, and however many there are."""
    bodies = spoiled_records(shape, total_bytes=200_000, record_bytes=RECORD_BYTES)
    found = judged(*bodies)
    assert [one.reason for one in found.rejected] == [Reason.RECORD_PAYLOADS] * len(bodies)
    assert [one.payload for one in found.rejected] == bodies
    assert work["strict"] <= len(bodies) + EXAMPLES_MAX


@pytest.mark.parametrize("bad", [PAYLOAD_ROWS_ALWAYS, PAYLOAD_ROWS_ALWAYS + 1])
def test_of_many_bad_payloads_the_record_is_kept_instead(bad: int) -> None:
    """The readings in it count all the same; which one was bad first is told, late ones included."""
    late = encoded([reading("late", at_ms=-2 * LATENESS_HORIZON_MS)])
    body = aggregated([*encoded([reading("a")]), *late, *[b"{"] * (bad - 1), *encoded([reading("b")])])
    found = judged(body)
    assert [one.sensor_id for one in found.readings] == ["a", "b"]
    if bad == PAYLOAD_ROWS_ALWAYS:
        assert [one.index for one in found.rejected] == [2, 3, 4, 1]
    else:
        (row,) = found.rejected
        assert (row.reason, row.index, row.payload) == (Reason.RECORD_PAYLOADS, 0, body)
        assert row.is_whole_record  # so a redrive delivers the bytes as they are
        assert row.detail.startswith(f"{bad} of {bad + 2} payloads do not count, the first: too_late: ")


def test_a_spoiled_record_takes_no_neighbour_along() -> None:
    """Neither its readings nor its reasons: the others are told one by one."""
    spoiled, sound = aggregated([b"{"] * 40), aggregated([b"[]", *encoded([reading("a")])])
    found = judged(sound, spoiled, sound)
    assert len(found.readings) == 2
    assert [(one.sequence_number, one.reason) for one in found.rejected] == [
        ("1", Reason.NOT_AN_OBJECT),
        ("2", Reason.RECORD_PAYLOADS),
        ("3", Reason.NOT_AN_OBJECT),
    ]


def test_a_record_comes_to_the_same_in_whatever_batch() -> None:
    """Its bytes alone decide; so a replay that cuts elsewhere writes no second kind of row."""
    odd = json.dumps({"sensor_id": "é", "event_time": reading().event_time_ms, "temperature": 1}).encode()
    bodies = [
        aggregated([*[b"null"] * count, odd, *encoded(reading(at_ms=t) for t in range(count))]) for count in range(9)
    ]
    together = judged(*bodies)
    alone = [
        one
        for number, body in enumerate(bodies, start=1)
        for one in judge_all([record(body, number=number)], horizon_ms=LATENESS_HORIZON_MS).rejected
    ]
    assert sorted(together.rejected, key=lambda one: one.identity) == sorted(alone, key=lambda one: one.identity)


def test_a_longer_record_may_have_more_rows() -> None:
    """In step with its bytes."""
    most = payload_rows_max(np.array([0, PAYLOAD_ROW_BYTES * PAYLOAD_ROWS_ALWAYS, PAYLOAD_ROW_BYTES * 100]))
    assert most.tolist() == [PAYLOAD_ROWS_ALWAYS, PAYLOAD_ROWS_ALWAYS, 100]
