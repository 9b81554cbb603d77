"""Options that choose among the payloads in quarantine."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from windrow.errors import UsageError
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.likely import suggestion
from windrow.reading import Reason
from windrow.timerange import TimeRange, parse_time

_Command = TypeVar("_Command", bound=Callable[..., Any])


def search_options(command: _Command) -> _Command:
    """Add `--from`, `--to`, `--reason` and `--shard`: the arguments start, end, reasons and shard."""
    options = (
        click.option(
            "--from",
            "start",
            metavar="TIME",
            help="First arrival, inclusive (RFC 3339, -2h); default: all that is kept.",
        ),
        click.option("--to", "end", metavar="TIME", help="Last arrival, exclusive (RFC 3339); default: now."),
        click.option(
            "--reason",
            "reasons",
            metavar="REASON",
            multiple=True,
            help="Why it did not count, such as too_late; may be given several times.",
        ),
        click.option("--shard", metavar="ID", help="The shard it came from, such as shardId-000000000003."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def search_of(
    start: str | None, end: str | None, reasons: Sequence[str], shard: str | None, *, now_ms: int
) -> QuarantineSearch:
    """Return the search that the options ask for; UsageError when it can find nothing."""
    start_ms = 0 if start is None else max(0, parse_time(start, now_ms=now_ms, option="--from"))
    # What arrives while the command runs is included, and the clock of a stand-in may be ahead.
    end_ms = now_ms + 60_000 if end is None else parse_time(end, now_ms=now_ms, option="--to")
    arrivals = TimeRange(start_ms, end_ms)
    known = [reason.value for reason in Reason]
    for reason in reasons:
        if reason not in known:
            raise UsageError(f"there is no reason {reason!r}", hint=suggestion(reason, known))
    return QuarantineSearch(
        start_ms=arrivals.start_ms, end_ms=arrivals.end_ms, reasons=frozenset(map(Reason, reasons)), shard=shard
    )
