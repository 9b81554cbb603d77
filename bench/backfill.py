"""History by the state machine, and by windrow ingest --backfill:

python -m bench.backfill --readings 10000000 --days 30

On an embedded stack of its own, with a stage for each way: Parquet files, one a day, sorted by time, of readings older
than the stage would take from its stream. Into the stage of the machine a small fleet sends in real time meanwhile, and
its schedule runs. Every row is compared with the readings; live windows are timed from their end until rows are there.
Prints a line for each way, and one for the live windows. A tenth of the readings in a tenth of the days is a tenth of
the work: parts, partials and rolls are as large, and there are a tenth of them.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from dispatcher.due import FIRST_TICK_AFTER_MS, ON_TIME_TICKS, TICK_EVERY_MS
from infra import embedded
from windrow import settings
from windrow.aws.clients import client
from windrow.columns.arrays import Int64s
from windrow.deployment import find_stage
from windrow.lake.layout import AGGREGATES, BACKFILL_MARKERS, PARTIALS, lineage_key, parse_partial_key, parse_result_key
from windrow.period import DAY_MS
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window

ARCHIVE = "archive-of-bench"
DAYS_BEFORE_NOW = 60
"""So long ago is the last day of the history: beyond the lateness horizon, and any window that ticks look at."""
LIVE_SENSORS = 100
LIVE_LOOK_SECONDS = 2.0
ON_TIME_MS = FIRST_TICK_AFTER_MS + (ON_TIME_TICKS - 1) * TICK_EVERY_MS
"""How long after its end a live window is rolled on time: by one of its first ticks, beside what that tick takes."""


@dataclass(frozen=True, slots=True)
class History:
    """So many readings of so many days, ascending by time: one each `every_ms`, of sensors in turn."""

    start_ms: int
    days: int
    readings: int
    sensors: int

    def of_day(self, day: int) -> pyarrow.Table:
        """Return the readings of one day."""
        first, last = (self.readings * n // self.days for n in (day, day + 1))
        number = np.arange(first, last)
        offset = (number - first) * DAY_MS // (last - first)
        return pyarrow.table(
            {
                "sensor_id": pyarrow.array(np.char.add("bench-", (number % self.sensors).astype(str))),
                "event_time": self.start_ms + day * DAY_MS + offset,
                "temperature": self.milli(number) / 1_000,
            }
        )

    def truth(self) -> dict[int, tuple[int, int]]:
        """Return the number of readings and the sum of their values, in thousandths, of each window by its start."""
        found: dict[int, tuple[int, int]] = {}
        for day in range(self.days):
            first, last = (self.readings * n // self.days for n in (day, day + 1))
            number = np.arange(first, last)
            time_ms = self.start_ms + day * DAY_MS + (number - first) * DAY_MS // (last - first)
            starts, place = np.unique(time_ms // WINDOW_MS * WINDOW_MS, return_inverse=True)
            counts = np.bincount(place).tolist()
            sums = np.zeros(len(starts), np.int64)
            np.add.at(sums, place, self.milli(number))
            found |= dict(zip(starts.tolist(), zip(counts, sums.tolist(), strict=True), strict=True))
        return found

    @staticmethod
    def milli(number: Int64s) -> Int64s:
        """Return the values of readings by their numbers."""
        return 15_000 + number * 7_919 % 10_000


@dataclass(slots=True)
class LiveWindows:
    """The windows that ended while history came, and when their lineage was first seen."""

    stage: Stage
    first: Window
    is_over: threading.Event = field(default_factory=threading.Event)
    seen_after_ms: dict[Window, int] = field(default_factory=dict)

    def watch(self) -> None:
        """Look every other second, until it is over and the last window that has ended is seen or late."""
        window = self.first
        while True:
            now_ms = time.time_ns() // 1_000_000
            if self.stage.results.get(lineage_key(window)) is not None:
                self.seen_after_ms[window] = now_ms - window.end_ms
                window = Window(window.end_ms)
            elif now_ms > window.end_ms + ON_TIME_MS + TICK_EVERY_MS:
                self.seen_after_ms[window] = now_ms - window.end_ms  # and still not there
                window = Window(window.end_ms)
            elif self.is_over.is_set() and window.end_ms > now_ms:
                return
            time.sleep(LIVE_LOOK_SECONDS)


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--sensors", type=int, default=1_000)
    parser.add_argument("--only", choices=("machine", "ingest"), help="one of the ways; both if none is named")
    given = parser.parse_args()
    now_ms = time.time_ns() // 1_000_000
    start_ms = (now_ms // DAY_MS - DAYS_BEFORE_NOW - given.days) * DAY_MS
    history = History(start_ms, days=given.days, readings=given.readings, sensors=given.sensors)
    with tempfile.TemporaryDirectory(prefix="windrow-bench-") as folder:
        home = Path(folder)
        embedded.up(home, port=0)
        try:
            for line in _measured(home, history, only=given.only):
                print(line, flush=True)
        finally:
            embedded.down(home)


def _measured(home: Path, history: History, *, only: str | None) -> Iterator[str]:
    place = embedded.place(home)
    s3 = client("s3", place)
    s3.create_bucket(Bucket=ARCHIVE)
    files = home / "history"
    files.mkdir()
    for day in range(history.days):
        body = io.BytesIO()
        pyarrow.parquet.write_table(history.of_day(day), body, row_group_size=100_000)
        (files / f"{day:03}.parquet").write_bytes(body.getvalue())
        s3.put_object(Bucket=ARCHIVE, Key=f"history/{day:03}.parquet", Body=body.getvalue())
    if only != "ingest":
        _run(home, "machine", "deploy", "--schedule", "--set", "Backfill=on", "--set", f"BackfillBucket={ARCHIVE}")
        yield from _by_machine(home, history)
    if only != "machine":
        _run(home, "ingest", "deploy", "--no-schedule")
        yield from _by_ingest(home, history, files)


def _by_machine(home: Path, history: History) -> Iterator[str]:
    stage = find_stage(embedded.place(home), "machine")
    sending = _begin(home, "machine", "simulate", "--realtime", "--for", "1h", "--sensors", str(LIVE_SENSORS))
    live = LiveWindows(stage, first=Window.containing(time.time_ns() // 1_000_000))
    watching = threading.Thread(target=live.watch)
    watching.start()
    try:
        begun, cpu = time.monotonic(), cpu_seconds(home)
        _run(home, "machine", "backfill", f"s3://{ARCHIVE}/history/", "--follow")
        seconds, cpu = time.monotonic() - begun, cpu_seconds(home) - cpu
    finally:
        sending.terminate()
        sending.wait()
        live.is_over.set()
        watching.join()
    yield f"machine: {seconds:.0f} s, {cpu:.0f} CPU s of the stack; {_compared(stage, history)}"
    late = [one for one in live.seen_after_ms.values() if one > ON_TIME_MS + 60_000]
    most = max(live.seen_after_ms.values(), default=0) / 1_000
    facts = f"{len(live.seen_after_ms)} that ended, {len(late)} late, rows {most:.0f} s after the end at most"
    yield f"live windows beside it: {facts}"


def _by_ingest(home: Path, history: History, files: Path) -> Iterator[str]:
    stage = find_stage(embedded.place(home), "ingest")
    begun, cpu = time.monotonic(), cpu_seconds(home)
    names = [str(path) for path in sorted(files.iterdir())]
    _run(home, "ingest", "ingest", *names, "--backfill")
    written = time.monotonic() - begun
    while any(stage.lake.list_objects(BACKFILL_MARKERS)):
        _run(home, "ingest", "tick")
    seconds, cpu = time.monotonic() - begun, cpu_seconds(home) - cpu
    facts = f"{seconds:.0f} s, {written:.0f} of them until all is written, {cpu:.0f} CPU s of the stack"
    yield f"ingest: {facts}; {_compared(stage, history)}"


def _compared(stage: Stage, history: History) -> str:
    """Say how many windows have the rows that they should, by count and by sum, of how many."""
    truth, found = history.truth(), {}
    end_ms = history.start_ms + history.days * DAY_MS
    for listed in stage.results.list_objects(AGGREGATES):
        start_ms = parse_result_key(listed.key).start_ms
        if history.start_ms <= start_ms < end_ms:
            stored = stage.results.get(listed.key)
            body = io.BytesIO(stored.body if stored else b"")
            rows = pyarrow.parquet.read_table(body, columns=["readings", "sum_milli"])
            found[start_ms] = (sum(rows["readings"].to_pylist()), sum(rows["sum_milli"].to_pylist()))
    right = sum(found.get(start_ms) == one for start_ms, one in truth.items())
    keys = (parse_partial_key(listed.key) for listed in stage.lake.list_objects(PARTIALS))
    partials = sum(history.start_ms <= key.window.start_ms < end_ms for key in keys)
    return f"{right:,} of {len(truth):,} windows right, {len(found) - right} others, {partials:,} partials"


def cpu_seconds(home: Path) -> float:
    """Return what the stack's process and all below it have used of the CPU: see proc(5), fields 14 to 17."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        used[int(folder.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    running = embedded.status(home)
    total, waiting = 0.0, [running.process.pid] if running else []
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children.get(pid, [])
    return total


def _run(home: Path, stage: str, *arguments: str) -> None:
    if _begin(home, stage, *arguments).wait():
        raise RuntimeError(f"windrow {' '.join(arguments)} failed")


def _begin(home: Path, stage: str, *arguments: str) -> "subprocess.Popen[bytes]":
    own = {settings.HOME: str(home), settings.TARGET: "embedded", settings.STAGE: stage}
    command = [str(Path(sys.executable).with_name("windrow")), *arguments]
    return subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    main()
