"""The template's roles where they are enforced: each function can do its work, and nothing that is another's."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dispatcher.report import RollOutcome
from infra import embedded, package
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec
from windrow.aws.clients import Place, client, client_config
from windrow.lake.layout import DayFile, day_file_key
from windrow.live.newest import NewestValue, item_of
from windrow.period import HOUR_MS, Grain, Period
from windrow.quantities import TEMPERATURE
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event
from windrow_operations.verifying import verify_stage

MODES = ("direct", "fanout")
DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"})
Clients = Callable[[str], Any]


def put(bucket: str, key: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("s3").put_object(Bucket=getattr(stage, bucket), Key=key, Body=b"x")


def get(bucket: str, key: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("s3").get_object(Bucket=getattr(stage, bucket), Key=key)


def delete(bucket: str, key: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("s3").delete_object(Bucket=getattr(stage, bucket), Key=key)


def delete_several(bucket: str, *keys: str) -> Callable[[Clients, Stage], object]:
    """One request; what is refused of it is named in the answer or refuses all of it."""

    def request(clients: Clients, stage: Stage) -> None:
        objects = {"Objects": [{"Key": key} for key in keys]}
        answer = clients("s3").delete_objects(Bucket=getattr(stage, bucket), Delete=objects)
        for error in answer.get("Errors", []):
            raise ClientError({"Error": error}, "DeleteObjects")

    return request


def listing(bucket: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("s3").list_objects_v2(Bucket=getattr(stage, bucket), Prefix="partials/")


def invoking(function: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("lambda").invoke(
        FunctionName=getattr(stage, function), InvocationType="DryRun"
    )


def read_stream(clients: Clients, stage: Stage) -> object:
    """The three calls of a reader; with the stream's ARN, for the emulator does not know it from an iterator."""
    kinesis = clients("kinesis")
    shards = kinesis.list_shards(StreamName=stage.stream_name)["Shards"]
    iterator = kinesis.get_shard_iterator(
        StreamName=stage.stream_name, ShardId=shards[0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    arn = client("kinesis", stage.place).describe_stream_summary(StreamName=stage.stream_name)
    return kinesis.get_records(ShardIterator=iterator, Limit=1, StreamARN=arn["StreamDescriptionSummary"]["StreamARN"])


def write_stream(clients: Clients, stage: Stage) -> object:
    return clients("kinesis").put_record(StreamName=stage.stream_name, Data=b"x", PartitionKey="x")


def publish_values(clients: Clients, stage: Stage) -> object:
    arn = f"arn:aws:sns:{stage.place.region}:000000000000:windrow-{stage.name}-live"
    return clients("sns").publish(TopicArn=arn, Message="x")


def to_queue(name: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("sqs").send_message(QueueUrl=queue_of(stage, name), MessageBody="x")


def from_queue(name: str) -> Callable[[Clients, Stage], object]:
    return lambda clients, stage: clients("sqs").receive_message(QueueUrl=queue_of(stage, name), VisibilityTimeout=0)


def queue_of(stage: Stage, name: str) -> str:
    return f"{stage.place.endpoint_url}/000000000000/windrow-{stage.name}-{name}"


def put_value(clients: Clients, stage: Stage) -> object:
    value = NewestValue("iam", TEMPERATURE, now_ms(), 0, 0)
    return clients("dynamodb").put_item(TableName=f"windrow-{stage.name}-latest", Item=item_of(value))


def with_value(operation: str) -> Callable[[Clients, Stage], object]:
    """Get or delete an item."""
    site, series = NewestValue("iam", TEMPERATURE, 0, 0, 0).key
    key = {"site": {"S": site}, "series": {"S": series}}
    return lambda clients, stage: getattr(clients("dynamodb"), operation)(
        TableName=f"windrow-{stage.name}-latest", Key=key
    )


def unseal_directly(clients: Clients, stage: Stage) -> object:
    return clients("kms").generate_data_key(KeyId=f"alias/windrow-{stage.name}", KeySpec="AES_256")


ACTIONS: dict[str, Callable[[Clients, Stage], object]] = {
    "write a partial": put("lake_bucket", "partials/iam"),
    "write a marker": put("lake_bucket", "markers/iam"),
    "mark a silence": put("lake_bucket", "markers/silences/iam"),
    "write quarantine": put("lake_bucket", "quarantine/iam"),
    "write a bookmark": put("lake_bucket", "bookmarks/iam"),
    "read a bookmark": get("lake_bucket", "bookmarks/iam"),
    "write a manifest": put("lake_bucket", "simulations/iam"),
    "read a partial": get("lake_bucket", "partials/iam"),
    "write a range": put("lake_bucket", "unions/iam"),
    "read a range": get("lake_bucket", "unions/iam"),
    "write held times": put("lake_bucket", "held/iam"),
    "read held times": get("lake_bucket", "held/iam"),
    "delete held times": delete("lake_bucket", "held/iam"),
    "delete ranges and markers": delete_several("lake_bucket", "unions/iam", "markers/iam"),
    "delete a marker and a partial": delete_several("lake_bucket", "markers/iam", "partials/iam"),
    "read quarantine": get("lake_bucket", "quarantine/iam"),
    "delete a partial": delete("lake_bucket", "partials/iam"),
    "delete a marker": delete("lake_bucket", "markers/iam"),
    "list the lake": listing("lake_bucket"),
    "write rows": put("results_bucket", "aggregates/iam"),
    "read rows": get("results_bucket", "aggregates/iam"),
    "delete rows": delete("results_bucket", "aggregates/iam"),
    "write rows of an hour": put("results_bucket", "aggregates_1h/iam"),
    "write lineages of hours": put("results_bucket", "windows_1h/iam"),
    "write a lineage": put("results_bucket", "windows/iam"),
    "read a lineage": get("results_bucket", "windows/iam"),
    "write an answer": put("results_bucket", "athena/iam"),
    "write a report": put("results_bucket", "reports/iam"),
    "list the results": listing("results_bucket"),
    "give a batch up": put("failures_bucket", "aws/lambda/iam"),
    "read what was given up": get("failures_bucket", "aws/lambda/iam"),
    "list what was given up": listing("failures_bucket"),
    "put a message aside": put("failures_bucket", "iot/iam"),
    "read a message put aside": get("failures_bucket", "iot/iam"),
    "invoke the consumer": invoking("consumer_function"),
    "invoke the dispatcher": invoking("dispatcher_function"),
    "read the stream": read_stream,
    "write the stream": write_stream,
    "make a data key past S3": unseal_directly,
    "publish newest values": publish_values,
    "send newest values past the topic": to_queue("live"),
    "put newest values aside": to_queue("live-dead"),
    "receive newest values": from_queue("live"),
    "receive what was put aside": from_queue("live-dead"),
    "put a newest value": put_value,
    "get a newest value": with_value("get_item"),
    "delete a newest value": with_value("delete_item"),
}
WRITES = frozenset(
    {"write a partial", "write a marker", "mark a silence", "write quarantine", "write a bookmark", "read a bookmark"}
)
# Lambda chooses the keys of what it gives up, so its pollers may write all of that bucket.
READS = frozenset({"read the stream", "give a batch up", "list what was given up", "put a message aside"})
ROLLS = frozenset(
    {
        "list the lake",
        "list the results",
        "read a partial",
        "delete a marker",
        "write a range",
        "read a range",
        "write held times",
        "read held times",
        "delete held times",
        "delete ranges and markers",
        "mark a silence",
        "write rows",
        "read rows",
        "write a lineage",
        "write rows of an hour",
        "write lineages of hours",
        "read a lineage",
    }
)
# (mode, role) -> what it may do of all these.
ALLOWED: dict[tuple[str, str], frozenset[str]] = {
    ("direct", "ConsumerRole"): WRITES | READS | {"publish newest values"},  # the other stage has no live values
    ("direct", "LiveRole"): frozenset({"receive newest values", "put newest values aside", "put a newest value"}),
    ("direct", "DispatcherRole"): ROLLS | {"write a report"},  # the other stage has no reports
    ("direct", "ApiRole"): frozenset(
        {"list the results", "read rows", "read a lineage", "list the lake", "read a partial"}
    ),
    ("direct", "IotRole"): frozenset({"write the stream", "put a message aside"}),
    ("fanout", "ConsumerRole"): WRITES | READS,  # so that a change of mode refuses no poll
    ("fanout", "FanoutRole"): WRITES | READS | {"invoke the consumer"},
    ("fanout", "DispatcherRole"): ROLLS,
}


@pytest.fixture(scope="module")
def enforcing_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a stack of our own that enforces IAM."""
    folder = tmp_path_factory.mktemp("windrow-iam")
    embedded.up(folder, port=0, enforces_iam=True)
    yield folder
    embedded.down(folder)


@pytest.fixture(scope="module")
def stages(enforcing_home: Path) -> dict[str, Stage]:
    """A stage in each mode."""
    place = embedded.place(enforcing_home)
    return {mode: deployed(place, mode) for mode in MODES}


@pytest.fixture(scope="module")
def as_role(stages: dict[str, Stage]) -> Callable[[str, str], Clients]:
    """Clients with the credentials of a role of one of the stages."""
    sessions: dict[tuple[str, str], boto3.session.Session] = {}

    def clients_of(mode: str, role: str) -> Clients:
        place = stages[mode].place
        if (mode, role) not in sessions:
            sessions[mode, role] = session_of(place, mode, role)

        def make(service: str) -> Any:
            return sessions[mode, role].client(
                service, endpoint_url=place.endpoint_url, config=client_config(service, place)
            )

        return make

    return clients_of


@pytest.mark.parametrize("mode", MODES)
def test_the_whole_way_works_with_the_rights_of_the_template(
    stages: dict[str, Stage], enforcing_home: Path, mode: str
) -> None:
    """From the stream to rows that equal the truth, bad readings to quarantine and late ones by their markers."""
    stage = stages[mode]
    start_ms = (now_ms() // HOUR_MS - 2) * HOUR_MS
    fleet = FleetSpec(
        seed=5,
        sensors=10,
        sites=2,
        interval_ms=10_000,
        start_ms=start_ms,
        end_ms=start_ms + 2 * WINDOW_MS,
        faults=Faults(malformed=0.05, duplicates=0.05),
    )
    sent = simulate_fleet(fleet, stage, now_ms=now_ms())
    wait_until_drained(stage, sent.last_sequence_numbers)
    today = invoke_tick(stage, tick_event(now_ms(), is_dry_run=False))  # soon after midnight it reports the day already
    verification = verify_stage(stage, home=enforcing_home)
    assert verification.is_exact, str(verification)
    assert sent.totals.malformed > 0
    day = Period.containing(Grain.DAY, start_ms)
    tomorrow = invoke_tick(stage, tick_event(day.end_ms + HOUR_MS + 120_000, is_dry_run=False))
    expected = [RollOutcome.ROLLED] if mode == "direct" else []
    reports = [*today.day_reports, *tomorrow.day_reports]
    assert [one.outcome for one in reports if one.period == day] == expected
    if expected:
        key = day_file_key(day, DayFile.PICTURE)
        stored = client("s3", stage.place).get_object(Bucket=stage.results_bucket, Key=key)
        assert stored["ContentType"] == "image/svg+xml"
        assert f"The fleet on {format_rfc3339(start_ms)[:10]}".encode() in stored["Body"].read()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("mode", "role"), ALLOWED)
def test_a_role_may_do_its_own_and_nothing_else(
    stages: dict[str, Stage], as_role: Callable[[str, str], Clients], mode: str, role: str, action: str
) -> None:
    """Every action with the role's own credentials: let through if it is among its own, denied otherwise."""
    try:
        ACTIONS[action](as_role(mode, role), stages[mode])
        is_denied = False
    except ClientError as error:
        is_denied = error.response["Error"]["Code"] in DENIALS
    assert is_denied == (action not in ALLOWED[mode, role])


def test_a_function_cannot_do_what_its_role_may_not(stages: dict[str, Stage]) -> None:
    """The enforcing is real: the dispatcher without its right to list fails, and says so."""
    stage = stages["direct"]
    iam = client("iam", stage.place)
    role = physical_id(stage.place, "direct", "DispatcherRole")
    document = iam.get_role_policy(RoleName=role, PolicyName="dispatcher")["PolicyDocument"]
    without = document | {"Statement": [one for one in document["Statement"] if one["Sid"] != "List"]}
    try:
        put_policy(iam, role, without)
        with pytest.raises(Exception, match="AccessDenied"):
            invoke_tick(stage, tick_event(now_ms(), is_dry_run=False))
    finally:
        put_policy(iam, role, document)


def deployed(place: Place, mode: str) -> Stage:
    parameters = {"IotTopic": "sites/+/up", "Web": "on", "Reports": "on", "Live": "push"} if mode == "direct" else {}
    options = DeploymentOptions(shard_count=1, mode=mode, is_scheduled=False, parameters=parameters)
    api = package.build(package.API) if parameters else None
    return stacks.apply(plan_deployment(place, mode, options, api=api), lambda _: None).stage


def session_of(place: Place, mode: str, role: str) -> boto3.session.Session:
    """The role's credentials, once it trusts us beside the service that it is for."""
    iam, name = client("iam", place), physical_id(place, mode, role)
    found = iam.get_role(RoleName=name)["Role"]
    arn = found["Arn"]
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{arn.split(':')[4]}:root"}}
    statements = [*found["AssumeRolePolicyDocument"]["Statement"], trust | {"Action": "sts:AssumeRole"}]
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json_of({"Statement": statements}))
    given = client("sts", place).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.session.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=place.region,
    )


def physical_id(place: Place, mode: str, logical: str) -> str:
    answer = client("cloudformation", place).describe_stack_resource(
        StackName=f"windrow-{mode}", LogicalResourceId=logical
    )
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def put_policy(iam: Any, role: str, document: dict[str, Any]) -> None:
    iam.put_role_policy(RoleName=role, PolicyName="dispatcher", PolicyDocument=json_of(document))


def json_of(document: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17"} | document)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
