"""The quarantine as it is stored, searched and shown."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, SHARD, WINDOW
from windrow.errors import UsageError, WindrowError
from windrow.lake.layout import Origin, QuarantineKey
from windrow.lake.quarantine import (
    COLUMNS,
    QuarantinedPayload,
    UnreadableQuarantine,
    decode_quarantine,
    encode_quarantine,
)
from windrow.lake.quarantine_search import QuarantineSearch, keys, payloads
from windrow.reading import Reason
from windrow.window import WINDOW_MS
from windrow_cli import quarantine as command
from windrow_cli.search import search_of

DAY_MS = 86_400_000
EVERYTHING = QuarantineSearch(start_ms=0, end_ms=ARRIVAL_MS + 365 * DAY_MS)


def bad(number: int = 1, **fields: object) -> QuarantinedPayload:
    one: dict[str, object] = {
        "reason": Reason.NOT_JSON,
        "detail": "no",
        "stream": "windrow-test",
        "shard": SHARD,
        "sequence_number": str(number),
        "index": 0,
        "arrival_ms": ARRIVAL_MS,
        "payload": b"bad",
    }
    return QuarantinedPayload(**{**one, **fields})  # type: ignore[arg-type]


def packed(lines: bytes) -> bytes:
    """Gzip without the time in it."""
    return gzip.compress(lines, mtime=0)


# ---- stored --------------------------------------------------------------------------------------------------------

quarantined = st.builds(
    QuarantinedPayload,
    reason=st.sampled_from(Reason),
    detail=st.text(max_size=20),
    stream=st.just("windrow-test"),
    shard=st.just(SHARD),
    sequence_number=st.integers(0, 10**128).map(str),
    index=st.integers(0, 2**31 - 1),
    block_row=st.none() | st.integers(0, 2**31 - 1),
    arrival_ms=st.none() | st.integers(0, 253_402_300_799_999),
    payload=st.binary(max_size=60),
)


@given(st.lists(quarantined, max_size=10))
def test_what_is_stored_is_what_was_quarantined(sent: list[QuarantinedPayload]) -> None:
    """Every field of every payload, in stream order within a window of arrival."""
    files = encode_quarantine(sent, arrival_ms_default=ARRIVAL_MS)

    found = [one for file in files for one in decode_quarantine(file.body)]
    assert sorted(map(repr, found)) == sorted(map(repr, sent))
    assert sum(file.count for file in files) == len(sent)
    for file in files:
        of_file = list(decode_quarantine(file.body))
        assert {one.arrival_ms is None or file.arrival_window.start_ms <= one.arrival_ms for one in of_file} == {True}
        assert [int(one.sequence_number) for one in of_file] == sorted(int(one.sequence_number) for one in of_file)


@given(st.lists(quarantined, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_a_batch_does_not_reach_the_bytes(sent: list[QuarantinedPayload], random: object) -> None:
    """Distinct payloads in any order give the same objects."""
    distinct = list({one.identity: one for one in sent}.values())
    shuffled = distinct[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert encode_quarantine(shuffled, arrival_ms_default=0) == encode_quarantine(distinct, arrival_ms_default=0)


def test_a_line_has_the_columns_of_the_table() -> None:
    """In their order; the place in a block is left out where there is none."""
    (file,) = encode_quarantine([bad(1, block_row=5), bad(2)], arrival_ms_default=0)

    with_row, without = (list(json.loads(line)) for line in gzip.decompress(file.body).splitlines())
    assert with_row == [name for name, _ in COLUMNS]
    assert without == [name for name, _ in COLUMNS if name != "block_row"]
    assert {"stream", "shard", "sequence_number", "index", "block_row"} <= set(with_row)


@pytest.mark.parametrize("detail", ["plain", 'a "quote" and a \\', "é 日 😀 \ud800 \x00 \x7f </"])
@pytest.mark.parametrize("block_row", [None, 0, 7])
@pytest.mark.parametrize("arrival_ms", [None, 0, ARRIVAL_MS])
def test_a_line_is_what_json_makes_of_it(detail: str, block_row: int | None, arrival_ms: int | None) -> None:
    """It is put together by hand."""
    one = replace(bad(1), detail=detail, block_row=block_row, arrival_ms=arrival_ms, payload=b"\xff\xfe?>")
    (file,) = encode_quarantine([one], arrival_ms_default=0)

    (line,) = gzip.decompress(file.body).splitlines()
    assert line == json.dumps(json.loads(line), separators=(",", ":")).encode()
    assert list(decode_quarantine(file.body)) == [one]


@pytest.mark.parametrize(
    "body",
    [b"", b"no gzip", packed(b"no json\n"), packed(b"{}\n"), packed(b"[]\n"), b"\x1f\x8b\x08"],
    ids=["empty", "no gzip", "no JSON", "no columns", "no object", "cut short"],
)
def test_other_bytes_are_refused(body: bytes) -> None:
    """With one kind of error, and never half read in silence; nothing at all holds nothing."""
    if body == b"":
        assert list(decode_quarantine(body)) == []
    else:
        with pytest.raises(UnreadableQuarantine):
            list(decode_quarantine(body))


# ---- searched ------------------------------------------------------------------------------------------------------


def lake_of(*batches: Sequence[QuarantinedPayload]) -> SimulatedStore:
    """A lake with the quarantine of each batch."""
    lake = SimulatedStore(S3State().apply, "lake")
    for batch in batches:
        for file in encode_quarantine(batch, arrival_ms_default=ARRIVAL_MS):
            numbers = [int(one.sequence_number) for one in batch]
            origin = Origin(stream="windrow-test", shard=batch[0].shard, first=min(numbers), last=max(numbers))
            key = QuarantineKey(window=file.arrival_window, origin=origin, count=file.count, digest=file.digest)
            lake.put(str(key), file.body)
    return lake


def numbers(lake: SimulatedStore, **search: object) -> list[str]:
    fields: dict[str, object] = {"start_ms": 0, "end_ms": EVERYTHING.end_ms, **search}
    return [one.sequence_number for one in payloads(lake, QuarantineSearch(**fields))]  # type: ignore[arg-type]


def test_a_payload_that_redelivery_repeated_counts_once() -> None:
    """By stream, shard, sequence number, index and row; not by its bytes."""
    rows = [bad(1), bad(1, index=1), bad(1, index=1, block_row=0), bad(2)]
    lake = lake_of(rows, rows[:3], rows[1:], [bad(2, shard="shardId-000000000001")])

    assert len(list(payloads(lake, EVERYTHING))) == 5


def test_payloads_are_found_by_arrival_reason_and_shard() -> None:
    """Arrival is half-open, to the millisecond, across windows and days."""
    lake = lake_of(
        [bad(1), bad(2, arrival_ms=ARRIVAL_MS + 1), bad(3, arrival_ms=ARRIVAL_MS + WINDOW_MS)],
        [bad(4, arrival_ms=ARRIVAL_MS + 2 * DAY_MS, reason=Reason.TOO_LATE)],
        [bad(5, shard="shardId-000000000001")],
    )

    assert sorted(numbers(lake)) == ["1", "2", "3", "4", "5"]
    assert numbers(lake, start_ms=ARRIVAL_MS + 1, end_ms=ARRIVAL_MS + WINDOW_MS) == ["2"]
    assert numbers(lake, start_ms=ARRIVAL_MS + WINDOW_MS) == ["3", "4"]
    assert numbers(lake, start_ms=ARRIVAL_MS + DAY_MS, end_ms=ARRIVAL_MS + 2 * DAY_MS + 1) == ["4"]
    assert numbers(lake, reasons=frozenset({Reason.TOO_LATE})) == ["4"]
    assert numbers(lake, shard="shardId-000000000001") == ["5"]


def test_a_payload_of_unknown_arrival_is_where_its_batch_arrived() -> None:
    """It is found by the window of its object."""
    lake = lake_of([bad(1, arrival_ms=None)])

    assert numbers(lake, start_ms=WINDOW.start_ms, end_ms=WINDOW.start_ms + 1) == ["1"]
    assert numbers(lake, start_ms=WINDOW.end_ms) == []


def test_an_object_that_is_none_of_ours_is_named() -> None:
    """Nothing is skipped in silence."""
    lake = lake_of([bad()])
    lake.put("quarantine/dt=2026-11-20/hour=10/1005/notes.txt", b"")
    with pytest.raises(WindrowError, match=r"notes\.txt"):
        list(keys(lake, EVERYTHING))


def test_an_object_that_cannot_be_read_is_named() -> None:
    """With what to think of."""
    lake = lake_of([bad()])
    (key,) = keys(lake, EVERYTHING)
    lake.put(str(key), b"\x1f\x8b\x08")
    with pytest.raises(WindrowError, match=str(key)):
        list(payloads(lake, EVERYTHING))


# ---- shown ---------------------------------------------------------------------------------------------------------


def test_tallies_are_by_reason_and_shard_the_largest_first() -> None:
    """With the first and the last arrival."""
    found = command.tallies(
        [
            bad(1, reason=Reason.TOO_LATE),
            bad(2, arrival_ms=ARRIVAL_MS + 5),
            bad(3),
            bad(4, arrival_ms=None, shard="unknown"),
        ]
    )

    assert [tuple(tally.row().values()) for tally in found] == [
        ("not_json", "windrow-test", SHARD, 2, "2026-11-20T10:06:00.000Z", "2026-11-20T10:06:00.005Z"),
        ("not_json", "windrow-test", "unknown", 1, None, None),
        ("too_late", "windrow-test", SHARD, 1, "2026-11-20T10:06:00.000Z", "2026-11-20T10:06:00.000Z"),
    ]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ('{"sensor_id": "é"}'.encode(), '{"sensor_id": "é"}'),
        (b"\x1b[31mred\x1b[0m\r\n", r"\x1b[31mred\x1b[0m\r\n"),
        ("\u202eabc".encode(), r"\u202eabc"),
        (b"\xf3\x89\x9a\xc2\n'", r"\xf3\x89\x9a\xc2\n'"),
        (b"", ""),
    ],
)
def test_a_payload_cannot_do_anything_to_a_terminal(payload: bytes, shown: str) -> None:
    """Control characters, escapes and marks of direction are spelled out."""
    text = command.described(bad(7, payload=payload, detail="\x1b[2J", index=3, block_row=4))

    lines = text.split("\n")
    assert lines[0] == f"windrow-test {SHARD} 7, index 3, row 4 of its block, arrived 2026-11-20T10:06:00.000Z"
    assert lines[1] == r"  not_json: \x1b[2J"
    assert lines[2:] == [f"  {shown}"]


def test_a_long_payload_is_cut_and_says_so() -> None:
    """JSON and CSV have it whole."""
    assert command.described(bad(payload=b"x" * 1_000)).endswith("xxx ... (1,000 bytes in all)")
    assert command._row(bad(payload=b"x" * 1_000))["payload_bytes"] == 1_000


def test_rows_are_printed_as_table_csv_and_json() -> None:
    """The same rows in each."""
    rows = [tally.row() for tally in command.tallies([bad(1), bad(2, arrival_ms=None, shard="a,b")])]

    assert json.loads(command._as_json(rows, command._TALLY_COLUMNS)) == rows
    read = list(csv.DictReader(io.StringIO(command._as_csv(rows, command._TALLY_COLUMNS))))
    assert read == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    header, *lines = command._as_table(rows, command._TALLY_COLUMNS).split("\n")
    assert header.split() == list(command._TALLY_COLUMNS)
    assert len(lines) == 2
    assert command._as_json([], command._TALLY_COLUMNS) == "[]"


def test_the_options_of_a_search() -> None:
    """Without any, all that is kept; times as everywhere; a reason that does not exist is a mistake."""
    assert search_of(None, None, [], None, now_ms=ARRIVAL_MS).start_ms == 0
    search = search_of("-1h", "2026-11-20T10:05:00Z", ["too_late", "not_json"], SHARD, now_ms=ARRIVAL_MS)
    assert (search.start_ms, search.end_ms) == (ARRIVAL_MS - 3_600_000, WINDOW.start_ms)
    assert search.reasons == {Reason.TOO_LATE, Reason.NOT_JSON}
    with pytest.raises(UsageError, match="late"):
        search_of(None, None, ["late"], None, now_ms=ARRIVAL_MS)
