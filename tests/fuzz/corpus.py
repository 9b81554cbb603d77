"""The seeds of the fuzzer, as kept in corpus/: small payloads of every kind. Written by `python -m tests.fuzz.corpus`.

A finding is added by hand, under a name that says what it was; nothing here removes it.
"""

from pathlib import Path

import pyarrow as pa

from tests.unit.arrow_blocks import block_of, table, with_dictionary
from tests.unit.stream_records import aggregated, encoded, reading
from windrow.reading import Readings
from windrow.wire.block.block import encode_block
from windrow.wire.kpl import UserRecord, aggregate, seal

FOLDER = Path(__file__).parent / "corpus"
_READINGS = [reading(f"site-{n % 3:02}/sensor-{n:04}", at_ms=n * 997, milli=20_000 - n, sequence=n) for n in range(9)]

JSON = {
    "plain": encoded(_READINGS)[1],
    "spaced": b'{ "sensor_id" : "roof" ,\n "event_time" : 1795169100000 , "temperature" : 21.5 }\n',
    "reordered": b'{"unit":"F","temperature":70.5,"event_time":"2026-11-20T10:05:00.123+01:00","sensor_id":"roof"}',
    "kelvin": b'{"sensor_id":"roof","event_time":1795169100001,"temperature":2.9315e2,"unit":"K","sequence":7}',
    "escaped": b'{"sensor_id":"\\u0072oof\\ud83c\\udf21","event_time":1795169100002,"temperature":-0.0}',
    "unicode": '{"sensor_id":"dach-ü","event_time":1795169100003,"temperature":1e-3}'.encode(),
    "extra": b'{"sensor_id":"roof","event_time":1795169100004,"temperature":1,"x":[{"a":null},true,"b"],"y":0.97}',
    "twice": b'{"sensor_id":"roof","event_time":1795169100005,"temperature":1,"temperature":2}',
    "nan": b'{"sensor_id":"roof","event_time":1795169100006,"temperature":NaN}',
    "huge": b'{"sensor_id":"roof","event_time":1795169100007,"temperature":1e400}',
    "surrogate": b'{"sensor_id":"\\ud800","event_time":1795169100008,"temperature":1}',
    "largest": b'{"sensor_id":"roof","event_time":1795169100009,"temperature":10000,"sequence":9223372036854775807}',
    "nothing": b"",
    "null": b"null",
}


def seeds() -> dict[str, bytes]:
    """Name and bytes of every seed that is made here."""
    readings = Readings.of(_READINGS)
    plain = table(readings)
    blocks = {
        "block": encode_block(readings),
        "block-one": encode_block(Readings.of(_READINGS[:1])),
        "block-strings": block_of(plain),
        "block-bare": block_of(with_dictionary(plain, pa.int8()), compression=None),
    }
    explicit = aggregate(
        [UserRecord("a", JSON["plain"], "0"), UserRecord("b", b"", "340282366920938463463374607431768211455")]
    )
    aggregates = {
        "aggregate": aggregated(encoded(_READINGS)),
        "aggregate-mixed": aggregated([*JSON.values(), blocks["block-one"]]),
        "aggregate-keys": explicit,
        "aggregate-empty": seal(b""),
    }
    return {**{f"json-{name}": body for name, body in JSON.items()}, **blocks, **aggregates}


def load() -> list[bytes]:
    """Every seed on file, findings among them."""
    return [path.read_bytes() for path in sorted(FOLDER.iterdir())]


def main() -> None:
    """Write the seeds that are made here."""
    FOLDER.mkdir(exist_ok=True)
    for name, body in seeds().items():
        (FOLDER / f"{name}.bin").write_bytes(body)


if __name__ == "__main__":
    main()
