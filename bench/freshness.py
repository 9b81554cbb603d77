"""How soon a reading can be seen, measured in real time: python -m bench.freshness

On an embedded stack of its own, one stage for each recommended setting of docs/tuning.md, a simulated fleet sends in
real time to all of them. Seen is what a client sees that lists the buckets twice a second: a partial (and so the view
of open windows) holds the reading, then the rows of its window are there. Takes up to nine minutes, most of it until
the windows' end and their tick. The findings are kept in bench/freshness.json, and docs/tuning.md has them as a table.

python -m bench.freshness --print     the table, from what was found
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.tuning import SETTINGS, row
from infra import embedded
from infra.prices import price_table
from windrow import settings
from windrow.deployment import find_stage
from windrow.lake.layout import AGGREGATES, PARTIALS, parse_partial_key, rows_key
from windrow.rows.partial_parquet import decode_partial
from windrow.stage import Stage
from windrow.window import Window

FOUND = Path(__file__).with_name("freshness.json")
SENSORS = 200
SEND_SECONDS = 100
LOOK_SECONDS = 0.5
ROWS_AFTER_SECONDS = 15 * 60
"""When nobody waits for rows any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one setting, the seconds from the event time of its readings to a partial and to a row: the median and most.

    `row_after_begin` is counted from the window's begin, as in the other tables.
    """

    setting: str
    readings: int
    partial_median: float
    partial_most: float
    row_median: float
    row_after_begin: float
    measured_on: str


@dataclass
class Watched:
    """One stage, and what was seen of it: the seconds until a partial held each reading, and until rows had it."""

    name: str
    stage: Stage
    seen: set[str] = field(default_factory=set)
    ages: list[npt.NDArray[np.float64]] = field(default_factory=list)
    events: dict[Window, list[npt.NDArray[np.int64]]] = field(default_factory=dict)
    rows_at: dict[Window, float] = field(default_factory=dict)

    def look(self) -> None:
        """Look for new partials and rows, as they are now."""
        for listed in self.stage.lake.list_objects(PARTIALS):
            if listed.key in self.seen:
                continue
            self.seen.add(listed.key)
            now_ms = time.time() * 1_000
            stored = self.stage.lake.get(listed.key)
            assert stored is not None
            event_time_ms = decode_partial(stored.body)[0].event_time_ms
            self.ages.append((now_ms - event_time_ms) / 1_000)
            self.events.setdefault(parse_partial_key(listed.key).window, []).append(event_time_ms)
        there = {listed.key for listed in self.stage.results.list_objects(AGGREGATES)}
        for window in self.events.keys() - self.rows_at.keys():
            if rows_key(window) in there:
                self.rows_at[window] = time.time()

    @property
    def is_done(self) -> bool:
        """Whether every window of which there are partials has rows."""
        return bool(self.events) and self.events.keys() == self.rows_at.keys()

    def found(self) -> Found:
        """Sum up."""
        ages = np.concatenate(self.ages)
        row_ages = np.concatenate(
            [self.rows_at[window] - times / 1_000 for window, parts in self.events.items() for times in parts]
        )
        return Found(
            setting=self.name,
            readings=len(ages),
            partial_median=round(float(np.median(ages)), 1),
            partial_most=round(float(ages.max()), 1),
            row_median=round(float(np.median(row_ages)), 1),
            row_after_begin=round(max(at - window.start_ms / 1_000 for window, at in self.rows_at.items()), 1),
            measured_on=datetime.now(UTC).date().isoformat(),
        )


def main() -> None:
    """Measure and keep, or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="measure nothing")
    if not parser.parse_args().print:
        measured = [json.dumps(asdict(one)) for one in measure()]
        FOUND.write_text("[\n  " + ",\n  ".join(measured) + "\n]\n")
    print("\n".join(lines()))


def found() -> list[Found]:
    """Return what was measured, in the order of the settings."""
    return [Found(**one) for one in json.loads(FOUND.read_text())]


def lines() -> Iterator[str]:
    """Yield the table in Markdown."""
    yield "| setting | readings | partial after s, median | most | worked out, at most | row after begin of window, s |"
    yield "|---|--:|--:|--:|--:|--:|"
    for one in found():
        wire, parameters = SETTINGS[one.setting]
        numbers = f"{one.readings:,} | {one.partial_median:.1f} | {one.partial_most:.1f}"
        at_most = row(wire, parameters, price_table()).partial_after
        yield f"| **{one.setting}** | {numbers} | {at_most:.0f} | {one.row_after_begin:.0f} |"


def measure() -> list[Found]:
    """Run the three stages side by side, on a stack of its own that is taken down again."""
    with tempfile.TemporaryDirectory(prefix="windrow-bench-") as folder:
        home = Path(folder)
        embedded.up(home, port=0)
        try:
            return _measured(home)
        finally:
            embedded.down(home)


def _measured(home: Path) -> list[Found]:
    for name, (_, parameters) in SETTINGS.items():
        given = [argument for one in parameters.items() for argument in ("--set", "=".join(one))]
        _windrow(home, name, "deploy", "--schedule", *given).wait()
        print(f"{name} is deployed", file=sys.stderr, flush=True)
    place = embedded.place(home)
    watched = [Watched(name, find_stage(place, name)) for name in SETTINGS]
    sending = [
        _windrow(
            home, name, "simulate", "--realtime", "--for", f"{SEND_SECONDS}s", "--sensors", f"{SENSORS}", "--wire", wire
        )
        for name, (wire, _) in SETTINGS.items()
    ]
    give_up = time.monotonic() + ROWS_AFTER_SECONDS
    while not (all(one.poll() is not None for one in sending) and all(one.is_done for one in watched)):
        for one in watched:
            one.look()
        if time.monotonic() > give_up:
            raise TimeoutError(f"no rows after {ROWS_AFTER_SECONDS} s: do ticks come by themselves?")
        time.sleep(LOOK_SECONDS)
    assert not any(one.returncode for one in sending), "a simulation failed"
    return [one.found() for one in watched]


def _windrow(home: Path, stage: str, *arguments: str) -> subprocess.Popen[bytes]:
    own = {settings.HOME: str(home), settings.TARGET: "embedded", settings.STAGE: stage}
    command = [str(Path(sys.executable).with_name("windrow")), *arguments]
    return subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    main()
