"""A raw archive: the records of an object are found again, whatever stands between them, and judged by a safe rule."""

import gzip
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import archive
from processors.archive import ArchivedObject, Span, UnreadableArchive, decompress, encode_archived, split
from processors.event import Record, decode_event, join_records
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, STREAM_ARN, aggregated, encoded, reading, record
from tests.zstandard import ZstdFile
from windrow.aws.stream import RECORD_BYTES_MAX
from windrow.errors import UsageError
from windrow.lake.layout import PARTIALS
from windrow.reading import EARLINESS_MS_MAX, Readings
from windrow.rows.partial_parquet import decode_partial
from windrow.wire.block.block import encode_block
from windrow.wire.kpl import length_of_aggregate
from windrow_operations.archives import ArchiveLocation

OBJECT = ArchivedObject(location="s3://raw/kinesis-channel/x/2026/11/20/10/x-1.gz", written_ms=ARRIVAL_MS + 300_000)
JSON = encoded([reading("roof"), reading('a "quoted" {brace} \\', at_ms=1)])
ONE_BLOCK = encode_block(Readings.of([reading("cellar", at_ms=n) for n in range(50)]))
FORMS = {"json": JSON[1], "aggregate": aggregated(JSON), "block": ONE_BLOCK, "nested": aggregated([ONE_BLOCK, *JSON])}


def zstd(body: bytes) -> bytes:
    target = io.BytesIO()
    with ZstdFile(target, "w") as file:
        file.write(body)
    return target.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"NONE": lambda body: body, "GZIP": gzip.compress, "ZSTD": zstd}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n"], ids=["nothing", "newline", "two"])
def test_every_record_is_found_again(between: bytes, compression: str) -> None:
    """Of each form, beside each form, with each compression that CreateChannel knows, and with Firehose's delimiter."""
    payloads = [FORMS[first] for pair in FORMS for other in FORMS for first in (pair, other)]
    stored = COMPRESSIONS[compression](between.join(payloads) + between)
    assert [span.payload for span in split(decompress(stored))] == payloads


@given(st.lists(st.sampled_from(sorted(FORMS)), max_size=12), st.sampled_from([b"", b"\n"]))
def test_any_sequence_of_records_is_split_as_it_was_joined(names: list[str], between: bytes) -> None:
    """And each record is where its span says."""
    payloads = [FORMS[name] for name in names]
    body = between.join(payloads)
    spans = list(split(body))
    assert [span.payload for span in spans] == payloads
    assert all(body[span.offset : span.offset + len(span.payload)] == span.payload for span in spans)


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(sorted(FORMS.values()))), max_size=8))
def test_no_byte_but_white_space_is_lost(parts: list[bytes]) -> None:
    """Whatever is in an object is in one of its pieces, once, and in order."""
    body = b"".join(parts)
    spans, end = list(split(body)), 0
    for span in spans:
        assert body[end : span.offset].strip(b" \t\r\n") == b""
        end = span.offset + len(span.payload)
    assert body[end:].strip(b" \t\r\n") == b""


@pytest.mark.parametrize("broken", [b"not json", b'{"sensor_id": "roof"', b"\xff\xfe\x00"])
def test_what_is_no_record_costs_its_line(broken: bytes) -> None:
    """With a delimiter, its neighbours are found, and itself goes to quarantine as it is."""
    spans = list(split(b"\n".join([JSON[0], broken, JSON[1]])))
    assert [span.payload for span in spans if span.is_whole][:1] == [JSON[0]]
    assert Span(len(JSON[0]) + 1, broken, is_whole=False) in spans
    assert spans[-1].payload == JSON[1]


def test_a_damaged_aggregate_ends_where_the_next_begins() -> None:
    """Its MD5 does not fit, so its end is unknown; the one behind it is found."""
    whole = FORMS["aggregate"]
    damaged = whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]
    spans = list(split(damaged + whole))
    assert [span.payload for span in spans] == [damaged, whole]
    assert [span.is_whole for span in spans] == [False, True]


def test_every_cut_of_an_aggregate_is_noticed() -> None:
    """Only the whole one has an end."""
    whole = FORMS["aggregate"]
    assert length_of_aggregate(whole + b"more", 0) == len(whole)
    assert all(length_of_aggregate(whole[:end], 0) is None for end in range(len(whole)))


def test_a_long_piece_is_cut_to_what_a_record_can_be() -> None:
    """No piece is larger than the largest record, so each fits into an event."""
    spans = list(split(b"x" * (2 * RECORD_BYTES_MAX + 5)))
    assert [len(span.payload) for span in spans] == [RECORD_BYTES_MAX, RECORD_BYTES_MAX, 5]


@pytest.mark.parametrize(
    "stored", [gzip.compress(b"x" * 100, mtime=0)[:-9], zstd(b"x" * 100)[:-3], b"\x1f\x8bnot gzip"]
)
def test_a_broken_object_is_refused_whole(stored: bytes) -> None:
    """Half of it could be replayed, but nobody would notice the other half."""
    with pytest.raises(UnreadableArchive):
        decompress(stored)


def test_an_object_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small object can hold any number of bytes."""
    monkeypatch.setattr(archive, "OBJECT_BYTES_MAX", 1_000)
    assert decompress(gzip.compress(b"x" * 1_000)) == b"x" * 1_000
    with pytest.raises(UnreadableArchive, match="larger than 1,000 bytes"):
        decompress(gzip.compress(b"x" * 1_001))


def events(body: bytes, archived: ArchivedObject = OBJECT) -> list[Record]:
    """What the consumer is handed for an object."""
    joined = join_records(encode_archived(archived, span, stream_arn=STREAM_ARN).encoded for span in split(body))
    return [one for one in decode_event(json.loads(joined)) if isinstance(one, Record)]


def test_the_same_object_gives_the_same_records_and_others_give_others() -> None:
    """Numbers ascend within an object and from object to object, so a second replay writes under the same keys."""
    body = b"\n".join(FORMS.values())
    later = ArchivedObject(location="s3://raw/other", written_ms=OBJECT.written_ms + 1)
    assert events(body) == events(body)
    numbers = [int(one.sequence_number) for one in [*events(body), *events(body, later)]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 2 * len(FORMS)


def counted(records: list[Record]) -> set[object]:
    """The readings that count."""
    lake = SimulatedStore(S3State().apply, "lake")
    consume(records, store=lake, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)
    stored = [lake.get(listed.key) for listed in lake.list_objects(PARTIALS)]
    return {one for found in stored if found is not None for one in decode_partial(found.body)[0].readings}


def test_an_archive_counts_what_the_stream_counted() -> None:
    """Of readings that were neither nearly too late nor too early, whatever carried them."""
    payloads = list(FORMS.values())
    assert counted(events(b"".join(payloads))) == counted([record(one) for one in payloads]) != set()


@pytest.mark.parametrize(
    ("at_ms", "counts_in_stream", "counts_in_archive"),
    [
        (-LATENESS_HORIZON_MS + 60_000 - 1, False, False),  # too late
        (-LATENESS_HORIZON_MS + 60_000, True, False),  # late by just the horizon: the archive arrived later
        (-LATENESS_HORIZON_MS + 360_000, True, True),
        (60_000 + EARLINESS_MS_MAX, True, True),
        (60_000 + EARLINESS_MS_MAX + 1, False, True),  # too early, by less than the object waited
        (360_000 + EARLINESS_MS_MAX + 1, False, False),
    ],
)
def test_records_arrive_when_their_object_was_written(
    at_ms: int, counts_in_stream: bool, counts_in_archive: bool
) -> None:
    """So nothing counts that was too late; the two edges move by what the service waited before it wrote."""
    (payload,) = encoded([reading(at_ms=at_ms)])
    assert (counted([record(payload)]) != set()) is counts_in_stream
    assert (counted(events(payload)) != set()) is counts_in_archive


def test_a_location_is_a_bucket_and_a_prefix() -> None:
    """The prefix may be empty; what is no URL of S3 is refused."""
    assert ArchiveLocation.parse("s3://raw/kinesis-channel/") == ArchiveLocation("raw", "kinesis-channel/")
    assert ArchiveLocation.parse("s3://raw") == ArchiveLocation("raw", "")
    for url in ("raw/x", "https://raw/x", "s3://"):
        with pytest.raises(UsageError, match="is not an archive"):
            ArchiveLocation.parse(url)
