"""Mutating payloads so that they get past the first check: bytes, JSON tokens, aggregates that are sealed again."""

import random
from collections.abc import Callable, Sequence

from windrow.wire.block import BLOCK_MAGIC, is_block
from windrow.wire.kpl import DIGEST_BYTES, MAGIC, BrokenAggregate, UserRecord, aggregate, deaggregate, seal

PAYLOAD_BYTES_MAX = 200_000
_TOKENS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"-0",
    b"-0.0",
    b"1E+2",
    b"0x1",
    b"01",
    b"1.",
    b".5",
    b"+1",
    b"1e-999",
    b"9" * 5_000,
    b"9" * 19,
    b"-1",
    b"1" + b"0" * 63,
    b"0." + b"0" * 61 + b"1",
    b"9223372036854775808",
    b"253402300800000",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83c\\udf21",
    b"\\/",
    b"/**/",
    b"null",
    b"true",
    b"false",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\t",
    b"\n",
    b"\r",
    b" ",
    b'"sensor_id"',
    b'"event_time"',
    b'"temperature"',
    b'"unit"',
    b'"sequence"',
    b'"C"',
    b'"F"',
    b'"K"',
    b'"k"',
    b'"sensor_id":"x",',
    b'"unit":"F",',
    b'"sequence":1,',
    b"[" * 2_000,
    b'{"a":' * 40,
    b'"2026-11-20T10:05:60Z"',
    b'"2026-11-20T10:05:00+24:00"',
    b"1795169100000",
    b"1795169100000.0",
    b"17951691e5",
    MAGIC,
    BLOCK_MAGIC,
    b"\x1a",
    b"\x9a",
)
_NUMBERS = (0, 1, 127, 128, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


class Mutator:
    """Mutations of `seeds`, the same for the same seed of `chance`."""

    def __init__(self, seeds: Sequence[bytes], chance: random.Random) -> None:
        self._seeds = seeds
        self._chance = chance
        self._edits: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._set,
            self._number,
            self._insert,
            self._delete,
            self._repeat,
            self._splice,
        )

    def payload(self) -> bytes:
        """A seed, mutated once or several times, or not at all."""
        return self._mutated(self._chance.choice(self._seeds), depth=0)[:PAYLOAD_BYTES_MAX]

    def _mutated(self, payload: bytes, *, depth: int) -> bytes:
        roll = self._chance.random()
        if roll < 0.05:
            return payload
        if payload.startswith(MAGIC) and depth < 2:
            return self._aggregate(payload, depth=depth)
        head = BLOCK_MAGIC + b"\x01" if is_block(payload) and roll < 0.95 else b""
        body = bytearray(payload[len(head) :])
        for _ in range(self._chance.choice((1, 1, 1, 2, 3, 8))):
            self._chance.choice(self._edits)(body)
        return head + bytes(body)

    def _aggregate(self, payload: bytes, *, depth: int) -> bytes:
        """Mutate the payloads within, or the protobuf, or the record; the first two are sealed again."""
        roll = self._chance.random()
        try:
            user_records = deaggregate(payload) if roll < 0.6 else None
        except BrokenAggregate:
            user_records = None
        if user_records:
            place = self._chance.randrange(len(user_records))
            donor = user_records[place].payload if roll < 0.4 else self._chance.choice(self._seeds)
            changed = UserRecord(user_records[place].partition_key, self._mutated(donor, depth=depth + 1))
            return aggregate([*user_records[:place], changed, *user_records[place + (roll < 0.5) :]])
        body = bytearray(payload[len(MAGIC) : -DIGEST_BYTES])
        for _ in range(self._chance.choice((1, 1, 2, 4))):
            self._chance.choice(self._edits)(body)
        if roll < 0.95:
            return seal(bytes(body))
        return MAGIC + bytes(body) + payload[-DIGEST_BYTES:]

    # ---- edits of bytes ----------------------------------------------------------------------------------------------

    def _at(self, body: bytearray) -> int:
        return self._chance.randrange(len(body) + 1)

    def _flip(self, body: bytearray) -> None:
        if body:
            body[self._chance.randrange(len(body))] ^= 1 << self._chance.randrange(8)

    def _set(self, body: bytearray) -> None:
        if body:
            body[self._chance.randrange(len(body))] = self._chance.randrange(256)

    def _number(self, body: bytearray) -> None:
        width = self._chance.choice((1, 2, 4, 8))
        at = self._at(body)
        at -= at % width if self._chance.random() < 0.7 else 0
        number = self._chance.choice(_NUMBERS) if self._chance.random() < 0.7 else self._chance.randrange(5_000)
        body[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")

    def _insert(self, body: bytearray) -> None:
        at = self._at(body)
        end = at + self._chance.choice((0, 0, 1, 4, 13))
        body[at:end] = self._chance.choice(_TOKENS)

    def _delete(self, body: bytearray) -> None:
        at = self._at(body)
        del body[at : at + self._chance.choice((1, 1, 2, 8, 64, len(body)))]

    def _repeat(self, body: bytearray) -> None:
        at = self._at(body)
        part = body[at : at + self._chance.choice((1, 4, 16, 64))]
        body[at:at] = part * self._chance.choice((1, 1, 2, 30))

    def _splice(self, body: bytearray) -> None:
        donor = self._chance.choice(self._seeds)
        body[self._at(body) :] = donor[self._chance.randrange(len(donor) + 1) :]
