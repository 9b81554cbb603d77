"""`windrow policy`: print what an IAM role needs in order to deploy a stage, send to it, or ask it."""

import json

import click

from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import chosen_place, chosen_region, stage_option

# The same as infra.policy.KINDS and infra.policy_statements.QUERY_RESULTS, which take a while to import.
_KINDS = (
    "deploy",
    "deploy-audit",
    "deploy-backfill",
    "deploy-flink",
    "deploy-live",
    "deploy-scaling",
    "deploy-uploads",
    "deploy-web",
    "producer",
    "uploader",
    "analyst",
)
_QUERY_RESULTS = ("managed", "bucket")


@click.command()
@click.argument("kind", type=OneOf(_KINDS))
@click.option("--account", metavar="NUMBER", help="The account; default: that of the credentials.")
@click.option("--role-path", default="/", show_default=True, metavar="PATH", help="The stage's RolePath.")
@click.option("--boundary", default="", metavar="ARN", help="The stage's PermissionsBoundary; no role without it.")
@click.option("--key-arn", default="", metavar="ARN", help="The stage's ExistingKeyArn; default: its own key.")
@click.option(
    "--query-results",
    type=OneOf(_QUERY_RESULTS),
    default=_QUERY_RESULTS[0],
    show_default=True,
    help="The stage's QueryResults.",
)
@click.option("--role-arn", default="", metavar="ARN", help="The role that windrow deploy --role-arn names.")
@stage_option
def policy(
    kind: str,
    *,
    account: str | None,
    role_path: str,
    boundary: str,
    key_arn: str,
    query_results: str,
    role_arn: str,
    stage_name: str,
) -> None:
    """Print the IAM policy for who deploys a stage, for a producer, or for an analyst.

    Each allows the least that the work needs, in this one stage. The stage need not be deployed yet, and with --account
    and --region nothing is asked. deploy-flink is what a stage with Engine=flink adds to deploy, deploy-uploads what
    one with Uploads=bucket does, deploy-web one with Web=on, deploy-audit one with Audit=daily, deploy-backfill one
    with Backfill=on, deploy-scaling one with Scaling=auto, deploy-live one with Live=push, beside deploy-web; uploader
    is for who sends readings as objects.

    \b
    windrow policy deploy --target aws --stage prod > deploy.json
    windrow policy producer --stage prod --account 123456789012 --region eu-central-1
    windrow policy analyst --stage prod --account 123456789012 --region eu-central-1
    """
    from infra.buckets import account_of
    from infra.plan import check_stage
    from infra.policy import policy as policy_of
    from infra.policy_statements import Scope
    from windrow.aws.clients import readable_errors

    region = chosen_region()
    if account is None or region is None:
        place = chosen_place()
        region = place.region
        if account is None:
            with readable_errors(place), err.status("asking whose account this is"):
                account = account_of(place)
    scope = Scope(
        stage=check_stage(stage_name),
        account=account,
        region=region,
        role_path=role_path,
        boundary=boundary,
        key_arn=key_arn,
        query_results=query_results,
        role_arn=role_arn,
    )
    out.print(json.dumps(policy_of(kind, scope), indent=2), markup=False)
