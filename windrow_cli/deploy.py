"""`windrow deploy` and `windrow destroy`: create, change and remove a stage."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from windrow.errors import UsageError
from windrow_cli.choices import OneOf
from windrow_cli.console import confirm, err, out
from windrow_cli.stage import chosen_place, clock_ms, home_folder, stage_option

if TYPE_CHECKING:
    from rich.status import Status

    from infra.adoption import Adoption
    from infra.destroy import Destruction, DestructionPlan
    from infra.plan import DeploymentPlan
    from infra.stack import DeploymentResult, PreparedDeployment
    from infra.stack_events import OnEvent, StackEvent
    from windrow.aws.clients import Place
    from windrow.stage import Stage


@click.command()
@click.option(
    "--shards", type=click.IntRange(1, 500), help="Shards of the stream; default: as it is, one for a new stage."
)
@click.option("--mode", type=OneOf(["direct", "fanout"]), help="Default: as it is, direct for a new stage.")
@click.option("--schedule/--no-schedule", "is_scheduled", default=None, help="Whether ticks come by themselves.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter of the template; may be repeated. Default: as it is, the template's for a new stage.",
)
@click.option(
    "--payloads",
    "contract",
    metavar="FILE|NAME",
    help="What payloads mean: a contract, or a ready-made one; windrow for the default form. Default: as it is.",
)
@click.option(
    "--rules",
    metavar="FILE|none",
    help="Limits on values, and who is told beyond them (docs/rules.md); none for no rules. Default: as they are.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=VALUE",
    help="A tag for everything in the stage; may be repeated. The tags it has are kept.",
)
@click.option(
    "--watch-minutes",
    type=click.IntRange(0, 180),
    default=10,
    show_default=True,
    help="How long after a change alarms of the stage undo it; 0: not at all. Only on AWS.",
)
@click.option("--protect/--no-protect", "is_protected", default=None, help="Whether the stage cannot be destroyed.")
@click.option("--role-arn", metavar="ARN", help="The role that CloudFormation acts in, now and later.")
@click.option(
    "--adopt/--no-adopt",
    "adopts",
    default=None,
    help="Whether a new stage takes back the buckets and the key that a destroyed one of its name left.",
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be done; do nothing.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask, not even before something is replaced or removed.")
@click.option("--follow", "follows", is_flag=True, help="Change nothing; show the operation in progress until it ends.")
@stage_option
def deploy(
    *,
    shards: int | None,
    mode: str | None,
    is_scheduled: bool | None,
    assignments: tuple[str, ...],
    contract: str | None,
    rules: str | None,
    tags: tuple[str, ...],
    watch_minutes: int,
    is_protected: bool | None,
    role_arn: str | None,
    adopts: bool | None,
    is_dry_run: bool,
    is_agreed: bool,
    follows: bool,
    stage_name: str,
) -> None:
    """Package the functions and deploy a stage: a CloudFormation stack of its own.

    Run again, it shows what would change, and changes only that. It asks before anything is replaced or removed; where
    nobody can answer, it stops unless --yes is given. When a change fails, CloudFormation rolls it back, and the reason
    is shown. If the command is interrupted, the change goes on: --follow shows it, and how it ended.

    \b
    windrow deploy
    windrow deploy --stage test --shards 4 --mode fanout
    windrow deploy --target aws --stage prod --set AlarmEmail=ops@example.com --set ResultsRetentionDays=365
    windrow deploy --stage test --payloads payloads.toml --rules rules.toml
    windrow deploy --target aws --stage prod --set Engine=flink
    windrow deploy --target aws --stage prod --set Web=on --set Audit=daily
    windrow deploy --target aws --stage prod --adopt
    windrow deploy --dry-run
    windrow deploy --target aws --stage prod --protect --watch-minutes 30
    windrow deploy --follow
    """
    from infra import adoption as infra_adoption
    from infra import api_code, flink_application
    from infra.contracts import contract_to_store
    from infra.plan import DeploymentOptions, parse_parameters, parse_tags, plan_deployment, wheels_for
    from infra.value_rules import rules_to_store

    place = chosen_place()
    if follows:
        given = (shards, mode, is_scheduled, assignments, is_protected, adopts, contract, rules)
        if given != (None, None, None, (), None, None, None, None) or is_dry_run:
            raise UsageError("--follow changes nothing", hint="give it alone, with the stage and where it is")
        _follow(place, stage_name)
        return
    options = DeploymentOptions(
        shard_count=shards,
        mode=mode,
        is_scheduled=is_scheduled,
        parameters=parse_parameters(assignments),
        tags=parse_tags(tags),
        watch_minutes=watch_minutes,
        role_arn=role_arn,
        is_protected=is_protected,
        contract=None if contract is None else contract_to_store(contract),
        rules=None if rules is None else rules_to_store(rules),
    )
    if not is_dry_run:
        _print_identity(place)
    with err.status("packaging the functions"):
        wheels = wheels_for(place, options, home=home_folder())
        flink = flink_application.code_for(place, stage_name, options, home=home_folder(), is_asked=not is_dry_run)
        api, audit = (
            api_code.code_for(
                place,
                stage_name,
                options,
                functions_wheels=wheels,
                home=home_folder(),
                is_asked=not is_dry_run,
                function=function,
            )
            for function in api_code.HAS
        )
        plan = plan_deployment(place, stage_name, options, wheels=wheels, flink=flink, api=api, audit=audit)
    # A dry run makes no request, unless it is to say what would be taken back.
    is_asked = adopts or not is_dry_run
    with err.status("looking for what an earlier stage left"):
        adoption = infra_adoption.choose(place, stage_name, adopts=adopts) if is_asked else None
    if is_dry_run:
        for line in [*(adoption.lines() if adoption else []), *plan.lines()]:
            out.print(line, markup=False)
    else:
        _deploy(plan, adoption, is_agreed=is_agreed)


@click.command()
@click.option(
    "--delete-data/--keep-data",
    "deletes_data",
    default=None,
    help="Whether to delete its buckets and their key as well. Default: on AWS they are kept.",
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be done; do nothing.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@stage_option
def destroy(*, deletes_data: bool | None, is_dry_run: bool, is_agreed: bool, stage_name: str) -> None:
    """Remove a deployed stage, its stream included. On AWS its buckets are kept unless --delete-data is given.

    Run it again if it broke off: it goes on where it was. What was kept can be taken back by `windrow deploy --adopt`,
    or deleted later. A bucket with very many objects is left to S3 to empty, which takes days; then run it once more.

    \b
    windrow destroy --stage test --dry-run
    windrow destroy --stage test
    windrow destroy --stage test --delete-data
    """
    from infra import destroy as infra_destroy

    place = chosen_place()
    is_stand_in = place.endpoint_url is not None
    if deletes_data is None:
        deletes_data = is_stand_in
    with err.status(f"looking for what belongs to stage {stage_name}"):
        plan = infra_destroy.plan_destruction(place, stage_name, deletes_data=deletes_data)
    if is_dry_run:
        for line in plan.lines():
            out.print(line, markup=False)
        return
    _print_identity(place)
    if not is_stand_in and not is_agreed:
        for line in plan.lines():
            err.print(line, markup=False, style="red" if line.startswith("delete") else None)
        confirm(f"Destroy stage {stage_name}?")
    with err.status(f"destroying stage {stage_name}") as progress:
        done = infra_destroy.apply(plan, _shown_by(progress, place))
    _print_remains(plan, done)


def _deploy(plan: "DeploymentPlan", adoption: "Adoption | None", *, is_agreed: bool) -> None:
    """Take back what was kept, if anything, carry out the plan, and print what is deployed."""
    began = time.monotonic()
    if adoption is not None:
        _take_back(plan, adoption)
    applied = _carry_out(plan, is_agreed=is_agreed)
    _print_restored(applied)
    _start_flink(plan)
    _publish_site(applied.stage)
    _print_deployed(plan, applied, seconds=time.monotonic() - began)


def _print_restored(applied: "DeploymentResult") -> None:
    """Say what became of the shards of a scaled stream, if CloudFormation changed them."""
    restored = applied.restored_shards
    if restored is None:
        return
    was = f"CloudFormation changed the {restored.had} shards of the scaled stream to {restored.found}"
    after = f"they could not be set back: {restored.refusal}" if restored.refusal else "they are being set back"
    err.print(f"{was}; {after}. The scaling goes on from what there is.", markup=False)


def _start_flink(plan: "DeploymentPlan") -> None:
    """Start the Flink application, if the stage has one that stands still, and say so."""
    from infra import flink_application

    with err.status("looking for a Flink application to start"):
        is_starting = flink_application.start(plan)
    if is_starting:
        err.print("the Flink application is starting; from then on AWS bills its KPU-hours", markup=False)


def _publish_site(stage: "Stage") -> None:
    """Write the files of the stage's page, if it has one."""
    if stage.site_bucket:
        from windrow_operations.site import publish

        with err.status("writing the page's files"):
            publish(stage)


def _take_back(plan: "DeploymentPlan", adoption: "Adoption") -> None:
    """Create the stack from what was kept, and say so; if the rest fails, the next deployment goes on from there."""
    from infra import adoption as infra_adoption

    for line in adoption.lines():
        err.print(line, markup=False)
    with err.status(f"taking back what was kept of stage {plan.stage}") as progress:
        infra_adoption.apply(plan, adoption, _shown_by(progress, plan.place))


def _carry_out(plan: "DeploymentPlan", *, is_agreed: bool) -> "DeploymentResult":
    """Prepare, show what would change, ask if anything would be lost, and do it; click.Abort if the answer is no."""
    from infra import stack
    from windrow.deployment import status_hint

    with err.status(f"preparing stage {plan.stage}") as progress:
        prepared = stack.prepare(plan, _shown_by(progress, plan.place))
    _print_changes(prepared)
    _print_updates(prepared)
    _print_guards(prepared)
    losses = () if prepared.change_set is None else prepared.change_set.losses
    if losses and not is_agreed:
        try:
            confirm(f"{len(losses)} of these changes replace or remove something. Go on?")
        except (click.Abort, UsageError):
            stack.discard(prepared)
            raise
    try:
        with err.status(f"deploying stage {plan.stage}") as progress:
            return stack.execute(prepared, _shown_by(progress, plan.place), _print_update)
    except KeyboardInterrupt:
        err.print(f"CloudFormation goes on; {status_hint(plan.stage, 'UPDATE_IN_PROGRESS')}", markup=False)
        raise


def _follow(place: "Place", stage_name: str) -> None:
    """Show the last operation on the stage until it ends, and print how it ended."""
    from infra import stack

    with err.status(f"following stage {stage_name}") as progress:
        end = stack.follow_last_operation(place, stage_name, _shown_by(progress, place))
    out.print(f"stage {stage_name}: {end.status}", markup=False)


def _print_identity(place: "Place") -> None:
    from infra.targets import identity

    err.print(identity(place), markup=False)


def _print_changes(prepared: "PreparedDeployment") -> None:
    """Print each change of an existing stack; a new one would list the whole template."""
    if prepared.change_set is None or prepared.change_set.is_new_stack:
        return
    for change in prepared.change_set.changes:
        err.print(str(change), markup=False, style="red" if change.is_loss else None)


def _print_updates(prepared: "PreparedDeployment") -> None:
    """Print the numbers of shards on the way, which is as far as Kinesis goes at once."""
    before = [update["ShardCount"] for update in prepared.updates_before]
    if before:
        wanted = prepared.plan.parameters.get("ShardCount", "as the stage has it")
        err.print(f"the shards change in steps, each of some minutes: {', '.join([*before, wanted])}", markup=False)


def _print_guards(prepared: "PreparedDeployment") -> None:
    """Say what can undo the change, because it is why the command takes that much longer."""
    watched, ringing = prepared.request.triggers, prepared.ringing
    if prepared.change_set is not None and watched:
        minutes = prepared.plan.watch_minutes
        err.print(
            f"{len(watched)} alarms are watched for {minutes} minutes after the change: if one rings, it is undone"
        )
    for name in ringing:
        err.print(f"{name} rings already, so it does not undo this change", markup=False)


def _print_update(update: Mapping[str, str]) -> None:
    err.print(f"first: {', '.join(f'{name} = {value}' for name, value in sorted(update.items()))}", markup=False)


def _shown_by(progress: "Status", place: "Place") -> "OnEvent":
    """Show the latest event in one moving line; on AWS, where it takes minutes, each event in a line that stays.

    A failure always stays.
    """

    def show(event: "StackEvent") -> None:
        state = event.status.lower().replace("_", " ")
        progress.update(f"{event.resource}: {state}")
        if event.is_failure:
            err.print(f"{event.resource} ({event.resource_type}): {event.reason}", markup=False, style="red")
        elif place.endpoint_url is None:
            err.print(f"{time.strftime('%H:%M:%S')}  {event.resource}: {state}", markup=False)

    return show


def _print_deployed(plan: "DeploymentPlan", applied: "DeploymentResult", *, seconds: float) -> None:
    for what in plan.left_out:
        err.print(f"left out: {what}", markup=False)
    out.print(f"stage {plan.stage} is " + (f"deployed ({seconds:.1f} s)" if applied.is_changed else "up to date"))
    _print_names(applied.stage)


def _print_names(stage: "Stage") -> None:
    names = {
        "stream": stage.stream_name,
        "lake bucket": stage.lake_bucket,
        "results bucket": stage.results_bucket,
        "consumer": stage.consumer_function,
        "dispatcher": stage.dispatcher_function,
        "database": stage.database or "none here",
        **({"page": stage.site_url} if stage.site_url else {}),
    }
    for what, name in names.items():
        out.print(f"  {what:<15}{name}", markup=False)


def _print_remains(plan: "DestructionPlan", done: "Destruction") -> None:
    if not plan.deletes_data:
        out.print(f"stage {plan.stage} is destroyed; kept:")
        for what in plan.kept:
            out.print(f"  {what}", markup=False)
        return
    if not done.expiring:
        count = len(plan.owned.buckets)
        out.print(f"stage {plan.stage} is destroyed, with {done.objects:,} objects in {count} buckets")
        return
    from infra.buckets import EXPIRY_DAYS
    from windrow.period import DAY_MS
    from windrow.timestamps import format_rfc3339

    gone_by = format_rfc3339(clock_ms() + EXPIRY_DAYS * DAY_MS)[:10]
    out.print(f"stage {plan.stage} is destroyed, with {done.objects:,} objects; S3 deletes the rest in")
    for bucket in done.expiring:
        out.print(f"  bucket {bucket}", markup=False)
    out.print(f"after {gone_by}, remove the empty buckets and their key: {_again(plan)}", markup=False)


def _again(plan: "DestructionPlan") -> str:
    return f"windrow destroy --stage {plan.stage} --delete-data"
