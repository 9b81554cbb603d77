"""Aggregates written by others, kept in kpl/. Write them anew with `python -m tests.golden.kpl_golden`.

npm-*   by aws-kinesis-agg of npm, which needs node and `npm install --prefix tests/golden/kpl`
pypi-*  by aws-kinesis-agg of PyPI
hand-*  by hand after the published format, with what neither of them writes
"""

import base64
import functools
import gzip
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_kinesis_agg.aggregator import RecordAggregator

from windrow.aws.stream import RECORD_BYTES_MAX
from windrow.wire.kpl import MAGIC, UserRecord, seal

FOLDER = Path(__file__).parent / "kpl"
HALF = str(2**127)

CASES: dict[str, list[UserRecord]] = {
    "one": [UserRecord("roof", b'{"sensor_id":"roof"}')],
    "two-keys": [UserRecord("roof", b"1"), UserRecord("cellar", b"2"), UserRecord("roof", b"3")],
    "hash-keys": [
        UserRecord("roof", b"1", HALF),
        UserRecord("cellar", b"2", str(2**128 - 1)),
        UserRecord("x", b"3", HALF),
    ],
    "some-hash-keys": [UserRecord("roof", b"1"), UserRecord("cellar", b"2", HALF), UserRecord("roof", b"3")],
    "empty-payloads": [UserRecord("roof", b""), UserRecord("cellar", b""), UserRecord("roof", b"x")],
    "letters": [UserRecord("Dach/é/e\u0301", "°C".encode()), UserRecord("屋根", b"\x00\xff")],
    "many-keys": [UserRecord(f"sensor-{number:04}", b"%d" % number) for number in range(300)],
    "lengths": [UserRecord("k" * length, b"p" * length) for length in (1, 127, 128, 255, 256)]
    + [UserRecord("k", b"p" * length) for length in (16_379, 16_380, 16_383, 16_384)],
}
# One payload that fills a record of 1 MiB to the byte; npm's aggregator counts without the record's own key.
_AROUND = len(MAGIC) + 16 + len(b"\x0a\x04roof") + len(b"\x1a\x00\x00\x00\x08\x00\x1a\x00\x00\x00")
FULL = {"full": [UserRecord("roof", b"x" * (RECORD_BYTES_MAX - _AROUND))]}


def handmade() -> dict[str, tuple[bytes, list[UserRecord]]]:
    """Name, protobuf and meaning of aggregates with what other writers leave out or arrange differently."""
    # Field 4 twice: a tag with a value, and one without.
    tags = b"\x22\x0b\x0a\x04unit\x12\x03\xc2\xb0C\x22\x06\x0a\x04late"
    return {
        "tags": (b"\x0a\x04roof\x1a\x1a\x08\x00\x1a\x01x" + tags, [UserRecord("roof", b"x")]),
        "records-before-keys": (b"\x1a\x05\x08\x00\x1a\x01x\x0a\x04roof", [UserRecord("roof", b"x")]),
        "unused-keys": (b"\x0a\x04roof\x0a\x03old\x12\x010\x1a\x05\x08\x00\x1a\x01x", [UserRecord("roof", b"x")]),
        "unknown-field": (b"\x0a\x04roof\x1a\x05\x08\x00\x1a\x01x\x7a\x03new", [UserRecord("roof", b"x")]),
        "overlong-varints": (b"\x0a\x84\x00roof\x1a\x86\x00\x08\x80\x00\x1a\x01x", [UserRecord("roof", b"x")]),
        "no-records": (b"\x0a\x04roof", []),
    }


def golden() -> dict[str, tuple[bytes, list[UserRecord]]]:
    """Every kept aggregate with its meaning."""
    meanings = {**CASES, **FULL, **{name: meaning for name, (_, meaning) in handmade().items()}}
    return {
        path.name.removesuffix(".bin.gz"): (
            gzip.decompress(path.read_bytes()),
            meanings[path.name.split("-", 1)[1][:-7]],
        )
        for path in sorted(FOLDER.glob("*.bin.gz"))
    }


@functools.cache
def node_is_ready() -> bool:
    """Whether node and the npm package are there."""
    return shutil.which("node") is not None and (FOLDER / "node_modules" / "aws-kinesis-agg").is_dir()


def by_node(*, write: Mapping[str, Sequence[UserRecord]] = {}, read: Mapping[str, bytes] = {}) -> dict[str, Any]:
    """Ask the npm package."""
    asked = {
        "write": {name: [_spelled(one) for one in records] for name, records in write.items()},
        "read": {name: base64.b64encode(body).decode() for name, body in read.items()},
    }
    run = subprocess.run(
        ["node", FOLDER / "aggregate.cjs"], input=json.dumps(asked).encode(), capture_output=True, check=True
    )
    answer = json.loads(run.stdout)
    return {
        "written": {name: base64.b64decode(body) for name, body in answer["written"].items()},
        "read": {
            name: [UserRecord(key, base64.b64decode(payload), hash_key) for key, hash_key, payload in records]
            for name, records in answer["read"].items()
        },
    }


def by_pypi(records: Sequence[UserRecord]) -> bytes:
    """Ask the PyPI package."""
    aggregator = RecordAggregator()
    for one in records:
        if aggregator.add_user_record(one.partition_key, one.payload, one.explicit_hash_key) is not None:
            raise ValueError("these records do not fit into one aggregate")
    body: bytes = aggregator.clear_and_get().get_contents()[2]
    return body


def _spelled(one: UserRecord) -> list[str | None]:
    return [one.partition_key, one.explicit_hash_key, base64.b64encode(one.payload).decode()]


def main() -> None:
    """Write every file; those of npm only where it is."""
    written = {f"pypi-{name}": by_pypi(records) for name, records in CASES.items()}
    written |= {f"hand-{name}": seal(body) for name, (body, _) in handmade().items()}
    if node_is_ready():
        written |= {f"npm-{name}": body for name, body in by_node(write={**CASES, **FULL})["written"].items()}
    for name, body in written.items():
        (FOLDER / f"{name}.bin.gz").write_bytes(gzip.compress(body, mtime=0))


if __name__ == "__main__":
    main()
