"""Replay one seed of the swarm, step by step: python -m tests.simulation.replay --seed 123

Prints what the seed deploys and breaks, every step with its virtual time, the timeline, and what is wrong at the end.
"""

# ruff: noqa: T201 - a command prints
import argparse
import dataclasses
import logging
import sys
from contextlib import nullcontext

from tests.simulation.faults import NONE
from tests.simulation.mutants import MUTANTS
from tests.simulation.mutation import applied
from tests.simulation.swarm import Plan, plan_of, run_seed
from tests.simulation.world import START_MS


def main(arguments: list[str] | None = None) -> int:
    """The command; the exit code is 1 when the seed ends otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.replay", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--mutant", choices=[mutant.name for mutant in MUTANTS], help="break the product so beforehand")
    parser.add_argument(
        "--only", metavar="TEXT", help="show only the steps that hold TEXT, a window or a shard perhaps"
    )
    parser.add_argument("--quiet", action="store_true", help="no steps, the timeline alone")
    chosen = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    plan = plan_of(chosen.seed)
    print("\n".join(described(plan)), end="\n\n")
    broken = next((mutant for mutant in MUTANTS if mutant.name == chosen.mutant), None)
    with applied(broken) if broken else nullcontext():
        outcome = run_seed(chosen.seed, keep_world=True)
    assert outcome.world is not None
    timeline = outcome.world.timeline
    if not chosen.quiet:
        print("\n".join(line for line in timeline.lines() if not chosen.only or chosen.only in line), end="\n\n")
    print("\n".join(timeline.drawing(until_ms=START_MS + 2 * plan.active_ms)), end="\n\n")
    injected = ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.injected.items()))
    print(f"injected: {injected or 'nothing'}")
    print("\n".join(f"WRONG: {fault}" for fault in outcome.faults) or "as it must be")
    return 1 if outcome.faults else 0


def described(plan: Plan) -> list[str]:
    """The plan as lines, what is as by default left out."""
    rates = {
        name: f"{rate:.3f}" for name, rate in dataclasses.asdict(plan.rates).items() if rate != getattr(NONE, name)
    }
    return [
        f"seed {plan.seed}: {plan.gateways} gateways of {plan.sensors} sensors every {plan.period_ms // 1000} s, "
        f"for {plan.active_ms // 60_000} min",
        f"  {plan.setup}",
        f"  rates: {', '.join(f'{name} {rate}' for name, rate in rates.items()) or 'none'}",
        f"  events: {', '.join(f'{kind} after {at // 1000} s' for at, kind in plan.events) or 'none'}",
    ]


if __name__ == "__main__":
    sys.exit(main())
