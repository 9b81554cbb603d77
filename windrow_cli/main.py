"""The `windrow` command: the list of its commands, and how errors are reported."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from windrow.errors import WindrowError
from windrow.installation import refuse_both
from windrow_cli.complaints import ReaderGoneError, complain

# Command name -> (module, function, one line of help). A command's module is imported when it is called, so help is
# instant and libraries are loaded only by the commands that use them.
_COMMANDS = {
    "demo": ("windrow_cli.demo", "demo", "Run the whole pipeline on this machine, and prove it exact."),
    "up": ("windrow_cli.place", "up", "Start the embedded stack."),
    "down": ("windrow_cli.place", "down", "Stop the embedded stack and remove what it stored."),
    "status": ("windrow_cli.place", "status", "Show what runs and what is deployed."),
    "config": ("windrow_cli.config", "config", "Show which stage commands mean here, and who says so."),
    "deploy": ("windrow_cli.deploy", "deploy", "Package the functions and deploy a stage."),
    "destroy": ("windrow_cli.deploy", "destroy", "Remove a deployed stage."),
    "policy": ("windrow_cli.policy", "policy", "Print the IAM policy for who deploys, sends or asks."),
    "drift": ("windrow_cli.drift", "drift", "Show what was changed in a stage by hand."),
    "package": ("windrow_cli.package", "package", "Build the functions' zips and show their sizes."),
    "simulate": ("windrow_cli.simulate", "simulate", "Send the readings of a simulated fleet."),
    "ingest": ("windrow_cli.ingest", "ingest", "Send the readings of real sensors from a file."),
    "upload": ("windrow_cli.upload", "upload", "Upload files of readings, and show what became of them."),
    "backfill": ("windrow_cli.backfill", "backfill", "Write history into windows that were never rolled."),
    "payloads": ("windrow_cli.payloads", "payloads", "Propose and check a contract for payloads of any form."),
    "tick": ("windrow_cli.tick", "tick", "Close the windows that are due, as the schedule would."),
    "watch": ("windrow_cli.watch", "watch", "Close windows again and again, on this machine."),
    "logs": ("windrow_cli.logs", "logs", "Show what the functions have logged."),
    "query": ("windrow_cli.query", "query", "Query the results, by preset or in SQL."),
    "rules": ("windrow_cli.rules", "rules", "Try limits on values on the rows that there are."),
    "verify": ("windrow_cli.verify", "verify", "Compare the results with the truth of the simulations."),
    "audit": ("windrow_cli.audit", "audit", "Compare the results with the stream itself."),
    "dashboard": ("windrow_cli.dashboard", "dashboard", "Show the results as a web page on this machine."),
    "gateways": ("windrow_cli.gateways", "gateways", "Let gateways upload to a stage by tokens."),
    "users": ("windrow_cli.users", "users", "Let people sign in to the hosted page of a stage."),
    "cost": ("windrow_cli.cost", "cost", "Estimate what a fleet costs per month, part by part."),
    "replay": ("windrow_cli.replay", "replay", "Process the stream's records once more."),
    "quarantine": ("windrow_cli.quarantine", "quarantine", "List and show payloads that did not count."),
    "redrive": ("windrow_cli.redrive", "redrive", "Process quarantined payloads and failed batches once more."),
    "completion": ("windrow_cli.completion", "completion", "Print the tab completion of a shell."),
}
# Spelled as in windrow.settings, or as their own makers do.
_VARIABLES = {
    "WINDROW_STAGE": "The stage, where there is no --stage.",
    "WINDROW_TARGET": "embedded, localstack or aws, where there is no --target.",
    "WINDROW_HOME": "The folder for windrow's own files; default: ~/.windrow.",
    "AWS_REGION, AWS_DEFAULT_REGION, AWS_PROFILE": "As for every tool of AWS; --region and --profile come first.",
    "LOCALSTACK_HOST, AWS_ENDPOINT_URL": "Where LocalStack is, with --target localstack.",
    "XDG_CONFIG_HOME": "Where windrow/windrow.toml may be; default: ~/.config. See windrow config.",
    "NO_COLOR": "No colours.",
}


@contextlib.contextmanager
def _told_of_a_gone_reader() -> Iterator[None]:
    """Say it in an exception of ours: click would exit with 1, which here means that a problem was found."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error


class _LazyGroup(click.Group):
    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _told_of_a_gone_reader():  # --help and --version print here
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _told_of_a_gone_reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, function, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{function} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])
        with formatter.section("Environment"):
            formatter.write_dl(list(_VARIABLES.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="windrow", message="%(prog)s %(version)s")
def windrow() -> None:
    """Exact five-minute aggregates of sensor readings: Kinesis in, Parquet on S3 out.

    \b
    windrow up && windrow deploy      start a stack on this machine and deploy to it
    windrow simulate --wait           send the readings of a simulated fleet
    windrow tick                      close the windows that have ended
    windrow query fleet               query the results
    """


def main(on_start: Callable[[], object] = lambda: None) -> None:
    """Run the command and exit with its code; first call `on_start`, when Ctrl-C can be answered."""
    try:
        on_start()
        code = run(sys.argv[1:])
    except KeyboardInterrupt as error:
        code = complain(error)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command; exit codes: 0 ok, 1 found a problem, 2 usage, 130 interrupted, 141 nobody reads the output."""
    try:
        refuse_both()
        code = int(windrow.main(list(arguments), prog_name="windrow", standalone_mode=False) or 0)
    except (WindrowError, click.ClickException, click.Abort, OSError, KeyboardInterrupt, ReaderGoneError) as error:
        code = complain(error)
    return _flush(code)


def _flush(code: int) -> int:
    """Write what is left of the output, and return `code`, or that of a failure to write where there was no other."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more when it exits, and complain itself.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        failure: Exception = ReaderGoneError() if isinstance(error, BrokenPipeError) else error
        return code or complain(failure)
    return code
