"""The roll of a large window, against pandas: CPU, memory, growth; and what a tick over settled windows costs.

python -m bench.rollup                600 partials x 20,000 readings, 1,000,000 sensors: some minutes
python -m bench.rollup --scale 0.1    a tenth of that
"""

import argparse
import hashlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Finding, cpu_seconds, peak_mb
from bench.rollup_window import WINDOW, FolderStore, Size

FULL = Size(partials=600, sensors=1_000_000)
LATE = Size(partials=1_500, sensors=1_000_000)
GROWTH = (1, 4, 16)
LATE_FIRST_PERCENT_MAX = 20
"""What a united set costs the roll that keeps it; it was 15 when all else that a roll does took a sixth more CPU."""
SCALE = 1.0
# The growth is measured from a sixteenth of the size on.
GROWTH_SCALE = 1 / 16
# us-east-1, November 2026: https://aws.amazon.com/s3/pricing/
USD_PER_LIST_OR_PUT, USD_PER_GET = 0.005 / 1000, 0.0004 / 1000
TICKS_PER_MONTH = 12 * 24 * 30
USD_MAX = 10
OUTAGE_WINDOWS = 48
PERIODS_SCALE = 0.1
PERIODS_CPU_SECONDS = {"silence": 6, "hour": 15, "day": 30}
"""A quarter and half of what a million sensors took in e49d546 on a slower machine: 24, 25 and 50."""
CPU_TARGET_WITH_SHA, CPU_TARGET_WITHOUT_SHA = 5.5, 3.5
SHA_MB_PER_SECOND_MIN = 600
"""Software does 200 to 400 MB/s, instructions (as Lambda's arm64 has them) 1,000 and more."""
TICKS_PER_HOUR = 12
"""A silence is worked out at every tick, an hour and its day at one of so many."""
PERIODS_PERCENT_MAX = 40
RULES_CPU_SECONDS = {"minutes": 6, "all": 15}
RULES_PERCENT_MAX = 45


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way took, in a process of its own."""

    cpu_seconds: float
    seconds: float
    peak_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=SCALE)
    parser.add_argument("--only", choices=["roll", "growth", "late", "tick"])
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        _work(arguments.way, arguments.folder)
        return
    for name, bench in (
        ("roll", bench_roll),
        ("growth", bench_growth),
        ("late", bench_late),
        ("tick", lambda _: bench_tick()),
    ):
        if arguments.only in (None, name):
            for finding in bench(arguments.scale):
                print(finding, flush=True)


def bench_roll(scale: float = SCALE) -> list[Finding]:
    """Ours beside pandas, and polars and duckdb where they are installed."""
    size = Size(partials=round(FULL.partials * scale), sensors=round(FULL.sensors * scale))
    ways = ["ours", "pandas", *(name for name in ("duckdb", "polars") if importlib.util.find_spec(name))]
    with _window(size, flat=True) as folder:
        # Ours before, between and after the others, so that a machine that is busy for a while is busy for all.
        ours_each = []
        costs = {}
        for way in ways[1:]:
            ours_each.append(_measured("ours", folder))
            costs[way] = _measured(way, folder)
        ours_each.append(_measured("ours", folder))
    costs = {"ours": sorted(ours_each, key=lambda cost: cost.cpu_seconds)[len(ours_each) // 2]} | costs
    print(f"# roll: {size.readings:,} readings in {size.partials} partials, {size.sensors:,} sensors")
    for way, cost in costs.items():
        print(f"#   {way:<8} {cost.cpu_seconds:7.1f} cpu-s {cost.seconds:7.1f} s {cost.peak_mb:7.0f} MB peak")
    ours, baseline = costs["ours"], costs["pandas"]
    rate = sha256_mb_per_second()
    has_instructions = rate >= SHA_MB_PER_SECOND_MIN
    print(f"#   SHA-256 at {rate:,.0f} MB/s: a processor with{'' if has_instructions else 'out'} instructions for it")
    return [
        _compared(
            "rollup.cpu",
            ours.cpu_seconds,
            baseline.cpu_seconds,
            target=CPU_TARGET_WITH_SHA if has_instructions else CPU_TARGET_WITHOUT_SHA,
            unit="cpu-s",
        ),
        _compared("rollup.memory", ours.peak_mb, baseline.peak_mb, target=4, unit="MB"),
    ]


def sha256_mb_per_second() -> float:
    """The rate of SHA-256 over a megabyte, the best of some runs: it tells whether the processor has instructions."""
    body = bytes(1_000_000)
    return 1 / min(cpu_seconds(lambda: hashlib.sha256(body).digest()) for _ in range(9))


def bench_growth(scale: float = SCALE) -> list[Finding]:
    """The same sensors with 1x, 4x and 16x the readings: time in proportion, memory flat."""
    costs = []
    base = Size(
        partials=round(FULL.partials * scale * GROWTH_SCALE), sensors=round(FULL.sensors * scale * GROWTH_SCALE)
    )
    print(f"# growth: {base.sensors:,} sensors")
    for factor in GROWTH:
        size = Size(partials=base.partials * factor, sensors=base.sensors)
        with _window(size, flat=False) as folder:
            cost = _measured("ours", folder)
        costs.append(cost)
        rate = size.readings / cost.cpu_seconds / 1e6
        print(
            f"#   {factor:>2}x {size.readings:>11,} readings {cost.cpu_seconds:7.1f} cpu-s {cost.seconds:7.1f} s"
            f" {cost.peak_mb:6.0f} MB peak {rate:5.2f} M readings/cpu-s"
        )
    first, last = costs[0], costs[-1]
    cpu = _compared("rollup.growth", last.cpu_seconds / GROWTH[-1], first.cpu_seconds, target=0.8, unit="cpu-s/1x")
    return [cpu, _compared("rollup.growth.memory", last.peak_mb, first.peak_mb, target=0.7, unit="MB")]


def bench_late(scale: float = SCALE) -> list[Finding]:
    """A roll for one late partial, against the first roll of the same window: 30 readings a sensor."""
    size = Size(partials=round(LATE.partials * scale), sensors=round(LATE.sensors * scale))
    found = _first_and_late(size)
    first, late = found["first_cpu_seconds"], found["late_cpu_seconds"]
    print(f"# late: {size.readings:,} readings in {size.partials} partials, {size.sensors:,} sensors")
    print(f"#   first roll {first:.2f} cpu-s, {found['union_cpu_seconds']:.2f} of them for {found['ranges']} ranges")
    print(f"#   partials {found['partials_mb']:.0f} MB, united set {found['union_mb']:.0f} MB")
    print(
        f"#   late roll {late:.2f} cpu-s, {found['late_calls']}, and shared with all rolls of a tick: a LIST, a DELETE"
    )
    return [
        _compared("rollup.late", late, first, target=4, unit="cpu-s"),
        Finding(name="rollup.late.s3_calls", ours=sum(found["late_calls"].values()), at_most=10, unit="calls"),
        Finding(
            name="rollup.late.first",
            ours=100 * found["union_cpu_seconds"] / first,
            at_most=LATE_FIRST_PERCENT_MAX,
            unit="% of first roll",
        ),
    ]


def bench_tick() -> list[Finding]:
    """One tick over settled windows, at 10 and at 100 shards of which each wrote 15 partials a window."""
    from bench.rollup_tick import settled_tick  # noqa: PLC0415 - the simulation is no part of the other benches

    findings = []
    for shards in (10, 100):
        calls, windows = settled_tick(shards)
        lists, gets = calls.get("list", 0) + calls.get("put", 0), calls.get("get", 0)
        month = (lists * USD_PER_LIST_OR_PUT + gets * USD_PER_GET) * TICKS_PER_MONTH
        print(f"# tick: {shards} shards, {windows} settled windows: {lists} LIST, {gets} GET; {month:.2f} USD a month")
        suffix = "" if shards == 10 else f".{shards}"
        findings += [
            Finding(name=f"tick.s3_calls{suffix}", ours=lists + gets, unit="calls"),
            Finding(name=f"tick.s3_calls.cost{suffix}", ours=month, at_most=USD_MAX, unit="USD/month"),
        ]
    return findings


def bench_periods(scale: float = PERIODS_SCALE) -> list[Finding]:
    """CPU of a silence, an hour and a day, of a fraction of the fleet, as it would be for all of it."""
    from bench.rollup_periods import seconds_of  # noqa: PLC0415 - the roll's processes do without it

    sensors = round(LATE.sensors * scale)
    seconds = seconds_of(sensors)
    print(f"# periods: measured with {sensors:,} sensors, told for {LATE.sensors:,}")
    return [
        *(
            Finding(name=f"rollup.{name}", ours=one / scale, at_most=PERIODS_CPU_SECONDS[name], unit="cpu-s")
            for name, one in seconds.items()
        ),
        _share("rollup.share", LATE, seconds, scale=scale),
        _share("rollup.share.sparse", FULL, seconds, scale=scale),
    ]


def _share(name: str, full: Size, seconds: Mapping[str, float], *, scale: float) -> Finding:
    """What follows from the rows of a window, as a share of a tick that rolls one such window, united set and all."""
    size = Size(partials=round(full.partials * scale), sensors=round(full.sensors * scale))
    roll = _first_and_late(size)["first_cpu_seconds"]
    follows = seconds["silence"] + (seconds["hour"] + seconds["day"]) / TICKS_PER_HOUR
    print(f"# {name}: {full.readings / full.sensors:.0f} readings a sensor, roll {roll / scale:.1f} cpu-s,", end=" ")
    print(f"silence and a twelfth of an hour and a day {follows / scale:.1f} cpu-s")
    return Finding(name=name, ours=100 * follows / (roll + follows), at_most=PERIODS_PERCENT_MAX, unit="% of a tick")


def bench_rules(scale: float = PERIODS_SCALE) -> list[Finding]:
    """CPU of a stage's rules in a tick that rolls one window, of a fraction of the fleet, as it would be for all of it.

    About one sensor in fifty is beyond one of the limits. The share is that of rules on one row, and of minutes, beside
    the first roll of a window with 12 readings a sensor.
    """
    from bench.rollup_rules import RULES, seconds_of  # noqa: PLC0415 - the simulation is no part of the other benches

    sensors = round(FULL.sensors * scale)
    seconds = {name: seconds_of(sensors, rules)[0] for name, rules in RULES.items()}
    roll = _first_and_late(Size(partials=round(FULL.partials * scale), sensors=sensors))["first_cpu_seconds"]
    print(
        f"# rules: measured with {sensors:,} sensors, told for {FULL.sensors:,}: roll {roll / scale:.1f} cpu-s,",
        end=" ",
    )
    print(", ".join(f"{name} {one / scale:.1f}" for name, one in seconds.items()))
    share = 100 * seconds["minutes"] / (roll + seconds["minutes"])
    return [
        Finding(name="rollup.rules", ours=share, at_most=RULES_PERCENT_MAX, unit="% of a tick"),
        *(
            Finding(name=f"rollup.rules.{name}", ours=seconds[name] / scale, at_most=most, unit="cpu-s")
            for name, most in RULES_CPU_SECONDS.items()
        ),
    ]


def bench_outage() -> list[Finding]:
    """A tick after four hours without any, at 30 ms a request: side by side, and one request after another."""
    from bench.rollup_outage import ticked  # noqa: PLC0415 - the simulation is no part of the other benches

    after, calls = ticked(OUTAGE_WINDOWS, is_parallel=True)
    before, _ = ticked(OUTAGE_WINDOWS, is_parallel=False)
    requests = sum(calls.values())
    print(f"# outage: {OUTAGE_WINDOWS} windows, {requests} requests: {after:.1f} windows/s; {before:.2f} one by one")
    return [
        Finding(
            name="rollup.outage", ours=after, baseline=before, ratio=after / before, target=4, unit="windows/s at 30 ms"
        )
    ]


BENCHES = {
    "rollup.cpu": bench_roll,
    "rollup.growth": bench_growth,
    "rollup.outage": bench_outage,
    "rollup.periods": bench_periods,
    "rollup.rules": bench_rules,
    "rollup.late": bench_late,
    "tick.s3_calls": bench_tick,
}


def _first_and_late(size: Size) -> dict[str, Any]:
    """What `bench.rollup_late` found of a window of this size, in a process of its own."""
    with _window(size, flat=False) as folder:
        command = [sys.executable, "-m", "bench.rollup_late", str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _compared(name: str, ours: float, baseline: float, *, target: float, unit: str) -> Finding:
    return Finding(name=name, ours=ours, baseline=baseline, ratio=baseline / ours, target=target, unit=unit)


class _window:  # noqa: N801 - used as a function
    def __init__(self, size: Size, *, flat: bool) -> None:
        self._size, self._flat = size, flat
        self._folder = tempfile.TemporaryDirectory(prefix="windrow-bench-")

    def __enter__(self) -> Path:
        folder = Path(self._folder.name)
        # In a process of its own, so that what it takes is given back.
        code = f"from bench.rollup_window import *; make(Path({str(folder)!r}), {self._size!r}, flat={self._flat})"
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
        return folder

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _measured(way: str, folder: Path) -> Cost:
    command = [sys.executable, "-m", "bench.rollup", "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _work(way: str, folder: Path) -> None:
    started = time.perf_counter()
    if way == "ours":
        _ours(folder)
    else:
        from bench import rollup_baseline  # noqa: PLC0415

        getattr(rollup_baseline, f"with_{way}")(folder, folder / f"{way}.parquet")
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "seconds": time.perf_counter() - started,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(cost))


def _ours(folder: Path) -> None:
    from dispatcher.observation import Buckets, list_partials  # noqa: PLC0415
    from dispatcher.rows import rolled_rows  # noqa: PLC0415

    store = FolderStore(folder / "ours")
    buckets = Buckets(lake=store, results=store)
    with (
        ThreadPoolExecutor(2) as readers,
        rolled_rows(buckets, WINDOW, list_partials(buckets, WINDOW), mapper=readers.map) as made,
    ):
        print(made.rows)


if __name__ == "__main__":
    main()
