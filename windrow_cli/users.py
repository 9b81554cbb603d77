"""`windrow users`: who may sign in to the hosted page of a stage."""

import re

import click

from windrow.errors import UsageError
from windrow_cli.choices import OneOf
from windrow_cli.console import confirm, err, out
from windrow_cli.stage import open_stage, stage_option

# The same as windrow_operations.users.GROUPS, which takes a while to import.
_GROUPS = ("viewer", "operator")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@click.group()
def users() -> None:
    """Let people sign in to the hosted page of a stage with Web=on (docs/web.md).

    \b
    windrow users add ada@example.com
    windrow users list
    """


@users.command("add")
@click.argument("email")
@click.option("--group", type=OneOf(_GROUPS), default=_GROUPS[0], show_default=True, help="What the user may see.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would be done; do nothing.")
@stage_option
def add_command(*, email: str, group: str, is_dry_run: bool, stage_name: str) -> None:
    """Invite EMAIL by mail to the page of a stage; a user that there is changes the group.

    Viewers see the results, operators also what they were made from. A stand-in for AWS sends no mail: there the
    password for the first sign-in is printed.

    \b
    windrow users add ada@example.com
    windrow users add grace@example.com --group operator --stage prod
    """
    from windrow_operations import users as operation

    _check(email)
    stage = open_stage(stage_name)
    if is_dry_run:
        out.print(f"let {email} sign in to stage {stage_name} as {group}", markup=False)
        return
    with err.status(f"adding {email}"):
        password = operation.add(stage, email, group)
    out.print(f"{email} may sign in to {stage.site_url} as {group}", markup=False)
    if password is not None:
        out.print(f"password for the first time: {password}", markup=False)


@users.command("remove")
@click.argument("email")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would be done; do nothing.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@stage_option
def remove_command(*, email: str, is_dry_run: bool, is_agreed: bool, stage_name: str) -> None:
    """Remove the user EMAIL from a stage. A page that is open goes on for at most an hour.

    \b
    windrow users remove ada@example.com --yes
    """
    from windrow_operations import users as operation

    _check(email)
    stage = open_stage(stage_name)
    if is_dry_run:
        out.print(f"remove {email} from stage {stage_name}", markup=False)
        return
    if not is_agreed:
        confirm(f"Remove {email} from stage {stage_name}?")
    with err.status(f"removing {email}"):
        operation.remove(stage, email)
    out.print(f"{email} is removed", markup=False)


@users.command("list")
@click.option("--format", "form", type=OneOf(["table", "csv", "json"]), default="table", show_default=True)
@stage_option
def list_command(*, form: str, stage_name: str) -> None:
    """List who may sign in: address, whether the invitation is still open, groups.

    \b
    windrow users list --stage prod --format json
    """
    from analytics.plain import PlainRows
    from windrow_cli.formats import TEXTS
    from windrow_operations import users as operation

    with err.status("asking for the users"):
        found = operation.users(open_stage(stage_name))
    columns = [[one.email for one in found], [one.status for one in found], [" ".join(one.groups) for one in found]]
    for text in TEXTS[form]([PlainRows(("email", "status", "groups"), columns)]):
        out.print(text, markup=False)
    err.print(f"{len(found):,} users")


def _check(email: str) -> None:
    if not _EMAIL.fullmatch(email):
        raise UsageError(f"{email!r} is not an address", hint="for example: windrow users add ada@example.com")
