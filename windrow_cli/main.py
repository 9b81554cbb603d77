"""The `windrow` command: the list of its commands, and how errors are reported."""

import importlib
import os
import sys

import click

from windrow.errors import WindrowError
from windrow.installation import refuse_both

# Command name -> (module, function, one line of help). A command's module is imported when it is called, so help is
# instant and libraries are loaded only by the commands that use them.
_COMMANDS = {
    "demo": ("windrow_cli.demo", "demo", "Run the whole pipeline on this machine, and prove it exact."),
    "up": ("windrow_cli.place", "up", "Start the embedded stack."),
    "down": ("windrow_cli.place", "down", "Stop the embedded stack and remove what it stored."),
    "status": ("windrow_cli.place", "status", "Show what runs and what is deployed."),
    "deploy": ("windrow_cli.deploy", "deploy", "Package the functions and deploy a stage."),
    "destroy": ("windrow_cli.deploy", "destroy", "Remove a deployed stage."),
    "policy": ("windrow_cli.policy", "policy", "Print the IAM policy for who deploys, sends or asks."),
    "drift": ("windrow_cli.drift", "drift", "Show what was changed in a stage by hand."),
    "package": ("windrow_cli.package", "package", "Build the functions' zips and show their sizes."),
    "simulate": ("windrow_cli.simulate", "simulate", "Send the readings of a simulated fleet."),
    "ingest": ("windrow_cli.ingest", "ingest", "Send the readings of real sensors from a file."),
    "payloads": ("windrow_cli.payloads", "payloads", "Propose and check a contract for payloads of any form."),
    "tick": ("windrow_cli.tick", "tick", "Close the windows that are due, as the schedule would."),
    "query": ("windrow_cli.query", "query", "Query the results, by preset or in SQL."),
    "rules": ("windrow_cli.rules", "rules", "Try limits on values on the rows that there are."),
    "verify": ("windrow_cli.verify", "verify", "Compare the results with the truth of the simulations."),
    "audit": ("windrow_cli.audit", "audit", "Compare the results with the stream itself."),
    "dashboard": ("windrow_cli.dashboard", "dashboard", "Show the results as a web page on this machine."),
    "cost": ("windrow_cli.cost", "cost", "Estimate what a fleet costs per month, part by part."),
    "replay": ("windrow_cli.replay", "replay", "Process the stream's records once more."),
    "quarantine": ("windrow_cli.quarantine", "quarantine", "List and show payloads that did not count."),
    "redrive": ("windrow_cli.redrive", "redrive", "Process quarantined payloads and failed batches once more."),
}


class _LazyGroup(click.Group):
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


def main() -> None:
    """Run the command; exit codes: 0 ok, 1 found a problem, 2 usage."""
    try:
        refuse_both()
        sys.exit(windrow.main(prog_name="windrow", standalone_mode=False))
    except WindrowError as error:
        _complain(error.message, hint=error.hint)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has closed it. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        sys.exit(130)


def _complain(message: str, *, hint: str = "") -> None:
    click.secho(f"error: {message}", fg="red", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)
