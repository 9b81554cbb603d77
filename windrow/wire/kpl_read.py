"""Reading back what `windrow.wire.kpl_write` wrote, without protobuf: a gateway does without that library."""

import hashlib

from windrow.wire.kpl import DIGEST_BYTES, MAGIC, UserRecord

_KEY_TAG, _RECORD_TAG = 0x0A, 0x1A
_PLACE_TAG, _PAYLOAD_TAG = 0x08, 0x1A
_VARINT_BYTES_MAX = 4
"""No length and no place in a record of at most a MiB takes more."""


def own_user_records(record: bytes) -> list[UserRecord] | None:
    """Return the user records of an aggregate; None unless it has the form in which `kpl_write` writes.

    That is a table of keys, then the user records, with nothing that is optional, and the right MD5. What it returns is
    what `windrow.wire.kpl.deaggregate` returns.
    """
    body, digest = record[len(MAGIC) : -DIGEST_BYTES], record[-DIGEST_BYTES:]
    if not record.startswith(MAGIC) or hashlib.md5(body, usedforsecurity=False).digest() != digest:
        return None
    try:
        return _user_records(body)
    except _AnotherFormError:
        return None


class _AnotherFormError(Exception):
    """The bytes may be an aggregate, but not one of ours."""


def _user_records(body: bytes) -> list[UserRecord]:
    keys: list[str] = []
    found: list[UserRecord] = []
    position = 0
    while position < len(body):
        tag = body[position]
        start, end = _field(body, position + 1, len(body))
        if tag == _KEY_TAG and not found:
            keys.append(_key(body[start:end]))
        elif tag == _RECORD_TAG:
            found.append(_user_record(body, start, end, keys))
        else:
            raise _AnotherFormError
        position = end
    return found


def _user_record(body: bytes, start: int, end: int, keys: list[str]) -> UserRecord:
    """Return the user record whose fields are `body[start:end]`."""
    if body[start:end][:1] != bytes([_PLACE_TAG]):
        raise _AnotherFormError
    place, position = _varint(body, start + 1, end)
    if place >= len(keys) or position >= end or body[position] != _PAYLOAD_TAG:
        raise _AnotherFormError
    first, last = _field(body, position + 1, end)
    if last != end:
        raise _AnotherFormError
    return UserRecord(keys[place], body[first:last])


def _key(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise _AnotherFormError from error


def _field(body: bytes, position: int, end: int) -> tuple[int, int]:
    """Return where the content begins and ends whose length is at `position`."""
    length, start = _varint(body, position, end)
    if start + length > end:
        raise _AnotherFormError
    return start, start + length


def _varint(body: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the varint at `position`, and where it ends."""
    value = 0
    for place, octet in enumerate(body[position : min(end, position + _VARINT_BYTES_MAX)]):
        value |= (octet & 0x7F) << (7 * place)
        if octet < 0x80:
            return value, position + place + 1
    raise _AnotherFormError
