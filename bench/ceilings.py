"""What one window takes of the dispatcher, up to 300 million readings: python -m bench.ceilings measures it.

Each case is a window of partials in a folder, rolled in a process of its own as a tick does: peak memory, bytes on
local disk, CPU seconds. The findings are kept in bench/ceilings.json, and docs/tuning.md has them as a table.

python -m bench.ceilings                          all cases: an hour, and 3 GB in the folder for temporary files
python -m bench.ceilings --readings 10 --sensors 1000    those of 10 million readings and 1,000 sensors
python -m bench.ceilings --print                  the table, from what was found
"""

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import peak_mb
from bench.rollup_window import READINGS_PER_PARTIAL, WINDOW, FolderStore, Size
from windrow.settings import RUNTIME

FOUND = Path(__file__).with_name("ceilings.json")
MILLION = 1_000_000
READINGS = (1, 10, 30, 100, 300)
"""Millions in one window."""
SENSORS = (1_000, 100_000, 1_000_000)
ONE_SENSOR = (1, 3, 10)
"""Millions of readings of a window that has one sensor, which cannot be split."""
SAMPLES_PER_SECOND = 50
READERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the roll of one window took."""

    sensors: int
    readings: int
    partials: int
    memory_mb: float
    disk_mb: float
    cpu_seconds: float
    measured_on: str


def cases() -> Iterator[Size]:
    """Yield all windows that are measured, the smallest first."""
    for millions in READINGS:
        for sensors in (*((1,) if millions in ONE_SENSOR else ()), *SENSORS):
            yield Size(partials=millions * MILLION // READINGS_PER_PARTIAL, sensors=sensors)
    for millions in set(ONE_SENSOR) - set(READINGS):
        yield Size(partials=millions * MILLION // READINGS_PER_PARTIAL, sensors=1)


def main() -> None:
    """Measure the cases that are asked for, and keep what was found; or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, help="millions; without it, all")
    parser.add_argument("--sensors", type=int, help="without it, all")
    parser.add_argument("--print", action="store_true", help="measure nothing")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        print(json.dumps(_rolled(arguments.folder)))
        return
    for size in () if arguments.print else cases():
        if arguments.readings in (None, size.readings // MILLION) and arguments.sensors in (None, size.sensors):
            _keep(_measured(size))
    print("\n".join(lines()))


def found() -> list[Found]:
    """Return what was measured, by sensors and readings."""
    kept = json.loads(FOUND.read_text()) if FOUND.exists() else []
    return sorted((Found(**one) for one in kept), key=lambda one: (one.sensors, one.readings))


def lines() -> Iterator[str]:
    """Yield the table in Markdown."""
    yield "| sensors | readings in a window | memory, MB | local disk, MB | CPU s |"
    yield "|--:|--:|--:|--:|--:|"
    for one in found():
        numbers = f"{one.memory_mb:,.0f} | {one.disk_mb:,.0f} | {one.cpu_seconds:,.1f}"
        yield f"| {one.sensors:,} | {one.readings:,} | {numbers} |"


def _keep(one: Found) -> None:
    print(one, file=sys.stderr, flush=True)
    others = [kept for kept in found() if (kept.sensors, kept.readings) != (one.sensors, one.readings)]
    ordered = sorted([*others, one], key=lambda kept: (kept.sensors, kept.readings))
    FOUND.write_text("[\n" + ",\n".join("  " + json.dumps(asdict(kept)) for kept in ordered) + "\n]\n")


def _measured(size: Size) -> Found:
    """Write the partials of a window and roll them, each in a process of its own in the functions' environment."""
    environment = os.environ | RUNTIME
    with tempfile.TemporaryDirectory(prefix="windrow-bench-") as folder:
        code = f"from bench.rollup_window import *; make(Path({folder!r}), {size!r}, flat=False)"
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
        command = [sys.executable, "-m", "bench.ceilings", "--folder", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, text=True)  # noqa: S603
    return Found(
        sensors=size.sensors,
        measured_on=datetime.now(UTC).date().isoformat(),
        **json.loads(done.stdout.splitlines()[-1]),
    )


def _rolled(folder: Path) -> dict[str, float]:
    """Roll the window in `folder`, as the first tick after its end does."""
    from dispatcher.due import DueReason, DueWindow  # noqa: PLC0415 - the parent's memory is its own
    from dispatcher.observation import Buckets  # noqa: PLC0415
    from dispatcher.report import RollOutcome  # noqa: PLC0415
    from dispatcher.roll import roll_window  # noqa: PLC0415
    from dispatcher.roller import Roller  # noqa: PLC0415
    from windrow.lake.layout import partials_prefix  # noqa: PLC0415
    from windrow.lifetimes import Lifetimes  # noqa: PLC0415

    store = FolderStore(folder / "ours")
    lifetimes = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24)
    with ThreadPoolExecutor(READERS) as readers, _disk_watched() as greatest:
        roller = Roller(
            buckets=Buckets(lake=store, results=store),
            lifetimes=lifetimes,
            scheduled_time_ms=WINDOW.end_ms + 120_000,
            mapper=readers.map,
        )
        report = roll_window(roller, DueWindow(window=WINDOW, reasons=(DueReason.RECENT,)))
    assert report.outcome is RollOutcome.ROLLED, report
    return {
        "readings": report.readings,
        "partials": sum(1 for _ in store.list_objects(partials_prefix(WINDOW))),
        "memory_mb": round(peak_mb(), 1),
        "disk_mb": round(max(greatest) / 1e6, 1),
        "cpu_seconds": round(time.process_time(), 2),
    }


@contextmanager
def _disk_watched() -> Iterator[list[int]]:
    """Look at this process's files without a name many times a second, and yield a list that gets their bytes."""
    sizes = [0]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(1 / SAMPLES_PER_SECOND):
            sizes[0] = max(sizes[0], sum(map(_nameless_bytes, Path("/proc/self/fd").iterdir())))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield sizes
    finally:
        is_over.set()
        watcher.join()


def _nameless_bytes(descriptor: Path) -> int:
    try:
        status = os.fstat(int(descriptor.name))
    except OSError:  # closed meanwhile
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) and not status.st_nlink else 0


if __name__ == "__main__":
    main()
