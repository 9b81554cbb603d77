"""The aggregated record of the Kinesis Producer Library (KPL): many user records in one stream record.

Format: the magic F3 89 9A C2, a protobuf AggregatedRecord, and the MD5 of the protobuf.
Source: aggregation-format.md of awslabs/amazon-kinesis-producer.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16
# The KPL gives every aggregate this partition key; the explicit hash key decides which shard it goes to.
OUTER_PARTITION_KEY = "a"
# The tags of keys, hash keys and records: fields 1 to 3, each with a length.
_FIELDS = frozenset({0x0A, 0x12, 0x1A})
_LENGTH_BITS_MAX = 35


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One record as a producer sent it: its partition key, its payload, and its hash key (decimal) if any."""

    partition_key: str
    payload: bytes
    explicit_hash_key: str | None = None


class BrokenAggregate(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that begin with the magic but are no valid aggregate. By the KPL's rule they are a plain record."""


class BrokenDigest(BrokenAggregate):
    """An aggregate whose MD5 at the end is not that of the bytes before it."""


def aggregate(user_records: Sequence[UserRecord]) -> bytes:
    """Encode `user_records`, in their order, as one aggregated record; equal keys are stored once."""
    aggregated = _message_class()()
    partition_keys: dict[str, int] = {}
    hash_keys: dict[str, int] = {}
    for user_record in user_records:
        record = aggregated.records.add()
        record.partition_key_index = partition_keys.setdefault(user_record.partition_key, len(partition_keys))
        if user_record.explicit_hash_key is not None:
            hash_key = user_record.explicit_hash_key
            record.explicit_hash_key_index = hash_keys.setdefault(hash_key, len(hash_keys))
        record.data = user_record.payload
    aggregated.partition_key_table.extend(partition_keys)
    aggregated.explicit_hash_key_table.extend(hash_keys)
    body: bytes = aggregated.SerializeToString()
    return seal(body)


def seal(body: bytes) -> bytes:
    """Wrap the serialized protobuf `body` into a record: magic, body, MD5."""
    return b"".join((MAGIC, body, hashlib.md5(body, usedforsecurity=False).digest()))


def length_of_aggregate(octets: bytes, start: int) -> int | None:
    """Return the length of the aggregate that begins at `start`, with whatever comes behind it; None if there is none.

    Nothing says where it ends, but it ends in the MD5 of its fields: after one of them, these 16 bytes follow.
    """
    view, position = memoryview(octets), start + len(MAGIC)
    if not octets.startswith(MAGIC, start):
        return None
    digest = hashlib.md5(usedforsecurity=False)
    while True:
        if view[position : position + DIGEST_BYTES] == digest.digest():
            return position + DIGEST_BYTES - start
        end = _end_of_field(view, position)
        if end is None:
            return None
        digest.update(view[position:end])
        position = end


def _end_of_field(view: memoryview, position: int) -> int | None:
    """Return the end of the field of an AggregatedRecord at `position`, None if there is none or not all of it."""
    if position >= len(view) or view[position] not in _FIELDS:
        return None
    length, shift, position = 0, 0, position + 1
    while position < len(view) and shift < _LENGTH_BITS_MAX:
        octet = view[position]
        length, shift, position = length | (octet & 0x7F) << shift, shift + 7, position + 1
        if octet < 0x80:
            return position + length if position + length <= len(view) else None
    return None


def deaggregate(record: bytes) -> list[UserRecord] | None:
    """Return the user records of `record` in their order, or None if it is a plain record.

    Raises BrokenDigest or BrokenAggregate for bytes that begin with the magic but are no valid aggregate: a wrong MD5,
    a broken protobuf, or a key index beyond its table. No user record of such bytes is returned.
    """
    if not record.startswith(MAGIC):
        return None
    if len(record) < len(MAGIC) + DIGEST_BYTES:
        raise BrokenDigest(f"{len(record)} bytes are too few for an aggregate")
    body, digest = record[len(MAGIC) : -DIGEST_BYTES], record[-DIGEST_BYTES:]
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        raise BrokenDigest("the MD5 does not match")
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - see _message_class

    aggregated = _message_class()()
    try:
        aggregated.ParseFromString(body)
        partition_keys = list(aggregated.partition_key_table)
        hash_keys = list(aggregated.explicit_hash_key_table)
    except DecodeError as error:
        raise BrokenAggregate("the protobuf is broken") from error
    if not aggregated.IsInitialized():  # parsing does not check the required fields of records
        raise BrokenAggregate("the protobuf lacks a required field")
    if not all(isinstance(key, str) for key in (*partition_keys, *hash_keys)):
        raise BrokenAggregate("a key is not UTF-8")  # protobuf returns such a key as bytes
    return [_user_record(record, partition_keys, hash_keys) for record in aggregated.records]


def _user_record(record: Any, partition_keys: list[str], hash_keys: list[str]) -> UserRecord:
    partition_key_index = record.partition_key_index
    if partition_key_index >= len(partition_keys):
        raise BrokenAggregate(f"partition key {partition_key_index} of {len(partition_keys)}")
    hash_key = None
    if record.HasField("explicit_hash_key_index"):
        hash_key_index = record.explicit_hash_key_index
        if hash_key_index >= len(hash_keys):
            raise BrokenAggregate(f"explicit hash key {hash_key_index} of {len(hash_keys)}")
        hash_key = hash_keys[hash_key_index]
    return UserRecord(partition_keys[partition_key_index], record.data, hash_key)


@functools.cache
def _message_class() -> Any:
    """Build the AggregatedRecord message class from its definition in the description of the format.

    In a descriptor pool of its own: the generated module of aws-kinesis-agg imports by bare file names and registers
    them in the process-wide pool.

    protobuf takes longer to import than all of ours, and most processes never need it: `kpl_write` writes records,
    and `kpl_walk` reads the sound ones.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - see above

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="windrow/kpl.proto", package="windrow.kpl", syntax="proto2")

    def add(owner: Any, number: int, name: str, label: int, kind: int, type_name: str = "") -> None:
        owner.field.add(number=number, name=name, label=label, type=kind, type_name=type_name or None)

    tag = file.message_type.add(name="Tag")
    add(tag, 1, "key", field.LABEL_REQUIRED, field.TYPE_STRING)
    add(tag, 2, "value", field.LABEL_OPTIONAL, field.TYPE_STRING)
    record = file.message_type.add(name="Record")
    add(record, 1, "partition_key_index", field.LABEL_REQUIRED, field.TYPE_UINT64)
    add(record, 2, "explicit_hash_key_index", field.LABEL_OPTIONAL, field.TYPE_UINT64)
    add(record, 3, "data", field.LABEL_REQUIRED, field.TYPE_BYTES)
    add(record, 4, "tags", field.LABEL_REPEATED, field.TYPE_MESSAGE, ".windrow.kpl.Tag")
    aggregated = file.message_type.add(name="AggregatedRecord")
    add(aggregated, 1, "partition_key_table", field.LABEL_REPEATED, field.TYPE_STRING)
    add(aggregated, 2, "explicit_hash_key_table", field.LABEL_REPEATED, field.TYPE_STRING)
    add(aggregated, 3, "records", field.LABEL_REPEATED, field.TYPE_MESSAGE, ".windrow.kpl.Record")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("windrow.kpl.AggregatedRecord"))
