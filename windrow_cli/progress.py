"""Progress bars on standard error, and what they say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from windrow_cli.console import err

if TYPE_CHECKING:
    from producers.writer import WriterCounters
    from windrow.lake.frontier import Frontier
    from windrow.stage import Stage


@contextmanager
def progress_bar(label: str, *, total: int | None, unit: str) -> Iterator["ProgressBar"]:
    """Show a progress bar on a terminal, and nothing at all in a pipe."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit} {{task.fields[note]}}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield ProgressBar(progress, label, total)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner, `what` is done and for how long on a terminal, until it is done; nothing at all in a pipe."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        progress.add_task(what, total=None)
        yield


class ProgressBar:
    """One progress bar; `reached` moves it to an absolute position."""

    def __init__(self, progress: Progress, label: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total, note="")

    def reached(self, completed: int, *, note: str = "", total: int | None = None) -> None:
        """Show that `completed` of the total are done, and `note` beside it; `total` corrects the total."""
        self._progress.update(self._task, completed=completed, note=note, total=total)


def progress_note(readings: int, counters: "WriterCounters", *, seconds: float, lag_ms: int | None = None) -> str:
    """Return the rate, the lag behind the clock, and what was retried, in one line."""
    note = f"{readings / max(seconds, 1e-3):,.0f}/s {counters.bytes / 1e6:,.1f} MB sent"
    if lag_ms is not None:
        note += f", lag {lag_ms / 1_000:.1f} s"
    if counters.retried or counters.ambiguous:
        note += f", {counters.retried:,} retried ({counters.throttled:,} throttled, {counters.ambiguous:,} ambiguous)"
    return note


def wait_with_bar(stage: "Stage", produced: Mapping[str, int]) -> "Frontier":
    """Wait until everything up to `produced` (shard: last sequence number) is in the lake, with a progress bar."""
    from windrow_operations.draining import wait_until_drained

    with progress_bar("draining", total=len(produced), unit="shards") as bar:

        def show(frontier: "Frontier") -> None:
            behind = len(frontier.shards_behind(produced))
            bar.reached(len(produced) - behind, note=f"{frontier.objects:,} objects in the lake")

        return wait_until_drained(stage, produced, on_progress=show)
