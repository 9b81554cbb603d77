"""Run all benches, or those whose names begin with an argument: `python -m bench consumer.json`."""

import sys

from bench import consumer, dashboard, package, producer, rollup

BENCHES = {**consumer.BENCHES, **dashboard.BENCHES, **producer.BENCHES, **package.BENCHES, **rollup.BENCHES}


def main(names: list[str]) -> None:
    """Print what each bench finds, a line each."""
    for name, bench in BENCHES.items():
        if not names or any(name.startswith(wanted) for wanted in names):
            for finding in bench():
                print(finding, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
