"""The event that Lambda's Kinesis mapping sends, as typed values.

It is decoded for the consumer, and encoded by those who invoke the consumer in the mapping's place: fan-out, replay and
redrive.

Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import pybase64

# An event is its records as JSON, with this around and between them.
EVENT_HEAD = b'{"Records":['
RECORD_SEPARATOR = b","
EVENT_TAIL = b"]}"

# What keys of the lake and rows of `quarantine` hold if a malformed record does not name its origin.
UNKNOWN_ORIGIN = "unknown"
UNKNOWN_SEQUENCE_NUMBER = "0"
# The mapping names the function's role here; an event that windrow makes names this one.
INVOKE_IDENTITY_ARN = "arn:aws:iam::000000000000:role/windrow"
# 9999-12-31T23:59:59.999Z: the last arrival that has a partition of the lake.
ARRIVAL_MS_MAX = 253_402_300_799_999

# CreateStream's rule for names, within an ARN of any AWS partition.
_STREAM_ARN = re.compile(r"arn:[a-z0-9-]+:kinesis:([a-z0-9-]+):(\d*):stream/([a-zA-Z0-9_.-]{1,128})", re.ASCII)
_SHARD = re.compile(r"shardId-\d{12}", re.ASCII)
# AWS writes 56 digits and documents up to 129, none of them leading zeros; emulators write those.
SEQUENCE_NUMBER_DIGITS_MAX = 129
_SEQUENCE_NUMBER = re.compile(rf"\d{{1,{SEQUENCE_NUMBER_DIGITS_MAX}}}", re.ASCII)
# Where a part was in its record, in events that windrow makes. A producer cannot set this part of an event.
PLACE = "windrowPlace"
# The column `index` is a 32-bit integer.
_PLACE_MAX = 2**31 - 1

_Field = TypeVar("_Field")
_Unknown = TypeVar("_Unknown")


class NotAKinesisEvent(ValueError):  # noqa: N818 - the domain's noun
    """The function was invoked with something that has no list of `Records`: a caller's bug, not bad input."""


class _FieldError(ValueError):
    """A record of the event lacks something; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a shard as the stream delivered it, or a part of one, which is redelivered alone.

    `sequence_number` is decimal (compare as an integer); `arrival_ms` is when the stream took the record. `index` and
    `block_row` are the place of a part in its record: if quarantined again, it keeps its identity.
    """

    stream_arn: str
    shard: str
    sequence_number: str
    arrival_ms: int
    partition_key: str
    payload: bytes
    index: int = 0
    block_row: int | None = None

    @property
    def stream(self) -> str:
        """The stream's name."""
        return _stream_of(self.stream_arn)


@lru_cache(maxsize=64)
def _stream_of(stream_arn: str) -> str:
    """Return the name in an ARN; asked for every record, and usually the same."""
    return stream_arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedRecord:
    """A record of the event that cannot be read, with as much of its origin as can be.

    `arrival_ms` is None if the record has none. `original` is the record's JSON, so nothing is lost; `detail` says what
    is wrong with it.
    """

    stream: str
    shard: str
    sequence_number: str
    arrival_ms: int | None
    original: bytes
    detail: str


def decode_event(event: object) -> list[Record | MalformedRecord]:
    """Decode the records of a parsed `event`, in its order; a malformed record does not affect the others.

    Raises NotAKinesisEvent if there is no list of records. `records_of` returns the same faster.
    """
    return [_decode_record(raw) for raw in raw_records(event)]


def raw_records(event: object) -> list[object]:
    """Return the undecoded records of a parsed `event`; raises NotAKinesisEvent if it has no list of them."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list):
        raise NotAKinesisEvent("the event has no list of Records")
    return records


def encode_record(record: Record) -> bytes:
    """Encode one record of an event as JSON, in the mapping's shape and order of fields."""
    match = _STREAM_ARN.fullmatch(record.stream_arn)
    if match is None:
        raise ValueError(f"{record.stream_arn!r} is not the ARN of a stream")
    place = {"index": record.index, "blockRow": record.block_row}
    return encode_raw_record(
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": record.sequence_number,
                "data": base64.b64encode(record.payload).decode("ascii"),
                # Seconds with three decimals: a double keeps them exactly enough until far past ARRIVAL_MS_MAX.
                "approximateArrivalTimestamp": record.arrival_ms / 1_000,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{record.shard}:{record.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": INVOKE_IDENTITY_ARN,
            "awsRegion": match.group(1),
            "eventSourceARN": record.stream_arn,
            **({PLACE: place} if record.index or record.block_row is not None else {}),
        }
    )


def encode_raw_record(record: object) -> bytes:
    """Encode a parsed but undecoded record as JSON again; parsing it gives an equal value."""
    return json.dumps(record, separators=(",", ":"), default=repr).encode("ascii")


def join_records(encoded: Iterable[bytes]) -> bytes:
    """Return the event that holds these records, each already encoded as JSON."""
    return EVENT_HEAD + RECORD_SEPARATOR.join(encoded) + EVENT_TAIL


def sequence_number_of(raw: object) -> str:
    """Return the sequence number of an undecoded record; UNKNOWN_SEQUENCE_NUMBER if it has none."""
    try:
        return _sequence_number(_kinesis(raw))
    except _FieldError:
        return UNKNOWN_SEQUENCE_NUMBER


def is_stream_arn(text: str) -> bool:
    """Return whether `text` is the ARN of a stream."""
    return _STREAM_ARN.fullmatch(text) is not None


def is_shard(text: str) -> bool:
    """Return whether `text` is the id of a shard."""
    return _SHARD.fullmatch(text) is not None


def _decode_record(raw: object) -> Record | MalformedRecord:
    try:
        kinesis = _kinesis(raw)
        return Record(
            stream_arn=_stream_arn(raw),
            shard=_shard(raw),
            sequence_number=_sequence_number(kinesis),
            arrival_ms=_arrival_ms(kinesis),
            partition_key=_text(kinesis, "partitionKey"),
            payload=_payload(kinesis),
            index=_place(raw, "index") or 0,
            block_row=_place(raw, "blockRow"),
        )
    except _FieldError as malformed:
        return _malformed_record(raw, detail=str(malformed))


def _malformed_record(raw: object, *, detail: str) -> MalformedRecord:
    return MalformedRecord(
        stream=_known(lambda: _stream_arn(raw).rpartition("/")[2], UNKNOWN_ORIGIN),
        shard=_known(lambda: _shard(raw), UNKNOWN_ORIGIN),
        sequence_number=sequence_number_of(raw),
        arrival_ms=_known(lambda: _arrival_ms(_kinesis(raw)), None),
        original=encode_raw_record(raw),
        detail=detail,
    )


def _known(read: Callable[[], _Field], unknown: _Unknown) -> _Field | _Unknown:
    try:
        return read()
    except _FieldError:
        return unknown


def _text(fields: object, name: str) -> str:
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, str):
        raise _FieldError(f"{name} is missing or not a string")
    return value


def _kinesis(raw: object) -> Mapping[str, object]:
    kinesis = raw.get("kinesis") if isinstance(raw, dict) else None
    if not isinstance(kinesis, dict):
        raise _FieldError("kinesis is missing or not an object")
    return kinesis


def _stream_arn(raw: object) -> str:
    arn = _text(raw, "eventSourceARN")
    if not is_stream_arn(arn):
        raise _FieldError("eventSourceARN is not the ARN of a stream")
    return arn


def _shard(raw: object) -> str:
    shard = _text(raw, "eventID").partition(":")[0]
    if not is_shard(shard):
        raise _FieldError("eventID does not begin with a shard")
    return shard


def _sequence_number(kinesis: Mapping[str, object]) -> str:
    sequence_number = _text(kinesis, "sequenceNumber")
    if _SEQUENCE_NUMBER.fullmatch(sequence_number) is None:
        raise _FieldError("sequenceNumber is not a decimal number")
    return sequence_number


def _arrival_ms(kinesis: Mapping[str, object]) -> int:
    """Return the arrival, which is in seconds, to the nearest millisecond: as a double, 1545084650.987 is not exact."""
    seconds = kinesis.get("approximateArrivalTimestamp")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _FieldError("approximateArrivalTimestamp is missing or not a number")
    if not 0 <= seconds <= ARRIVAL_MS_MAX // 1_000:  # NaN and the infinities fail this too
        raise _FieldError("approximateArrivalTimestamp is out of range")
    return round(seconds * 1_000)


def _payload(kinesis: Mapping[str, object]) -> bytes:
    text = _text(kinesis, "data")
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error is one
        raise _FieldError(f"data is not base64: {type(error).__name__}") from None


def _place(raw: object, name: str) -> int | None:
    place = raw.get(PLACE) if isinstance(raw, dict) else None
    value = place.get(name) if isinstance(place, dict) else None
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _PLACE_MAX):
        raise _FieldError(f"{name} is not a place in a record")
    return value
