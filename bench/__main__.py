"""Run all benches, or those whose names begin with an argument: `python -m bench consumer.json`.

Everything, baselines too, in the environment that the template gives the functions.
"""

import argparse
import os
import sys

from bench import api, command, consumer, dashboard, hosted, ingest, listing, load, package, producer, rollup
from windrow.settings import RUNTIME

BENCHES = {
    **api.BENCHES,
    **command.BENCHES,
    **consumer.BENCHES,
    **dashboard.BENCHES,
    **producer.BENCHES,
    **ingest.BENCHES,
    **hosted.BENCHES,
    **listing.BENCHES,
    **load.BENCHES,
    **package.BENCHES,
    **rollup.BENCHES,
}


def main() -> int:
    """Print what each bench finds, a line each."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; the beginning will do")
    wanted = parser.parse_args().names
    for name in wanted:
        if not any(known.startswith(name) for known in BENCHES):
            parser.error(f"no bench begins with {name!r}; there are {', '.join(BENCHES)}")
    if not RUNTIME.items() <= os.environ.items():  # C libraries read it at their start
        os.execve(sys.executable, [*sys.orig_argv], os.environ | RUNTIME)  # noqa: S606 - the same command again
    chosen = [bench for name, bench in BENCHES.items() if not wanted or name.startswith(tuple(wanted))]
    for bench in chosen:
        for finding in bench():
            print(finding, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
