"""How the command reports an error: one line on standard error, with the culprit and what to do; and its exit code.

Exit codes: 1 found a problem, 2 usage, 130 interrupted, 141 the reader of the output is gone (as a shell reports a
program that ends by SIGINT or SIGPIPE).
"""

import contextlib
import os
import sys

import click

from windrow import settings
from windrow.disarm import for_terminal
from windrow.errors import WindrowError
from windrow.likely import did_you_mean, likely
from windrow_cli.choices import MisspelledError

INTERRUPTED = 130
READER_GONE = 141


class ReaderGoneError(Exception):
    """The reader of standard output, such as `head`, has closed it."""


def complain(error: BaseException) -> int:
    """Print `error` as one line, if there is anything to say, and return the exit code.

    It must be one of those that a user can cause: WindrowError, click's, OSError, KeyboardInterrupt, ReaderGoneError.
    """
    match error:
        case ReaderGoneError():
            return READER_GONE
        case click.Abort() | KeyboardInterrupt():
            _print_line("interrupted")
            return INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case WindrowError():
            message, hint, code = error.message, error.hint, error.exit_code
        case click.ClickException():
            message, hint = _words(error)
            code = error.exit_code
        case OSError():
            message, hint = _words_of_system(error)
            code = 1
        case _:
            raise error
    _print_line(message, hint)
    return code


def _words(error: click.ClickException) -> tuple[str, str]:
    """Return what a mistake on the command line is, and what to do."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "windrow"
    hint = f"see: {command} --help"
    match error:
        case MisspelledError():
            wrong, hint = error.message, error.hint
        case click.exceptions.NoSuchCommand():
            wrong = f"there is no command '{command} {error.command_name}'"
            hint = _likely_command(error) or hint
        case click.NoSuchOption():
            wrong = f"{command} has no option {error.option_name}"
            options = [] if context is None else [name for one in context.command.params for name in one.opts]
            hint = did_you_mean(likely(error.option_name, options)) or hint
        case click.BadOptionUsage():
            wrong, hint = _sentence(error.message).removeprefix("option ").replace("'", ""), "give it one"
        case click.MissingParameter() if error.param is not None:
            choices = getattr(error.param.type, "choices", ())
            wrong = f"{command} needs {_name(error.param, context)}"
            hint = f"one of: {', '.join(choices)}" if choices else hint
        case click.BadParameter() if error.param is not None:
            wrong = f"{_name(error.param, context)}: {_sentence(error.message)}"
        case _:
            wrong = f"{command}: {_sentence(error.format_message())}"
    return wrong, hint


def _likely_command(error: click.exceptions.NoSuchCommand) -> str:
    context = error.ctx
    if context is None or not isinstance(context.command, click.Group):
        return ""
    return did_you_mean(likely(error.command_name, context.command.list_commands(context)))


def _name(parameter: click.Parameter, context: click.Context | None) -> str:
    """Return an option as it is typed, and an argument as the help names it."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    name = parameter.human_readable_name if context is None else parameter.make_metavar(context)
    return (name if not getattr(parameter.type, "choices", None) else parameter.name or name).strip("[]").upper()


def _sentence(message: str) -> str:
    """Return a sentence of click's as part of one of ours."""
    return message[:1].lower() + message[1:].removesuffix(".")


def _words_of_system(error: OSError) -> tuple[str, str]:
    """Return what the operating system refuses, and what to do."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return f"cannot write: {reason}", "free some space, or write to somewhere else"
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    home = settings.home_folder(os.environ)
    if path == str(home) or path.startswith(f"{home}{os.sep}"):
        return f"cannot use {path}: {reason}", f"set {settings.HOME} to a folder that you can write to"
    return f"cannot use {path}: {reason}", "give another path, or mend this one"


def _print_line(message: str, hint: str = "") -> None:
    """Print to standard error; characters that would move a cursor or begin a new line are spelled out."""
    line = " ".join(f"{message}; {hint}".split() if hint else message.split())
    line = for_terminal(line)
    prefix = click.style("error:", fg="red", bold=True) if shows_colour() else "error:"
    with contextlib.suppress(OSError):  # nobody can be told that standard error is full or closed
        click.echo(f"{prefix} {line}", err=True, color=shows_colour())


def shows_colour() -> bool:
    """Whether standard error is a terminal that shows colours, and NO_COLOR is not set (no-color.org)."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not is_plain and sys.stderr is not None and sys.stderr.isatty()
