"""A stage in an account with rules of its own: a boundary, a path, a key, a VPC and tags that the company chose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import destroy
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec
from tests.emulator.conftest import ignore
from windrow.aws.clients import Place, client
from windrow.errors import WindrowError
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow_cli.stage import clock_ms
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event
from windrow_operations.verifying import verify_stage

NAME = "company"
PATH = "/data/windrow/"
# The embedded stack takes a boundary, a VPC and a bucket's key, and forgets them: the golden file of the template and
# tests/unit/test_template.py look at these.
BOUNDARY = "arn:aws:iam::000000000000:policy/bounds"
ROLES = ("ConsumerRole", "DispatcherRole")
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def key(place: Place) -> str:
    """A key that somebody else in the company made."""
    return str(client("kms", place).create_key(Description="the company's")["KeyMetadata"]["Arn"])


@pytest.fixture(scope="module")
def network(place: Place) -> dict[str, str]:
    """A subnet and a security group of a VPC."""
    ec2 = client("ec2", place)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="functions", Description="functions", VpcId=vpc)["GroupId"]
    return {"SubnetIds": subnet, "SecurityGroupIds": group}


@pytest.fixture(scope="module")
def company_stage(place: Place, key: str, network: dict[str, str]) -> Iterator[Stage]:
    """A stage deployed by the company's rules."""
    options = DeploymentOptions(
        shard_count=1,
        is_scheduled=False,
        parameters={"ExistingKeyArn": key, "PermissionsBoundary": BOUNDARY, "RolePath": PATH, **network},
        tags={"cost-centre": "4711"},
    )
    yield stacks.apply(plan_deployment(place, NAME, options), ignore).stage
    if stacks.describe(place, f"windrow-{NAME}"):
        destroy.apply(destroy.plan_destruction(place, NAME, deletes_data=True), ignore)


def resource(place: Place, logical: str) -> str:
    """The physical id of one of the stage's resources."""
    found = client("cloudformation", place).describe_stack_resource(
        StackName=f"windrow-{NAME}", LogicalResourceId=logical
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def resource_types(place: Place) -> set[str]:
    """The types of all of the stage's resources."""
    found = client("cloudformation", place).describe_stack_resources(StackName=f"windrow-{NAME}")
    return {one["ResourceType"] for one in found["StackResources"]}


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_the_path(company_stage: Stage, role: str) -> None:
    """Every role that the stage creates is where the company wants it."""
    place = company_stage.place
    assert client("iam", place).get_role(RoleName=resource(place, role))["Role"]["Path"] == PATH


def test_the_stage_has_no_key_but_the_companys(company_stage: Stage, key: str) -> None:
    """It made none of its own, nor an alias; what it says of its key is the company's."""
    stack = stacks.describe(company_stage.place, f"windrow-{NAME}")
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert outputs["KeyArn"] == key
    assert not {"AWS::KMS::Key", "AWS::KMS::Alias"} & resource_types(company_stage.place)


def test_the_whole_way_works_by_the_companys_rules(company_stage: Stage, home: Path) -> None:
    """From the stream to rows that equal the truth."""
    start_ms = (clock_ms() // HOUR_MS - 2) * HOUR_MS
    fleet = FleetSpec(
        seed=7, sensors=5, sites=1, interval_ms=30_000, start_ms=start_ms, end_ms=start_ms + WINDOW_MS, faults=Faults()
    )
    sent = simulate_fleet(fleet, company_stage, now_ms=clock_ms())
    wait_until_drained(company_stage, sent.last_sequence_numbers)
    invoke_tick(company_stage, tick_event(clock_ms(), is_dry_run=False))
    verification = verify_stage(company_stage, home=home)
    assert verification.is_exact, str(verification)


def test_the_stack_has_the_companys_tags_and_keeps_them(company_stage: Stage) -> None:
    """A later deployment that names another tag adds it; CloudFormation hands a stack's tags to its resources."""
    place = company_stage.place
    stacks.apply(plan_deployment(place, NAME, DeploymentOptions(tags={"owner": "metering"})), ignore)
    tags = {tag["Key"]: tag["Value"] for tag in stacks.describe(place, f"windrow-{NAME}")["Tags"]}
    assert tags == {"windrow-stage": NAME, "cost-centre": "4711", "owner": "metering"}


@pytest.mark.parametrize("another", ["", "arn:aws:kms:us-east-1:000000000000:key/other"])
def test_another_key_is_refused(company_stage: Stage, another: str) -> None:
    """With another key, or one of its own, the functions could not read what is stored: nothing is changed."""
    options = DeploymentOptions(parameters={"ExistingKeyArn": another})
    with pytest.raises(WindrowError, match="has stored its objects under"):
        stacks.prepare(plan_deployment(company_stage.place, NAME, options), ignore)


def test_destroying_the_stage_with_its_data_leaves_the_companys_key(company_stage: Stage, key: str) -> None:
    """Buckets and objects go; the key is somebody else's, and others may depend on it."""
    place = company_stage.place
    plan = destroy.plan_destruction(place, NAME, deletes_data=True)
    assert (len(plan.owned.buckets), plan.owned.keys) == (3, ())
    assert not any(key in line for line in plan.lines())
    destroy.apply(plan, ignore)
    assert client("kms", place).describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
