"""An uploaded object as records: what is in it is judged as the same payloads would be that came by the stream.

The records arrived when the object was written. They are numbered by that time, by a digest of bucket, key and version,
and by their place in it. So the same object has the same records whenever its event comes, and however often.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from processors.archive import ArchivedObject, OversizedArchive, UnreadableArchive, decompress, split
from processors.event import Record
from processors.judge import Judgement, PayloadReader, quarantine_record
from processors.judge_blocks import concat, judge_all, readings_max
from processors.record_columns import RecordColumns
from processors.upload_rows import NUMBER_COLUMNS, TooManyRowsError, UnreadableFile, csv_payloads, parquet_payloads
from windrow.aws.stream import RECORD_BYTES_MAX
from windrow.columns.arrays import Int64s, Octets
from windrow.columns.payloads import Payloads, join_octets
from windrow.lake.gateways import foreign_sensor
from windrow.lake.uploads import UPLOAD_BYTES_MAX, UploadedObject
from windrow.reading import Readings, Reason
from windrow.wire.block import BLOCK_MAGIC
from windrow.wire.kpl import MAGIC, OUTER_PARTITION_KEY

SHARD = "shardId-999999999998"
"""The shard of all uploaded objects, as no stream will ever have it; the name of their stream is the bucket's."""
DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024
READINGS_MAX = 1 << 20
"""Readings of blocks, and other payloads, in one object, whose readings are held at once: this bounds memory."""
SLICE_RECORDS = 65_536
"""Records that are judged at once."""
BAD_ROWS_MAX = 1_000
"""Up to so many bad payloads of an object are quarantined one by one; if there are more, the object is named."""
_WHOLE_OBJECT = 10**12 - 1  # a place that no record in an object has


class Form(StrEnum):
    """What an object holds."""

    RECORDS = "records"  # blocks and aggregates, one behind the other
    LINES = "lines"  # a JSON payload a line
    JSON = "json"  # one JSON payload, over several lines
    CSV = "csv"
    PARQUET = "parquet"


# By content type; with any other one, of which S3 writes several by itself, the bytes and the key tell.
_CONTENT_TYPES = {
    "application/vnd.apache.arrow.stream": Form.RECORDS,
    "application/json": Form.JSON,
    "application/senml+json": Form.JSON,
    "application/jsonl": Form.LINES,
    "application/jsonlines": Form.LINES,
    "application/x-jsonlines": Form.LINES,
    "application/x-ndjson": Form.LINES,
    "application/vnd.apache.parquet": Form.PARQUET,
    "text/csv": Form.CSV,
}
_CSV_ENDINGS = (".csv", ".tsv")
_PACKED_ENDINGS = (".gz", ".zst", ".zstd")
_PARQUET_MAGIC = b"PAR1"
_SPACE = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadUpload(ValueError):  # noqa: N818 - the domain's noun
    """An object that is rejected as a whole; `reason` is for counting, `detail` is for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, eq=False)
class JudgedUpload:
    """What became of an object: its judgement, of n records with so many bytes, the least and the greatest number.

    form: None if it could not be told. rejected: the reason of each payload that does not count, though the judgement
    may name the object in their place. refusal: why the object as a whole does not count, None if it does.
    """

    upload: UploadedObject
    form: Form | None
    judged: Judgement
    records: int
    payload_bytes: int
    first: int
    last: int
    rejected: tuple[Reason, ...]
    refusal: BadUpload | None = None


def judge_upload(upload: UploadedObject, *, horizon_ms: int, reader: PayloadReader | None = None) -> JudgedUpload:
    """Judge what is in an object, whatever that is; `reader` is that of the stage's contract, if any."""
    form = None
    try:
        body = _decompressed(upload)
        form = form_of(upload.content_type, upload.key, body)
        records = _records_of(upload, form, body, are_default=reader is None)
    except BadUpload as error:
        return _refused(upload, form, error)
    if not records:
        judged, numbers = Judgement(Readings.of([]), np.zeros(0, np.int64), ()), [_number(upload, 0)]
    else:
        judged = _judged(records, horizon_ms=horizon_ms, reader=reader)
        numbers = [records.sequence_numbers[0], records.sequence_numbers[-1]]
    if (foreign := foreign_sensor(judged.readings, upload.sensors)) is not None:
        detail = f"sensor {foreign!r} is not among those that its uploader may write for: {_prefixes(upload)}"
        return _refused(upload, form, BadUpload(Reason.UPLOAD_FOREIGN, detail))
    rejected = tuple(one.reason for one in judged.rejected)
    return JudgedUpload(
        upload=upload,
        form=form,
        judged=_with_object_named(judged, upload) if len(rejected) > BAD_ROWS_MAX else judged,
        records=len(records),
        payload_bytes=int(records.payloads.lengths.sum()),
        first=int(numbers[0]),
        last=int(numbers[-1]),
        rejected=rejected,
    )


def _refused(upload: UploadedObject, form: Form | None, error: BadUpload) -> JudgedUpload:
    """Return the judgement of an object that counts not at all: its name in quarantine, and why."""
    named = quarantine_record(_named(upload), reason=error.reason, detail=error.detail)
    judged = Judgement(Readings.of([]), np.zeros(0, np.int64), (named,))
    number = int(named.sequence_number)
    return JudgedUpload(upload, form, judged, 0, upload.size_bytes, number, number, (error.reason,), error)


def _prefixes(upload: UploadedObject) -> str:
    return ", ".join(f"{prefix}*" for prefix in upload.sensors or ()) or "none"


def _judged(records: RecordColumns, *, horizon_ms: int, reader: PayloadReader | None) -> Judgement:
    """Judge records a slice at a time: what judging takes beside its result is then as much as for a batch."""
    slices = (records[start : start + SLICE_RECORDS] for start in range(0, len(records), SLICE_RECORDS))
    return concat([judge_all(one, horizon_ms=horizon_ms, reader=reader) for one in slices])


def form_of(content_type: str, key: str, body: bytes) -> Form:
    """Return what a decompressed object holds; BadUpload if neither content type nor bytes nor key tell."""
    kind = content_type.partition(";")[0].strip().lower()
    form = _CONTENT_TYPES.get(kind)
    head = body[: len(_BYTE_ORDER_MARK) + 64].removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE)
    if form is Form.JSON and _are_lines(body):
        return Form.LINES  # many write lines and call them JSON
    if form is not None:
        return form
    if body.startswith(_PARQUET_MAGIC):
        return Form.PARQUET
    if body.startswith((BLOCK_MAGIC, MAGIC)):
        return Form.RECORDS
    if not head or head.startswith((b"{", b"[")):
        return Form.LINES if _are_lines(body) else Form.JSON
    if _without_packing(key).endswith(_CSV_ENDINGS):
        return Form.CSV
    raise BadUpload(Reason.UPLOAD_UNREADABLE, f"of no known form: content type {kind or 'none'}")


def _are_lines(body: bytes) -> bool:
    """Whether JSON is one payload a line: then the first one is closed in its line."""
    first = body.removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE).partition(b"\n")[0].rstrip(_SPACE)
    return not first or first.endswith((b"}", b"]"))


def _without_packing(key: str) -> str:
    name = key.lower()
    for ending in _PACKED_ENDINGS:
        name = name.removesuffix(ending)
    return name


def _decompressed(upload: UploadedObject) -> bytes:
    if upload.body is None:
        detail = f"{upload.size_bytes:,} bytes, at most {UPLOAD_BYTES_MAX:,}"
        raise BadUpload(Reason.UPLOAD_TOO_LARGE, detail)
    try:
        return decompress(upload.body, bytes_max=DECOMPRESSED_BYTES_MAX)
    except OversizedArchive as error:
        raise BadUpload(Reason.UPLOAD_TOO_LARGE, f"{error} when decompressed") from error
    except UnreadableArchive as error:
        raise BadUpload(Reason.UPLOAD_UNREADABLE, str(error)) from error


def _records_of(upload: UploadedObject, form: Form, body: bytes, *, are_default: bool) -> RecordColumns:
    """Return the records in the decompressed `body`; BadUpload if it is not what it should be, or too much."""
    try:
        match form:
            case Form.RECORDS:
                return _columns(upload, _spans(body))
            case Form.LINES:
                return _columns(upload, _lines(body))
            case Form.JSON:
                return _columns(upload, _one(body))
            case Form.CSV:
                names = NUMBER_COLUMNS if are_default else frozenset()
                return _rows(upload, list(csv_payloads(body, are_numbers=names.__contains__)))
            case Form.PARQUET:
                return _rows(upload, list(parquet_payloads(body, rows_max=READINGS_MAX)))
    except TooManyRowsError as error:
        raise BadUpload(Reason.UPLOAD_TOO_LARGE, str(error)) from error
    except UnreadableFile as error:
        raise BadUpload(Reason.UPLOAD_UNREADABLE, f"{form}: {error}") from error


def _spans(body: bytes) -> Payloads:
    spans = list(split(body))
    _check_count(sum(readings_max(span.payload) for span in spans))
    starts = np.fromiter((span.offset for span in spans), np.int64, len(spans))
    lengths = np.fromiter((len(span.payload) for span in spans), np.int64, len(spans))
    return Payloads(join_octets([body]), starts, lengths)


def _lines(body: bytes) -> Payloads:
    """Return the lines that are not blank, without white space around them."""
    octets = join_octets([body])
    ends = np.append(np.flatnonzero(octets[: len(body)] == ord("\n")), len(body))
    starts = np.append(len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0, ends[:-1] + 1)
    _check_lengths(ends - starts, "line")
    _trim(octets, starts, ends)
    has_text = starts < ends
    starts, ends = starts[has_text], ends[has_text]
    _check_count(len(starts))
    return Payloads(octets, starts, ends - starts)


def _trim(octets: Octets, starts: Int64s, ends: Int64s) -> None:
    """Move the bounds of n spans, int64[n], inwards past white space, one character of all that have any at a time."""
    is_space = np.isin(np.arange(256), np.frombuffer(_SPACE, np.uint8))
    left = np.flatnonzero(starts < ends)
    while len(left := left[is_space[octets[ends[left] - 1]]]):
        ends[left] -= 1
        left = left[starts[left] < ends[left]]
    left = np.flatnonzero(starts < ends)
    while len(left := left[is_space[octets[starts[left]]]]):
        starts[left] += 1
        left = left[starts[left] < ends[left]]


def _one(body: bytes) -> Payloads:
    payload = body.removeprefix(_BYTE_ORDER_MARK).strip(_SPACE)
    payloads = Payloads.of([payload] if payload else [])
    _check_lengths(payloads.lengths, "JSON value")
    return payloads


def _rows(upload: UploadedObject, payloads: Sequence[bytes]) -> RecordColumns:
    """Return payloads of rows as records, which are numbered by their rows."""
    _check_count(len(payloads))
    columns = Payloads.of(payloads)
    _check_lengths(columns.lengths, "row")
    return _columns(upload, columns, places=np.arange(len(payloads)))


def _check_count(readings: int) -> None:
    if readings > READINGS_MAX:
        raise BadUpload(Reason.UPLOAD_TOO_LARGE, f"up to {readings:,} readings, at most {READINGS_MAX:,}")


def _check_lengths(lengths: Int64s, noun: str) -> None:
    """Check that each payload would fit into a record of the stream, so that it can be delivered again."""
    if len(lengths) and int(lengths.max()) > RECORD_BYTES_MAX:
        detail = f"a {noun} of {int(lengths.max()):,} bytes, at most {RECORD_BYTES_MAX:,}"
        raise BadUpload(Reason.UPLOAD_UNREADABLE, detail)


def _columns(upload: UploadedObject, payloads: Payloads, *, places: Int64s | None = None) -> RecordColumns:
    """Return the records, ascending by number; `places` are where they are in the object, by default by their bytes."""
    base = int(_number(upload, 0))
    at = payloads.starts if places is None else places
    return RecordColumns(
        stream_arn=_stream_arn(upload),
        shard=SHARD,
        sequence_numbers=[str(base + place) for place in at.tolist()],
        arrived_ms=np.full(len(payloads), upload.written_ms, np.int64),
        partition_keys=[OUTER_PARTITION_KEY] * len(payloads),
        payloads=payloads,
    )


def _number(upload: UploadedObject, place: int) -> str:
    return ArchivedObject(location=upload.location, written_ms=upload.written_ms).sequence_number(place)


def _stream_arn(upload: UploadedObject) -> str:
    """Return the name of the stream that the records are of; of its ARN nothing else is ever used."""
    return f"arn:aws:kinesis:us-east-1:000000000000:stream/{upload.bucket}"


def _named(upload: UploadedObject) -> Record:
    """Return the record that stands in quarantine for all of an object, which itself stays where it is."""
    name = {
        "bucket": upload.bucket,
        "key": upload.key,
        "version": upload.version,
        "bytes": upload.size_bytes,
        "content_type": upload.content_type,
    }
    return Record(
        stream_arn=_stream_arn(upload),
        shard=SHARD,
        sequence_number=_number(upload, _WHOLE_OBJECT),
        arrival_ms=upload.written_ms,
        partition_key=OUTER_PARTITION_KEY,
        payload=json.dumps(name, separators=(",", ":")).encode("ascii"),
    )


def _with_object_named(judged: Judgement, upload: UploadedObject) -> Judgement:
    first = judged.rejected[0]
    detail = f"{len(judged.rejected)} payloads do not count, the first: {first.reason}: {first.detail}"
    named = quarantine_record(_named(upload), reason=Reason.UPLOAD_PAYLOADS, detail=detail)
    return Judgement(judged.readings, judged.arrived_ms, (named,))
