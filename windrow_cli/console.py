"""Where the command speaks: results on `out`, progress and everything else on `err`."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(label: str, *, total: int | None, unit: str) -> Iterator["ProgressBar"]:
    """A progress bar on a terminal, and nothing at all in a pipe."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit} {{task.fields[note]}}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield ProgressBar(progress, label, total)


class ProgressBar:
    """One bar; `reached` moves it to an absolute position."""

    def __init__(self, progress: Progress, label: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total, note="")

    def reached(self, completed: int, *, note: str = "", total: int | None = None) -> None:
        """Show that `completed` of the total are done, and `note` beside it; `total` corrects the total."""
        self._progress.update(self._task, completed=completed, note=note, total=total)
