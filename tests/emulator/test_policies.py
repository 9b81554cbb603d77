"""The printed policies against the work itself: every request that windrow makes, and an emulator that enforces IAM."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError

from analytics.athena import AthenaEngine
from analytics.query import Query
from infra import buckets, destroy, embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.policy import policy
from infra.policy_statements import Scope
from producers.producer import Producer
from tests.emulator.conftest import ignore
from tests.iam import allows
from windrow.aws.clients import Place, client, client_config
from windrow.deployment import find_stage
from windrow.stage import Stage

NAME = "policies"
DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "403"})
# Where an action has another name than its operation ("Actions, resources, and condition keys", by service).
ACTIONS = {
    "s3:DeleteObjects": "s3:DeleteObjectVersion",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
FREE = {"sts:GetCallerIdentity"}
"""Nobody needs a permission for these."""

Request = tuple[str, str, dict[str, Any]]


@contextmanager
def recorded() -> Iterator[list[Request]]:
    """Every request to AWS within the block, as the service, the operation and its parameters."""
    requests: list[Request] = []
    send = botocore.client.BaseClient._make_api_call

    def sent(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        requests.append((self.meta.service_model.signing_name, operation, dict(parameters)))
        return send(self, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", sent)
        yield requests


def wanted(request: Request, scope: Scope) -> tuple[str, str]:
    """What a request needs: an action, and the ARN of the resource."""
    service, operation, parameters = request
    match service:
        case "s3" if "Bucket" in parameters:
            resource = f"arn:aws:s3:::{parameters['Bucket']}"
            if operation.endswith(("Object", "Objects")):
                resource += f"/{parameters.get('Key', 'key')}"
        case "cloudformation" if "StackName" in parameters:
            stack = str(parameters["StackName"])
            resource = stack if stack.startswith("arn:") else scope.arn(service, f"stack/{stack}/id")
        case "kinesis":  # a page is asked for by its token
            resource = scope.arn(service, f"stream/{parameters.get('StreamName', f'windrow-{scope.stage}')}")
        case "athena":  # a query belongs to the workgroup that it ran in
            resource = scope.arn(service, f"workgroup/{parameters.get('WorkGroup', f'windrow-{scope.stage}')}")
        case "kms" if "KeyId" in parameters:
            key = str(parameters["KeyId"])
            resource = key if key.startswith("arn:") else scope.arn(service, f"key/{key}")
        case "lambda" if "FunctionName" in parameters:
            resource = scope.arn(service, f"function:{parameters['FunctionName']}")
        case _:
            resource = "*"
    return ACTIONS.get(f"{service}:{operation}", f"{service}:{operation}"), resource


def refused(requests: list[Request], kind: str, scope: Scope) -> list[tuple[str, str]]:
    """What the policy of `kind` does not allow of `requests`."""
    context = {f"aws:{what}Tag/windrow-stage": scope.stage for what in ("Resource", "Request")}
    pairs = {wanted(request, scope) for request in requests}
    return sorted(pair for pair in pairs if pair[0] not in FREE and not allows(policy(kind, scope), *pair, context))


def scope_of(place: Place, stage: str) -> Scope:
    """The stage as the policies are told of it."""
    return Scope(stage=stage, account=buckets.account_of(place), region=place.region, query_results="bucket")


def test_who_deploys_needs_no_more_than_the_policy(place: Place) -> None:
    """A new stage, a change of it, and its end with all its data: each request is allowed by the printed policy."""
    with recorded() as requests:
        options = DeploymentOptions(shard_count=1, is_scheduled=False)
        stacks.apply(plan_deployment(place, NAME, options), ignore)
        changed = DeploymentOptions(parameters={"LogRetentionDays": "7"})
        stacks.apply(plan_deployment(place, NAME, changed), ignore)
        find_stage(place, NAME).lake.put("partials/x", b"x")
        before = len(requests)
        destroy.apply(destroy.plan_destruction(place, NAME, deletes_data=True), ignore)
    data = [one for one in requests[:before] if one[2].get("Key") == "partials/x"]
    assert refused([one for one in requests if one not in data], "deploy", scope_of(place, NAME)) == []
    assert len(refused(data, "deploy", scope_of(place, NAME))) == 1  # who deploys writes no data
    operations = {operation for _, operation, _ in requests}
    assert {"ExecuteChangeSet", "PutObject", "DeleteStack", "DeleteObjects", "ScheduleKeyDeletion"} <= operations


@pytest.mark.parametrize("for_kcl", [False, True])
def test_a_producer_needs_no_more_than_the_policy(stack: Stage, monkeypatch: pytest.MonkeyPatch, for_kcl: bool) -> None:
    """From opening the stream to the last acknowledgement, with and without care for the KCL."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with (
        recorded() as requests,
        Producer.to_stream(
            stack.stream_name, region=stack.place.region, endpoint_url=stack.place.endpoint_url, for_kcl=for_kcl
        ) as producer,
    ):
        producer.put("roof", 21.4)
        assert producer.flush()
    asked = {"DescribeStreamSummary"} if for_kcl else set()
    assert {operation for _, operation, _ in requests} == {"ListShards", "PutRecords"} | asked
    assert refused(requests, "producer", scope_of(stack.place, stack.name)) == []


def test_an_analyst_needs_no_more_than_the_policy(stack: Stage) -> None:
    """Finding the stage, and a question to Athena; what the embedded stack answers does not matter."""
    with recorded() as requests:
        found = find_stage(stack.place, stack.name)
        engine = AthenaEngine(place=found.place, workgroup=found.workgroup, database=found.database)
        engine.run(Query("SELECT 1 AS one"))
    assert {operation for _, operation, _ in requests} == {
        "DescribeStacks",
        "StartQueryExecution",
        "GetQueryExecution",
        "GetQueryResults",
    }
    assert refused(requests, "analyst", scope_of(stack.place, stack.name)) == []


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage in a stack of our own that enforces IAM."""
    folder = tmp_path_factory.mktemp("windrow-policies")
    embedded.up(folder, port=0, enforces_iam=True)
    options = DeploymentOptions(shard_count=1, is_scheduled=False)
    yield stacks.apply(plan_deployment(embedded.place(folder), NAME, options), ignore).stage
    embedded.down(folder)


def session(stage: Stage, kind: str) -> boto3.session.Session:
    """Credentials of a role that has the printed policy and no other right."""
    place, name = stage.place, f"as-{kind}"
    account = buckets.account_of(place)
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    iam = client("iam", place)
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    printed = json.dumps(policy(kind, scope_of(place, stage.name)))
    iam.put_role_policy(RoleName=name, PolicyName="printed", PolicyDocument=printed)
    given = client("sts", place).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.session.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=place.region,
    )


ATTEMPTS: dict[str, Callable[[Callable[[str], Any], Stage], object]] = {
    "send": lambda of, stage: of("kinesis").put_records(
        StreamName=stage.stream_name, Records=[{"Data": b"x", "PartitionKey": "x"}]
    ),
    "list shards": lambda of, stage: of("kinesis").list_shards(StreamName=stage.stream_name),
    "delete the stream": lambda of, stage: of("kinesis").delete_stream(StreamName=stage.stream_name),
    "read rows": lambda of, stage: of("s3").get_object(Bucket=stage.results_bucket, Key="aggregates/x"),
    "read a partial": lambda of, stage: of("s3").get_object(Bucket=stage.lake_bucket, Key="partials/x"),
    "write rows": lambda of, stage: of("s3").put_object(Bucket=stage.results_bucket, Key="aggregates/x", Body=b"x"),
    "write an answer": lambda of, stage: of("s3").put_object(Bucket=stage.results_bucket, Key="athena/x", Body=b"x"),
    "delete a partial": lambda of, stage: of("s3").delete_object(Bucket=stage.lake_bucket, Key="partials/x"),
    "see a table": lambda of, stage: of("glue").get_table(DatabaseName=stage.database, Name="aggregates"),
    "run the consumer": lambda of, stage: of("lambda").invoke(
        FunctionName=stage.consumer_function, InvocationType="DryRun"
    ),
    "see the stack": lambda of, stage: of("cloudformation").describe_stacks(StackName=f"windrow-{stage.name}"),
}
MAY = {
    "producer": {"send", "list shards"},
    "analyst": {"read rows", "read a partial", "write an answer", "see a table", "see the stack"},
    "deploy": {"delete a partial", "see a table", "see the stack"},
}


@pytest.mark.parametrize("kind", MAY)
def test_where_rights_are_enforced_each_may_do_its_own_and_nothing_else(enforcing: Stage, kind: str) -> None:
    """With the credentials of a role that has only the printed policy."""
    made, place = session(enforcing, kind), enforcing.place

    def of(service: str) -> Any:
        return made.client(service, endpoint_url=place.endpoint_url, config=client_config(service, place))

    let_through = set()
    for name, attempt in ATTEMPTS.items():
        if kind == "deploy" and name == "delete the stream":
            continue  # it may, and the others need it
        try:
            attempt(of, enforcing)
            let_through.add(name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in DENIALS:
                let_through.add(name)
    assert let_through == MAY[kind]
