"""`windrow logs`: what the functions of a stage have logged."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

from windrow.timestamps import format_rfc3339
from windrow_cli.choices import OneOf
from windrow_cli.console import out
from windrow_cli.progress import waiting
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from windrow_operations.function_logs import LogLine

# The same as windrow_operations.function_logs.ROLES, which takes a while to import.
_ROLES = (
    "consumer",
    "fanout",
    "dispatcher",
    "uploads",
    "audit",
    "backfill",
    "scaling",
    "live",
    "api",
    "live-sockets",
    "live-push",
)
LOOK_EVERY_SECONDS = 2.0
# Fields of aws-lambda-powertools that are the same in each line of a function, or said otherwise.
_USUAL = ("level", "message", "timestamp", "location", "service", "cold_start", "function_name", "function_memory_size")
_USUAL_OF_AWS = ("function_arn", "function_request_id", "xray_trace_id", "sampling_rate")


@click.command()
@click.option("--function", "role", type=OneOf(_ROLES, noun="function"), help="One function; default: all.")
@click.option(
    "--from", "start", metavar="TIME", default="-10m", show_default=True, help="First line: RFC 3339, or -2h."
)
@click.option("--follow", "follows", is_flag=True, help="Show new lines as they come, until Ctrl-C.")
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@stage_option
def logs(role: str | None, *, start: str, follows: bool, form: str, stage_name: str) -> None:
    """Show what the functions have logged, oldest first: time, function, level, message and its fields.

    With --format json, each line is an object with time, function and text as it was logged. On AWS the credentials
    need logs:FilterLogEvents.

    \b
    windrow logs
    windrow logs --function dispatcher --from -2h
    windrow logs --follow
    """
    from windrow.timerange import parse_time
    from windrow_operations import function_logs

    start_ms = max(0, parse_time(start, now_ms=clock_ms(), option="--from"))
    stage = open_stage(stage_name)
    if not follows:
        with waiting("reading the log"):
            lines = function_logs.read_logs(stage, role=role, start_ms=start_ms)
        for line in lines:
            _print(line, form)
        return
    try:
        for line in function_logs.follow_logs(stage, role=role, start_ms=start_ms, wait=_wait):
            _print(line, form)
    except KeyboardInterrupt:  # how it ends
        return


def _wait() -> bool:
    with waiting("waiting for new lines"):
        time.sleep(LOOK_EVERY_SECONDS)
    return True


def _print(line: "LogLine", form: str) -> None:
    if form == "json":
        fields = {"time": format_rfc3339(line.time_ms), "function": line.role, "text": line.text}
        out.print(json.dumps(fields), markup=False)
    else:
        out.print(f"{format_rfc3339(line.time_ms)}  {line.role:<10}  {described(line.text)}", markup=False)


def described(text: str) -> str:
    """Return a line of the log as people read it: level, message, then the fields of this line alone."""
    try:
        fields: Any = json.loads(text)
    except ValueError:
        fields = None
    if isinstance(fields, dict) and "_aws" in fields:  # CloudWatch's embedded metric format
        fields = {name: value for name, value in fields.items() if name != "_aws"} | {"message": "metrics"}
    if not isinstance(fields, dict) or "message" not in fields:
        return " ".join(text.split())
    own = {name: value for name, value in fields.items() if name not in (*_USUAL, *_USUAL_OF_AWS)}
    facts = "  ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in own.items())
    message = fields["message"] if isinstance(fields["message"], str) else json.dumps(fields["message"])
    return f"{fields.get('level', ''):<7}  {message}  {facts}".rstrip()
