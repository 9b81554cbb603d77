"""`python -m tests.fuzz --seconds 600`: mutate, process, compare, and say how many inputs ran.

An input that breaks something is written to tests/fuzz/found/ as the event it was, beside the last contract and
its payloads, with the seed that makes them again.
"""

import argparse
import json
import logging
import random
import sys
import time
from pathlib import Path

from bench.measure import peak_mb
from tests.fuzz import corpus
from tests.fuzz.contracts import ContractFuzzer
from tests.fuzz.harness import PEAK_MB_MAX, Harness
from tests.fuzz.mutation import Mutator

FOUND = Path(__file__).parent / "found"
_TOLD_EVERY_SECONDS = 30.0
# A contract with its batch takes as long as several events.
_CONTRACT_EVERY = 4


def main() -> int:
    """Run until the time is over or something breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--only", choices=["contracts"], help="contracts and their payloads, and no events")
    parser.add_argument("--seed", type=int, default=None, help="default: another one every time")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    logging.disable(logging.CRITICAL)
    chance = random.Random(seed)
    harness = Harness(Mutator(corpus.load(), chance), chance)
    contracts = ContractFuzzer(Mutator(corpus.load(), chance), chance)
    began = told = time.monotonic()
    while (now := time.monotonic()) - began < options.seconds:
        if now - told > _TOLD_EVERY_SECONDS:
            told = now
            done = f"{harness.inputs:,} inputs, {contracts.contracts:,} contracts"
            _say(f"{now - began:5.0f} s: {done}, {peak_mb():.0f} MB at most")
        event = None if options.only else harness.make()
        try:
            if event is not None:
                harness.check(event)
            if event is None or harness.inputs % _CONTRACT_EVERY == 0:
                contracts.check_one()
        except Exception as error:  # whatever it is, it is what we are looking for
            FOUND.mkdir(exist_ok=True)
            path = FOUND / f"{seed}-{harness.inputs}-{contracts.contracts}.json"
            path.write_text(json.dumps({"event": event, "contract": contracts.last}))
            _say(f"{type(error).__name__}: {error}\nseed {seed}, input {harness.inputs}: {path}")
            raise
    _say(
        f"{harness.inputs:,} inputs in {time.monotonic() - began:.0f} s with seed {seed}: {harness.counted:,} readings "
        f"counted, {harness.quarantined:,} payloads quarantined; {contracts.contracts:,} contracts with "
        f"{contracts.readings:,} readings and {contracts.refusals:,} refusals, {contracts.refused:,} contracts refused"
        f"; {peak_mb():.0f} MB at most"
    )
    return 0 if peak_mb() < PEAK_MB_MAX else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
