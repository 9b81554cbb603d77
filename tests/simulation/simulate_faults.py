"""Many seeds of the swarm, over several processes: python -m tests.simulation.simulate_faults --seeds 20000"""

# ruff: noqa: T201 - a command prints
import argparse
import gc
import logging
import multiprocessing
import sys
import time
from collections import Counter
from itertools import chain

from tests.simulation.swarm import Outcome, run_seed

# So many seeds make garbage together; looked for more often, it costs a tenth of the time.
TOGETHER = 5
PROGRESS_SECONDS = 2.0 if sys.stdout.isatty() else 60.0


def main(arguments: list[str] | None = None) -> int:
    """The command; the exit code is 1 when any seed ends otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.simulate_faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(arguments)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    together = [seeds[at : at + TOGETHER] for at in range(0, len(seeds), TOGETHER)]
    failed: list[Outcome] = []
    injected: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    begun = told = time.monotonic()
    with multiprocessing.Pool(chosen.processes, initializer=_begin) as pool:
        for done, outcome in enumerate(chain.from_iterable(pool.imap_unordered(_run_seeds, together)), 1):
            injected.update(outcome.injected)
            counts.update(outcome.counts)
            if outcome.faults:
                failed.append(outcome)
                print(f"\nseed {outcome.seed}: {outcome.faults[0]}\n  {outcome.command()}", flush=True)
            if time.monotonic() - told > PROGRESS_SECONDS or done == len(seeds):
                told = time.monotonic()
                _progress(done, len(seeds), len(failed), sum(injected.values()), told - begun)
    print(summary(len(seeds), injected, counts))
    return 1 if failed else 0


def summary(seeds: int, injected: Counter[str], counts: Counter[str]) -> str:
    """What was simulated and what was done to it."""
    hours = counts["simulated ms"] / 3_600_000
    kinds = sorted(injected.items(), key=lambda one: -one[1])
    events = sorted((kind, count) for kind, count in counts.items() if kind.startswith("event: "))
    names = ("records", "invocations", "ticks", "given up", "forgotten", "revisions", "steps")
    return "\n".join(
        [
            f"\n{seeds:,} seeds, {hours:,.0f} simulated hours, {sum(injected.values()):,} faults injected",
            *(f"  {counts[name]:>12,} {name}" for name in names),
            *(f"  {count:>12,} {kind}" for kind, count in kinds),
            *(f"  {count:>12,} {kind.removeprefix('event: ')} (event)" for kind, count in events),
        ]
    )


def _progress(done: int, seeds: int, failed: int, injected: int, seconds: float) -> None:
    left = seconds / done * (seeds - done)
    line = f"{done:,} of {seeds:,} seeds, {failed} wrong, {injected:,} faults injected, {left / 60:.0f} min left"
    print(f"\r{line:<90}", end="" if sys.stdout.isatty() else "\n", flush=True)


def _begin() -> None:
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.disable()


def _run_seeds(seeds: range) -> list[Outcome]:
    outcomes = [run_seed(seed) for seed in seeds]
    gc.collect()
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
