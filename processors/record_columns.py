"""The records of an event as columns: base64 is decoded once for all, and no object is made for each record.

An event of one reading a record has 10,000 records; then what is done for each of them is most of the work. What the
mapping usually writes is read as columns. In doubt nothing is, and `decode_event`, which defines what a record is,
reads the event record by record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, overload

import numpy as np
import pybase64

from processors.event import (
    ARRIVAL_MS_MAX,
    PLACE,
    SEQUENCE_NUMBER_DIGITS_MAX,
    MalformedRecord,
    Record,
    decode_event,
    is_shard,
    is_stream_arn,
)
from windrow.columns.arrays import Int64s, Octets
from windrow.columns.payloads import PADDING_OCTETS, Payloads
from windrow.columns.strings import offsets_of

_PAD, _ZERO = ord("="), ord("A")
_DIGIT_MAX = 9
# Base64 of zeros, a multiple of three and not fewer than PADDING_OCTETS.
_PADDING = "A" * (-(-PADDING_OCTETS // 3) * 4)
# Of longer texts a pass over all costs more, in memory that is touched for the first time, than a call for each.
_LONG_CHARACTERS = 4_096


class _UnusualError(ValueError):
    """The event is not what the mapping usually writes; it is then read record by record."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordColumns(Sequence[Record]):
    """n whole records of one shard, in order; what is asked for by its position is made into a `Record`.

    sequence_numbers and partition_keys: n of each; arrived_ms: int64[n]; payloads: n.
    """

    stream_arn: str
    shard: str
    sequence_numbers: Sequence[str]
    arrived_ms: Int64s
    partition_keys: Sequence[str]
    payloads: Payloads

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.sequence_numbers)

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> "RecordColumns": ...

    def __getitem__(self, place: int | slice) -> "Record | RecordColumns":
        """Return one record, or the columns of a run of records."""
        if isinstance(place, slice):
            return RecordColumns(
                self.stream_arn,
                self.shard,
                self.sequence_numbers[place],
                self.arrived_ms[place],
                self.partition_keys[place],
                self.payloads.take(place),
            )
        return Record(
            stream_arn=self.stream_arn,
            shard=self.shard,
            sequence_number=self.sequence_numbers[place],
            arrival_ms=int(self.arrived_ms[place]),
            partition_key=self.partition_keys[place],
            payload=self.payloads[place],
        )

    def take(self, places: Int64s) -> "RecordColumns":
        """Return the records at `places`, ascending."""
        return RecordColumns(
            self.stream_arn,
            self.shard,
            [self.sequence_numbers[place] for place in places.tolist()],
            self.arrived_ms[places],
            [self.partition_keys[place] for place in places.tolist()],
            self.payloads.take(places),
        )


def records_of(event: Any) -> Sequence[Record | MalformedRecord]:
    """Return the records of a parsed event: what `decode_event` returns, as columns if all records are usual.

    Raises NotAKinesisEvent if there is no list of records.
    """
    try:
        return _usual_records(event["Records"])
    except (_UnusualError, TypeError, KeyError, AttributeError, ValueError, OverflowError):
        return decode_event(event)


def payloads_of(records: Sequence[Record]) -> Payloads:
    """Return the payloads of `records`, a column of n."""
    if isinstance(records, RecordColumns):
        return records.payloads
    return Payloads.of([record.payload for record in records])


def arrivals_of(records: Sequence[Record]) -> Int64s:
    """Return when the stream took each of `records`, in epoch milliseconds: int64[n]."""
    if isinstance(records, RecordColumns):
        return records.arrived_ms
    return np.array([record.arrival_ms for record in records], np.int64)


def sequence_numbers_of(records: Sequence[Record]) -> Sequence[str]:
    """Return the sequence numbers of `records`, in their order."""
    if isinstance(records, RecordColumns):
        return records.sequence_numbers
    return [record.sequence_number for record in records]


def take_records(records: Sequence[Record], places: Int64s) -> Sequence[Record]:
    """Return the records at `places`, ascending."""
    if isinstance(records, RecordColumns):
        return records.take(places)
    return [records[place] for place in places.tolist()]


def _usual_records(raws: Any) -> RecordColumns:
    """Read whole records of one stream and shard; raises _UnusualError, or what odd values do, unless all are such."""
    if type(raws) is not list or not raws:
        raise _UnusualError("no records")
    arns, event_ids, numbers, seconds, partition_keys, bodies = ([] for _ in range(6))
    # One pass over all of a record: an event of many is larger than a core's cache.
    for raw in raws:
        if PLACE in raw:
            raise _UnusualError("a part of a record")
        kinesis = raw["kinesis"]
        arns.append(raw["eventSourceARN"])
        event_ids.append(raw["eventID"])
        numbers.append(kinesis["sequenceNumber"])
        seconds.append(kinesis["approximateArrivalTimestamp"])
        partition_keys.append(kinesis["partitionKey"])
        bodies.append(kinesis["data"])
    stream_arn, shard = _one(arns), _shard_of(event_ids)
    if not is_stream_arn(stream_arn):
        raise _UnusualError("eventSourceARN")
    _check_sequence_numbers(numbers)
    return RecordColumns(stream_arn, shard, numbers, _arrivals(seconds), _texts(partition_keys), _payloads(bodies))


def _texts(values: list[Any]) -> list[str]:
    if set(map(type, values)) != {str}:
        raise _UnusualError("not only strings")
    return values


def _one(values: list[Any]) -> str:
    """Return the text that all are."""
    (value,) = set(values)  # ValueError unless there is exactly one
    return _texts([value])[0]


def _check_sequence_numbers(numbers: list[Any]) -> None:
    """Check that each is a decimal number in ASCII, the digits of all in one pass; TypeError if one is no text."""
    digits = np.frombuffer("".join(numbers).encode("ascii"), np.uint8)
    lengths = set(map(len, numbers))
    is_short = min(lengths) > 0 and max(lengths) <= SEQUENCE_NUMBER_DIGITS_MAX
    if not is_short or (digits - ord("0") > _DIGIT_MAX).any():  # unsigned: what is less than a zero is great
        raise _UnusualError("sequenceNumber")


def _shard_of(event_ids: list[Any]) -> str:
    """Return the shard with which every event id begins; TypeError or AttributeError if one is no text."""
    first: str = event_ids[0]
    shard, colon, _ = first.partition(":")
    begins = shard + colon
    if not (colon and is_shard(shard) and all(map(str.startswith, event_ids, repeat(begins)))):
        raise _UnusualError("eventID")
    return shard


def _arrivals(seconds: list[Any]) -> Int64s:
    """Return arrivals, given in seconds, to the nearest millisecond and half to even, as `round` does: int64[n]."""
    if not {int, float}.issuperset(map(type, seconds)):
        raise _UnusualError("approximateArrivalTimestamp")
    column = np.fromiter(seconds, np.float64, len(seconds))
    if not ((column >= 0) & (column <= ARRIVAL_MS_MAX // 1_000)).all():
        raise _UnusualError("approximateArrivalTimestamp")
    arrivals: Int64s = np.rint(column * 1_000).astype(np.int64)
    return arrivals


def _payloads(texts: list[Any]) -> Payloads:
    """Decode base64, short texts in one pass: each is a multiple of four characters, of which two at most are padding.

    Padding is read as zeros, which are then left out: padding elsewhere than at the end is an error. TypeError if one
    is no text.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if (lengths % 4).any():
        raise _UnusualError("data")
    if int(lengths.sum()) > _LONG_CHARACTERS * len(texts):
        return Payloads.of([pybase64.b64decode(text, validate=True) for text in texts])
    octets = bytearray("".join([*texts, _PADDING]), "ascii")
    pads = _read_padding_as_zeros(np.frombuffer(octets, np.uint8), lengths)
    decoded = np.frombuffer(pybase64.b64decode(octets, validate=True), np.uint8)
    whole = lengths // 4 * 3
    return Payloads(decoded, offsets_of(whole)[:-1], whole - pads)


def _read_padding_as_zeros(octets: Octets, lengths: Int64s) -> Int64s:
    """Replace one or two pads at the end of each text, in place, and return how many there were: int64[n]."""
    last = np.cumsum(lengths) - 1
    is_pad = (lengths > 0) & (octets[last] == _PAD)
    are_two = is_pad & (octets[last - 1] == _PAD)
    octets[last[is_pad]] = _ZERO
    octets[last[are_two] - 1] = _ZERO
    pads: Int64s = is_pad.astype(np.int64) + are_two
    return pads
