"""What uploaded objects hold, by content type and bytes, and what becomes of those that hold nothing of use."""

import gzip
import json
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import upload as module
from processors.upload import BAD_ROWS_MAX, SHARD, BadUpload, Form, JudgedUpload, form_of, judge_upload
from tests.horizon import LATENESS_HORIZON_MS
from tests.unit.stream_records import ARRIVAL_MS, aggregated, encoded, reading
from tests.uploading import BUCKET, UploadsInMemory
from tests.zstandard import ZstdCompressor
from windrow.lake.uploads import UPLOAD_BYTES_MAX, UploadedObject, parse_sensors_metadata, sensors_metadata
from windrow.payloads.load import load_contract
from windrow.payloads.reader import ContractReader
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings, Reason
from windrow.timestamps import format_rfc3339
from windrow.wire.block.block import encode_block

SENT = [reading("roof"), reading("cellar", at_ms=1, milli=-3_250), reading("roof", at_ms=2_000, sequence=7)]
LINES = b"\n".join(encoded(SENT))


def packed(body: bytes) -> bytes:
    compressor = ZstdCompressor()
    return compressor.compress(body) + compressor.flush()


def uploaded(body: bytes, *, key: str = "uploads/a", content_type: str = "") -> UploadedObject:
    return UploadsInMemory().put(key, body, at_ms=ARRIVAL_MS, content_type=content_type)


def judged(body: bytes, *, key: str = "uploads/a", content_type: str = "") -> JudgedUpload:
    return judge_upload(uploaded(body, key=key, content_type=content_type), horizon_ms=LATENESS_HORIZON_MS)


def csv_of(readings: list[Reading], *, delimiter: str = ",") -> bytes:
    rows = [["sensor_id", "event_time", "temperature", "sequence"]]
    rows += [
        [one.sensor_id, str(one.event_time_ms), f"{one.value_milli / 1000:.3f}", str(one.sequence)] for one in readings
    ]
    return "".join(f"{delimiter.join(row)}\r\n" for row in rows).encode()


def parquet_of(select: str, tmp_path: Any) -> bytes:
    path = tmp_path / "a.parquet"
    duckdb.sql(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return bytes(path.read_bytes())


@pytest.mark.parametrize(
    ("body", "content_type", "form"),
    [
        (LINES, "application/x-ndjson", Form.LINES),
        (LINES, "binary/octet-stream", Form.LINES),
        (b"\xef\xbb\xbf\r\n" + LINES.replace(b"\n", b"\r\n\r\n") + b"\r\n", "", Form.LINES),
        (LINES, "application/json; charset=utf-8", Form.LINES),
        (gzip.compress(LINES, mtime=0), "application/gzip", Form.LINES),
        (packed(LINES), "application/x-ndjson", Form.LINES),
        (encode_block(Readings.of(SENT)), "application/vnd.apache.arrow.stream", Form.RECORDS),
        (b"".join(encode_block(Readings.of([one])) for one in SENT), "", Form.RECORDS),
        (aggregated(encoded(SENT)), "", Form.RECORDS),
        (csv_of(SENT), "text/csv", Form.CSV),
        (b"\xef\xbb\xbf" + csv_of(SENT, delimiter=";"), "text/csv;charset=UTF-8", Form.CSV),
        (gzip.compress(csv_of(SENT, delimiter="\t"), mtime=0), "text/csv", Form.CSV),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_form_holds_the_same_readings(body: bytes, content_type: str, form: Form) -> None:
    """Whatever the form and the compression, what counts is what was sent, and nothing is rejected."""
    found = judged(body, content_type=content_type)

    assert found.form is form
    assert sorted(found.judged.readings, key=str) == sorted(SENT, key=str)
    assert found.rejected == ()
    assert found.judged.arrived_ms.tolist() == [ARRIVAL_MS] * len(SENT)


def test_the_key_tells_csv_and_nothing_tells_text() -> None:
    """A text that is neither JSON nor called CSV is of no known form."""
    assert form_of("binary/octet-stream", "uploads/A.CSV.gz", b"sensor_id") is Form.CSV
    assert form_of("text/plain", "uploads/a.tsv", b"sensor_id") is Form.CSV
    with pytest.raises(BadUpload, match="no known form: content type text/plain"):
        form_of("text/plain", "uploads/a.txt", b"sensor_id")


def test_one_value_over_several_lines_is_one_payload() -> None:
    """Indented JSON is one payload; so the payload contract says what an array is."""
    whole = json.dumps(json.loads(encoded(SENT)[0]), indent=2).encode()

    assert list(judged(whole, content_type="application/json").judged.readings) == SENT[:1]
    assert judged(b"[\n" + whole + b"\n]").rejected == (Reason.NOT_AN_OBJECT,)


def test_parquet_means_its_numbers_and_instants_exactly(tmp_path: Any) -> None:
    """A float is the shortest decimal that means it, an instant is cut to the millisecond, a null is none."""
    instant = format_rfc3339(ARRIVAL_MS).replace("Z", "")
    columns = f"""'a' AS sensor_id, TIMESTAMP '{instant}' + INTERVAL 1234 MICROSECOND AS event_time,
        21.4::FLOAT AS temperature, NULL::BIGINT AS sequence"""

    found = judged(parquet_of(f"SELECT {columns}", tmp_path))

    assert list(found.judged.readings) == [Reading("a", ARRIVAL_MS + 1, 0, 21_400)]
    exact = columns.replace("21.4::FLOAT", "21.4374::DECIMAL(9,4)").replace("NULL::BIGINT", "9::UBIGINT")
    found = judged(parquet_of(f"SELECT {exact}", tmp_path))
    assert list(found.judged.readings) == [Reading("a", ARRIVAL_MS + 1, 9, 21_437)]
    missing = columns.replace("21.4::FLOAT", "'nan'::DOUBLE")
    other = judged(parquet_of(f"SELECT {missing}", tmp_path))
    assert other.rejected == (Reason.MISSING_FIELD,)


def test_columns_that_have_no_form_in_json_are_named(tmp_path: Any) -> None:
    """The object is refused as a whole, with the column's name and kind."""
    found = judged(parquet_of("SELECT 'a' AS sensor_id, [1] AS values", tmp_path))

    assert found.rejected == (Reason.UPLOAD_UNREADABLE,)
    assert found.refusal is not None
    assert "the column 'values' is of the kind List" in found.refusal.detail


def test_a_contract_reads_rows_as_it_reads_json(tmp_path: Any) -> None:
    """Every field of CSV is a text to it, which it takes for a number where one is needed."""
    contract = load_contract(
        """
        [[payload]]
        sensor_id = "device"
        time = { path = "at", form = "epoch_s" }
        quantity.humidity = { path = "rh", unit = "%" }
        """
    )
    seconds = ARRIVAL_MS // 1_000
    csv = f"device,at,rh\n0017,{seconds},55.1\n".encode()
    rows = parquet_of(f"SELECT '0017' AS device, {seconds} AS at, 55.1::DOUBLE AS rh", tmp_path)

    of_both = [
        judge_upload(uploaded(body, content_type=kind), horizon_ms=LATENESS_HORIZON_MS, reader=ContractReader(contract))
        for body, kind in ((csv, "text/csv"), (rows, ""))
    ]

    for found in of_both:
        (one,) = found.judged.readings
        assert (one.sensor_id, one.quantity.name, one.value_milli) == ("0017", "humidity", 55_100)


def test_bad_payloads_are_quarantined_with_their_place() -> None:
    """The others count; the origin is the bucket, and the number says where in the object the payload is."""
    body = b"\n".join([encoded(SENT)[0], b"{}", encoded(SENT)[1]])

    found = judged(body)

    assert len(found.judged.readings) == 2
    (bad,) = found.judged.rejected
    assert (bad.stream, bad.shard, bad.payload, bad.arrival_ms) == (BUCKET, SHARD, b"{}", ARRIVAL_MS)
    assert int(bad.sequence_number) - found.first == body.index(b"{}")


def test_a_row_of_another_width_is_no_reading() -> None:
    """Whatever is in it: even if its fields together would be JSON."""
    found = judged(b"a,b\n{},\n1,2,3\n", content_type="text/csv")

    assert found.rejected == (Reason.MISSING_FIELD, Reason.NOT_JSON)
    assert found.judged.rejected[1].payload == b"3 fields: 1,2,3"


@pytest.mark.parametrize(
    ("body", "content_type", "reason", "detail"),
    [
        (b"\x1f\x8b but no gzip", "", Reason.UPLOAD_UNREADABLE, "BadGzipFile"),
        (gzip.compress(LINES)[:-9], "", Reason.UPLOAD_UNREADABLE, "EOFError"),
        (b"PAR1 and no footer", "", Reason.UPLOAD_UNREADABLE, "parquet: no footer"),
        (b"a,a\n1,2\n", "text/csv", Reason.UPLOAD_UNREADABLE, "csv: two columns"),
        (b"a,\n1,2\n", "text/csv", Reason.UPLOAD_UNREADABLE, "csv: the first row does not name"),
        (b'a,b\n1,"2\n', "text/csv", Reason.UPLOAD_UNREADABLE, "csv: line 2"),
        (b"a,b\n\xff\xfe,1\n", "text/csv", Reason.UPLOAD_UNREADABLE, "csv: not UTF-8 at byte 4"),
        (b"{" + b" " * (1 << 20) + b"}", "", Reason.UPLOAD_UNREADABLE, "a line of 1,048,578 bytes"),
        (b"", "application/vnd.apache.parquet", Reason.UPLOAD_UNREADABLE, "no footer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_object_that_cannot_be_read_is_named_in_quarantine(
    body: bytes, content_type: str, reason: Reason, detail: str
) -> None:
    """Not its bytes, which stay where they are, but its name; and the reason is told."""
    found = judged(body, content_type=content_type)

    assert found.rejected == (reason,)
    assert len(found.judged.readings) == 0
    (named,) = found.judged.rejected
    assert detail in named.detail
    assert json.loads(named.payload)["key"] == "uploads/a"
    assert named.is_whole_record


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that become gigabytes, blocks that claim millions of readings, rows without end."""
    monkeypatch.setattr(module, "DECOMPRESSED_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(module, "READINGS_MAX", 5)

    for body, kind, detail in (
        (gzip.compress(bytes(2 << 20)), "", "larger than 1,048,576 bytes when decompressed"),
        (encode_block(Readings.of(SENT)) * 2, "", "up to 6 readings, at most 5"),
        (b"{}\n" * 6, "", "up to 6 readings"),
        (b"a\n" + b"1\n" * 6, "text/csv", "up to 6 readings"),
    ):
        found = judged(body, content_type=kind)
        assert found.rejected == (Reason.UPLOAD_TOO_LARGE,)
        assert found.refusal is not None
        assert detail in found.refusal.detail


def test_parquet_says_its_rows_before_any_is_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The footer is asked, so a file of many rows costs nothing."""
    monkeypatch.setattr(module, "READINGS_MAX", 5)

    found = judged(parquet_of("SELECT range AS a FROM range(6)", tmp_path))

    assert found.rejected == (Reason.UPLOAD_TOO_LARGE,)


def test_an_object_of_gigabytes_is_not_read() -> None:
    """Its body is never fetched; it is refused by its size."""
    huge = UploadedObject(
        bucket=BUCKET,
        key="uploads/a",
        version="v",
        written_ms=ARRIVAL_MS,
        content_type="",
        size_bytes=UPLOAD_BYTES_MAX + 1,
        body=None,
    )

    assert judge_upload(huge, horizon_ms=LATENESS_HORIZON_MS).rejected == (Reason.UPLOAD_TOO_LARGE,)


def test_many_bad_payloads_become_one_row_and_the_good_ones_count() -> None:
    """One more than are kept one by one: the object is named with their number, and each is counted by its reason."""
    body = b"{}\n" * (BAD_ROWS_MAX + 1) + encoded(SENT)[0]

    found = judged(body)

    (named,) = found.judged.rejected
    assert named.reason is Reason.UPLOAD_PAYLOADS
    assert f"{BAD_ROWS_MAX + 1} payloads do not count" in named.detail
    assert len(found.rejected) == BAD_ROWS_MAX + 1
    assert list(found.judged.readings) == SENT[:1]
    assert found.refusal is None
    assert len(judged(b"{}\n" * BAD_ROWS_MAX).judged.rejected) == BAD_ROWS_MAX


@pytest.mark.parametrize(
    ("prefixes", "refused"),
    [
        (None, None),
        (("roof", "cel"), None),
        (("roof",), "cellar"),
        (("cellar",), "roof"),
        (("roof/",), "cellar"),
        ((), "cellar"),
    ],
)
def test_only_the_sensors_of_its_uploader_may_be_in_an_object(
    prefixes: tuple[str, ...] | None, refused: str | None
) -> None:
    """A foreign one refuses all of it, whatever its form and quantity, and is named; prefixes end where they end."""
    humid = Reading("cellar", ARRIVAL_MS, 0, 50_000, Quantity("humidity", "%"))
    for body in (LINES, encode_block(Readings.of([*SENT, humid]))):
        found = judge_upload(
            UploadsInMemory().put("uploads/a", body, at_ms=ARRIVAL_MS, sensors=prefixes), horizon_ms=LATENESS_HORIZON_MS
        )

        assert (found.refusal is None) == (refused is None)
        if refused is None:
            assert len(found.judged.readings) >= len(SENT)
            continue
        (named,) = found.judged.rejected
        assert (found.rejected, len(found.judged.readings)) == ((Reason.UPLOAD_FOREIGN,), 0)
        assert f"sensor {refused!r} is not" in named.detail
        assert json.loads(named.payload)["key"] == "uploads/a"


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20), max_size=5))
def test_prefixes_are_kept_with_an_object_as_they_are(prefixes: list[str]) -> None:
    """Whatever an id may hold: S3 takes the metadata, which is US-ASCII, and gives it back."""
    value = sensors_metadata(prefixes)

    assert value.isascii()
    assert value.isprintable()
    assert parse_sensors_metadata(value) == tuple(prefixes)


def test_an_empty_object_holds_nothing() -> None:
    """Consoles make such objects for folders."""
    found = judged(b"")

    assert (len(found.judged.readings), found.rejected) == (0, ())
