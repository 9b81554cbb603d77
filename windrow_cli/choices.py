"""Options and arguments that take one of a few words, and say which was likely meant."""

from collections.abc import Sequence
from typing import Any

import click

from windrow.likely import suggestion


class MisspelledError(click.UsageError):
    """A word that is none of those there are; `hint` says what may have been meant."""

    def __init__(self, message: str, *, hint: str, context: click.Context | None) -> None:
        super().__init__(message, context)
        self.hint = hint


class OneOf(click.Choice[str]):
    """The words that an option or an argument takes; `noun` is what an error calls one of them."""

    def __init__(self, choices: Sequence[str], *, noun: str = "") -> None:
        super().__init__(choices)
        self._noun = noun

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `value` if it is one of the choices; MisspelledError otherwise."""
        if value in self.choices:
            return str(value)
        option = max(param.opts, key=len) if isinstance(param, click.Option) else ""
        noun = self._noun or (param.name if param is not None and param.name else "value")
        wrong = f"{option} cannot be {str(value)!r}" if option and not self._noun else f"there is no {noun} {value!r}"
        raise MisspelledError(wrong, hint=suggestion(str(value), self.choices), context=ctx)
