"""Measuring on CPU time, and the one form in which every bench says what it found."""

import gc
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a bench found. `target` is what `ratio` should reach, or, with `at_most`, what `ours` may.

    `spread` is between which ratios nine in ten turns were, if that was asked for.
    """

    name: str
    ours: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    target: float | None = None
    at_most: float | None = None
    spread: tuple[float, float] | None = None

    def __str__(self) -> str:
        fields = {
            "name": self.name,
            "ours": f"{self.ours:.3g}",
            "baseline": self.baseline and f"{self.baseline:.3g}",
            "ratio": "-" if self.ratio is None else f"{self.ratio:.2f}" if self.ratio < 1 else f"{self.ratio:.1f}",
            "spread": self.spread and "{:.2f}..{:.2f}".format(*self.spread),
            "target": self.target and f"{self.target:g}",
            "at_most": self.at_most and f"{self.at_most:g}",
            "unit": self.unit,
        }
        return " ".join(["BENCH", *(f"{name}={value}" for name, value in fields.items() if value is not None)])


def cpu_seconds(run: Callable[[], object]) -> float:
    """The CPU time of one run, all threads of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def medians(*runs: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The median CPU seconds of each of `runs`, one after another in every round, so that all see the same machine."""
    return [statistics.median(column) for column in turns(*runs, rounds=rounds)]


def turns(*runs: Callable[[], object], rounds: int = ROUNDS) -> list[tuple[float, ...]]:
    """The CPU seconds of each of `runs` in every round, one after another; a round before the first is left out."""
    for run in runs:
        run()
    gc.collect()
    seconds = [[cpu_seconds(run) for run in runs] for _ in range(rounds)]
    return list(zip(*seconds, strict=True))


def ratio_of(others: Sequence[float], ours: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median of `others / ours` in the same round, and between which ratios nine in ten rounds are."""
    ratios = sorted(other / own for other, own in zip(others, ours, strict=True))
    left_out = len(ratios) // 20
    return statistics.median(ratios), (ratios[left_out], ratios[-1 - left_out])


def peak_mb() -> float:
    """The most memory that this process ever had resident.

    From Linux's status of the process, where it can be had: getrusage also counts what the process was before `exec`,
    and so whatever its parent had.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")) / 1024
