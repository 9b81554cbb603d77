"""What Flink and windrow are both given: records of a stream, in the order of their arrival, as a file.

A line has a record's arrival in milliseconds, a tab and its bytes in base64; `for_flink` leaves out the first.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from windrow.wire.kpl import UserRecord, aggregate

SECOND, MINUTE = 1_000, 60_000
START_MS = 1_763_632_800_000  # 2025-11-20 10:00 UTC; Flink leaves out what is ahead of its clock
READINGS_PER_RECORD = 50


@dataclass(frozen=True, slots=True, order=True)
class Sent:
    """One payload, and when the stream takes it."""

    arrival_ms: int
    sensor: str
    payload: bytes


def records_of(sent: Iterable[Sent], *, readings_per_record: int = READINGS_PER_RECORD) -> Iterator[tuple[int, bytes]]:
    """Yield the arrival and the bytes of records: aggregates of the KPL, and each tenth reading alone beside them.

    A record arrives with the last of its readings, as one that a producer gathered.
    """
    waiting: list[Sent] = []
    for number, one in enumerate(sorted(sent)):
        if number % 10 == 0:
            yield one.arrival_ms, one.payload
            continue
        waiting.append(one)
        if len(waiting) == readings_per_record:
            yield one.arrival_ms, _aggregate(waiting)
            waiting = []
    if waiting:
        yield waiting[-1].arrival_ms, _aggregate(waiting)


def _aggregate(sent: Sequence[Sent]) -> bytes:
    return aggregate([UserRecord(one.sensor, one.payload) for one in sent])


def write(records: Iterable[tuple[int, bytes]], folder: Path) -> tuple[Path, Path]:
    """Write the records for windrow and for Flink, and return both files."""
    ours, theirs = folder / "records.tsv", folder / "records.b64"
    with ours.open("wb") as first, theirs.open("wb") as second:
        for arrival_ms, body in records:
            line = base64.b64encode(body) + b"\n"
            first.write(b"%d\t" % arrival_ms + line)
            second.write(line)
    return ours, theirs
