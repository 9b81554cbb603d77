"""Where the command speaks: results on `out`, progress and everything else on `err`; and whether it can ask."""

import sys
from typing import Any

import click
from rich.console import Console

from windrow.disarm import for_terminal
from windrow.errors import UsageError


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, but text never with control characters: it may name what comes from elsewhere."""
        super().print(*(for_terminal(one, kept="\n") if isinstance(one, str) else one for one in objects), **options)

    def on_broken_pipe(self) -> None:
        """Tell that the reader has gone, where rich would exit with 1."""
        raise BrokenPipeError


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def is_terminal() -> bool:
    """Whether somebody sits at standard input and can answer."""
    return sys.stdin.isatty()


def confirm(question: str) -> None:
    """Ask on standard error; click.Abort unless the answer is yes, and UsageError where nobody can answer."""
    if not is_terminal():
        raise UsageError(f"nobody is there to answer: {question}", hint="without a terminal, agree in advance: --yes")
    click.confirm(question, abort=True, err=True)
