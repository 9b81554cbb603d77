"""The printed policies: what each allows and what it does not, with AWS's own lists of what its handlers call."""

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra import template
from infra.buckets import code_bucket_name
from infra.policy import CHARACTERS_MAX, KINDS, policy
from infra.policy_statements import Scope
from tests.golden.sam_template import translated
from tests.iam import allows
from windrow.errors import UsageError
from windrow_cli.main import windrow

ACCOUNT, REGION = "123456789012", "eu-central-1"
SCOPE = Scope(stage="prod", account=ACCOUNT, region=REGION)
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/bounds"
FOREIGN_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/theirs"
_CFNLINT = importlib.util.find_spec("cfnlint")
assert _CFNLINT is not None
assert _CFNLINT.origin is not None
SCHEMAS = Path(_CFNLINT.origin).parent / "data" / "schemas" / "resources"


def arn(service: str, what: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{what}"


LAKE, RESULTS = (f"arn:aws:s3:::windrow-prod-{name}-1a2b3c" for name in ("lakebucket", "resultsbucket"))
FLINK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-FlinkRole-1A2B"
MACHINE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-BackfillMachineRole-1A2B"
API_ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-ApiRole-1A2B"
SCALING_ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-ScalingRole-1A2B"
AUDIT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-AuditRole-1A2B"
POOL = arn("cognito-idp", "userpool/eu-central-1_1A2B")
API = f"arn:aws:apigateway:{REGION}::/apis/1a2b"
IOT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-IotRole-1A2B"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-ConsumerRole-1A2B"
OWN_KEY = arn("kms", "key/own")
ACTING_ROLE = f"arn:aws:iam::{ACCOUNT}:role/cloudformation-data"
TAGGED = {"aws:ResourceTag/windrow-stage": "prod", "aws:RequestTag/windrow-stage": "prod"}
OF_ANSWERS = {"kms:EncryptionContext:aws:athena:arn": arn("athena", "workgroup/windrow-prod")}
THROUGH_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:ResourceAliases": "alias/windrow-prod"}
# What a resource of each type is called in a stage.
EXAMPLES = {
    "AWS::ApiGatewayV2::Api": API,
    "AWS::ApiGatewayV2::Authorizer": f"{API}/authorizers/1a2b",
    "AWS::ApiGatewayV2::Integration": f"{API}/integrations/1a2b",
    "AWS::ApiGatewayV2::Route": f"{API}/routes/1a2b",
    "AWS::ApiGatewayV2::Stage": f"{API}/stages/$default",
    "AWS::CloudFront::Distribution": f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1A2B",
    "AWS::CloudFront::OriginAccessControl": f"arn:aws:cloudfront::{ACCOUNT}:origin-access-control/E1A2B",
    "AWS::CloudFront::ResponseHeadersPolicy": f"arn:aws:cloudfront::{ACCOUNT}:response-headers-policy/1-a",
    "AWS::Cognito::UserPool": POOL,
    "AWS::Cognito::UserPoolClient": POOL,
    "AWS::Cognito::UserPoolDomain": POOL,
    "AWS::Cognito::UserPoolGroup": POOL,
    "AWS::Cognito::UserPoolResourceServer": POOL,
    "AWS::Athena::NamedQuery": arn("athena", "workgroup/windrow-prod"),
    "AWS::Athena::WorkGroup": arn("athena", "workgroup/windrow-prod"),
    "AWS::CloudWatch::Alarm": arn("cloudwatch", "alarm:windrow-prod-throttles"),
    "AWS::CloudWatch::Dashboard": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/windrow-prod",
    "AWS::DynamoDB::Table": arn("dynamodb", "table/windrow-prod-latest"),
    "AWS::Events::Rule": arn("events", "rule/windrow-prod-DispatcherFunctionTick-1A2B"),
    "AWS::Glue::Database": arn("glue", "database/windrow_prod"),
    "AWS::Glue::Table": arn("glue", "table/windrow_prod/latest"),
    "AWS::IAM::Policy": API_ROLE,
    "AWS::IAM::Role": ROLE,
    "AWS::IoT::TopicRule": arn("iot", "rule/windrow_prod"),
    "AWS::KMS::Alias": arn("kms", "alias/windrow-prod"),
    "AWS::KMS::Key": OWN_KEY,
    "AWS::KinesisAnalyticsV2::Application": arn("kinesisanalytics", "application/windrow-prod"),
    "AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption": arn("kinesisanalytics", "application/windrow-prod"),
    "AWS::Kinesis::Stream": arn("kinesis", "stream/windrow-prod"),
    "AWS::Lambda::Alias": arn("lambda", "function:windrow-prod-consumer:live"),
    "AWS::Lambda::EventInvokeConfig": arn("lambda", "function:windrow-prod-dispatcher"),
    "AWS::Lambda::EventSourceMapping": arn("lambda", "event-source-mapping:0-1-2"),
    "AWS::Lambda::Function": arn("lambda", "function:windrow-prod-consumer"),
    "AWS::Lambda::Permission": arn("lambda", "function:windrow-prod-dispatcher"),
    "AWS::Lambda::Version": arn("lambda", "function:windrow-prod-consumer:1"),
    "AWS::Logs::LogGroup": arn("logs", "log-group:/aws/lambda/windrow-prod-consumer"),
    "AWS::Logs::LogStream": arn("logs", "log-group:/aws/kinesis-analytics/windrow-prod:log-stream:application"),
    "AWS::S3::Bucket": LAKE,
    "AWS::S3::BucketPolicy": LAKE,
    "AWS::StepFunctions::StateMachine": arn("states", "stateMachine:windrow-prod-backfill"),
    "AWS::SQS::Queue": arn("sqs", "windrow-prod-uploads"),
    "AWS::SQS::QueuePolicy": arn("sqs", "windrow-prod-uploads"),
    "AWS::SNS::Subscription": arn("sns", "windrow-prod-alarms"),
    "AWS::SNS::Topic": arn("sns", "windrow-prod-alarms"),
    "AWS::SNS::TopicPolicy": arn("sns", "windrow-prod-alarms"),
}
ANYWHERE = {"kms:CreateKey", "kms:ListAliases", "logs:DescribeLogGroups"}
ANYWHERE |= {f"ec2:Describe{what}" for what in ("SecurityGroups", "Subnets", "Vpcs")}
# Where a handler looks beyond its own resource.
ELSEWHERE = {
    "iam:PassRole": ROLE,
    "s3:GetObject": f"arn:aws:s3:::{code_bucket_name(ACCOUNT, REGION)}/consumer.zip",
    "s3:GetObjectVersion": f"arn:aws:s3:::{code_bucket_name(ACCOUNT, REGION)}/consumer.zip",
}
# Handlers name what they call for any property of a type; these are for properties that the template does not use.
UNUSED_SERVICES = {"s3tables", "s3files", "elasticfilesystem", "codedeploy", "lakeformation", "firehose"}
UNUSED_ACTIONS = (
    "Attach|Detach|DeleteRolePermissionsBoundary|PutRolePermissionsBoundary|UpdateRoleDescription|Analytics|CORS|Cors|"
    "Inventory|Metrics|Notification|Replication|Website|Accelerate|ObjectLock|Acl|Logging|IntelligentTiering|Metadata|"
    "Abac|DataProtectionPolicy|LogDelivery|REST|ResourcePolic|PutIndexPolicy|DeleteIndexPolicy|KmsKey|BearerToken|"
    "DeletionProtection|CodeSigning|LayerVersion|Capacity|RuntimeAlias|ScalingConfig|CreateGrant|kms:Encrypt|"
    "MaxRecordSize|WarmThroughput|DistributionStrategy|Connection|SchemaVersion|iam:GetRole$|DeleteBucketEncryption|"
    "DeleteBucketLifecycle|DeleteBucketTagging|EnableKey$|DisableKey$|DescribeNetworkInterfaces|VpcOrigin|"
    "StagingConfig|cloudfront:updateDistribution|UserPolicy|GroupPolicy|ContinuousBackups|ContributorInsights|Import|"
    "KinesisStreaming|Replica|dynamodb:Scan|dynamodb:Query|Item$"
)
# Encrypted environments and filters: they are not, or not when CloudFormation makes them.
UNUSED_OF_TYPE = {
    "AWS::ApiGatewayV2::Api": {"s3"},
    "AWS::ApiGatewayV2::Authorizer": {"iam"},
    "AWS::ApiGatewayV2::Integration": {"iam"},
    "AWS::Cognito::UserPool": {"iam", "kms"},
    "AWS::Cognito::UserPoolClient": {"iam"},
    "AWS::Cognito::UserPoolDomain": {"kms"},
    "AWS::Cognito::UserPoolGroup": {"iam"},
    "AWS::Athena::WorkGroup": {"iam", "s3"},
    "AWS::KinesisAnalyticsV2::Application": {"kms"},
    "AWS::Lambda::EventSourceMapping": {"kms"},
    "AWS::Lambda::Function": {"kms"},
    "AWS::SNS::Topic": {"iam"},
    "AWS::SNS::Subscription": {"iam"},
    "AWS::DynamoDB::Table": {"iam", "kinesis", "kms", "logs", "s3"},
    "AWS::Events::Rule": {"iam"},
    "AWS::Glue::Table": {"iam", "s3"},
    "AWS::S3::Bucket": {"iam"},
    "AWS::StepFunctions::StateMachine": {"kms", "s3"},
}
# Types of before the registry, whose schemas have no handlers: what the API has for them.
WITHOUT_HANDLERS = {
    "AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption": {
        "kinesisanalytics:AddApplicationCloudWatchLoggingOption",
        "kinesisanalytics:DeleteApplicationCloudWatchLoggingOption",
        "kinesisanalytics:DescribeApplication",
        "kinesisanalytics:UpdateApplication",
    }
}
OBJECTS = {"s3:DeleteObject"}
# Only a workgroup's handler needs them, for the answers that Athena keeps.
SEALS = {"kms:Decrypt", "kms:GenerateDataKey"}


def handlers() -> dict[str, set[str]]:
    """What CloudFormation calls for each type of resource in the template, by the registry's schemas."""
    types = {one["Type"] for one in translated()["Resources"].values()}
    found = {}
    for path in SCHEMAS.glob("*.json"):
        schema: dict[str, Any] = json.loads(path.read_text())
        if schema.get("typeName") in types:
            of_steps = schema.get("handlers", {}).items()
            named = [one for step, handler in of_steps if step != "list" for one in handler["permissions"]]
            found[schema["typeName"]] = set(named) or WITHOUT_HANDLERS[schema["typeName"]]
    assert found.keys() == types <= EXAMPLES.keys()
    return found


def needed() -> list[tuple[str, str]]:
    """Pairs of a type and an action that its handlers call for what the template sets."""
    unused = re.compile(UNUSED_ACTIONS)
    return [
        (kind, action)
        for kind, actions in sorted(handlers().items())
        for action in sorted(actions)
        if (service := action.split(":")[0]) not in UNUSED_SERVICES
        and service not in UNUSED_OF_TYPE.get(kind, ())
        and not unused.search(action)
    ]


@pytest.mark.parametrize(("kind", "action"), needed())
def test_who_deploys_may_do_what_cloudformation_does(kind: str, action: str) -> None:
    """Each call of a handler, with the name that the resource has in a stage."""
    where = "*" if action in ANYWHERE else ELSEWHERE.get(action, EXAMPLES[kind])
    where = f"{where}/key" if action in OBJECTS else where
    where = OWN_KEY if action in SEALS else where
    service = "lambda"
    if (kind, action) == ("AWS::IoT::TopicRule", "iam:PassRole"):
        where, service = IOT_ROLE, "iot"
    if (kind, action) == ("AWS::KinesisAnalyticsV2::Application", "iam:PassRole"):
        where, service = FLINK_ROLE, "kinesisanalytics"
    if (kind, action) == ("AWS::StepFunctions::StateMachine", "iam:PassRole"):
        where, service = MACHINE_ROLE, "states"
    context = TAGGED | OF_ANSWERS | {"iam:PassedToService": f"{service}.amazonaws.com"}
    policies = {"AWS::KinesisAnalyticsV2": "deploy-flink", "AWS::Logs::LogStream": "deploy-flink"}
    policies |= {"AWS::DynamoDB": "deploy-live"}
    policies |= {"AWS::SQS": "deploy-uploads", "AWS::StepFunctions": "deploy-backfill"}
    policies |= dict.fromkeys(
        ("AWS::ApiGatewayV2", "AWS::CloudFront", "AWS::Cognito", "AWS::IAM::Policy"), "deploy-web"
    )
    of_kind = next((name for prefix, name in policies.items() if kind.startswith(prefix)), "deploy")
    assert allows(policy(of_kind, SCOPE), action, where, context)


def test_a_backfill_has_a_policy_of_its_own() -> None:
    """The machine and the two roles; it starts nothing."""
    granted, machine = policy("deploy-backfill", SCOPE), arn("states", "stateMachine:windrow-prod-backfill")
    function = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-BackfillRole-1A2B"
    for role, service in ((function, "lambda"), (MACHINE_ROLE, "states")):
        assert allows(granted, "iam:CreateRole", role)
        assert allows(granted, "iam:PassRole", role, {"iam:PassedToService": f"{service}.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", function, {"iam:PassedToService": "states.amazonaws.com"})
    assert allows(granted, "states:UpdateStateMachine", machine)
    assert not allows(granted, "states:StartExecution", machine)
    assert not allows(granted, "states:DeleteStateMachine", arn("states", "stateMachine:windrow-other-backfill"))


def test_uploads_have_a_policy_of_their_own() -> None:
    """Their bucket and what it tells EventBridge, their queue and role; neither another stage's, nor any object."""
    granted, bucket = policy("deploy-uploads", SCOPE), "arn:aws:s3:::windrow-prod-uploadsbucket-1a2b"
    role = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-UploadsRole-1A2B"
    for action in ("CreateBucket", "PutBucketNotification", "PutBucketVersioning", "PutLifecycleConfiguration"):
        assert allows(granted, f"s3:{action}", bucket)
    assert not allows(granted, "s3:CreateBucket", LAKE)
    assert not allows(granted, "s3:GetObject", f"{bucket}/uploads/x")
    assert allows(granted, "iam:CreateRole", role)
    assert allows(granted, "iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"})
    assert not allows(granted, "sqs:CreateQueue", arn("sqs", "windrow-other-uploads"))
    assert allows(granted, "sqs:CreateQueue", arn("sqs", "windrow-prod-uploads-dead"))
    assert not allows(granted, "sqs:SendMessage", arn("sqs", "windrow-prod-uploads"))


def test_the_audit_has_a_policy_of_its_own() -> None:
    """Its role, for functions only; no other role, and nothing of the stream or the results."""
    granted = policy("deploy-audit", SCOPE)
    to_functions = {"iam:PassedToService": "lambda.amazonaws.com"}
    assert allows(granted, "iam:CreateRole", AUDIT_ROLE)
    assert allows(granted, "iam:PassRole", AUDIT_ROLE, to_functions)
    assert not allows(granted, "iam:PassRole", AUDIT_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", ROLE, to_functions)
    assert not allows(granted, "kinesis:GetRecords", arn("kinesis", "stream/windrow-prod"))
    assert not allows(granted, "s3:GetObject", f"{RESULTS}/audits/x")
    function = arn("lambda", "function:windrow-prod-audit")
    assert allows(policy("deploy", SCOPE), "lambda:CreateFunction", function)


def test_the_scaling_has_a_policy_of_its_own() -> None:
    """Its role, for functions only; no other role, and nothing of the stream."""
    granted = policy("deploy-scaling", SCOPE)
    to_functions = {"iam:PassedToService": "lambda.amazonaws.com"}
    assert allows(granted, "iam:CreateRole", SCALING_ROLE)
    assert allows(granted, "iam:PassRole", SCALING_ROLE, to_functions)
    assert not allows(granted, "iam:PassRole", SCALING_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", AUDIT_ROLE, to_functions)
    assert not allows(granted, "kinesis:UpdateShardCount", arn("kinesis", "stream/windrow-prod"))
    assert allows(policy("deploy", SCOPE), "lambda:CreateFunction", arn("lambda", "function:windrow-prod-scaling"))


def test_live_values_have_a_policy_of_their_own() -> None:
    """Their table, queue and role; no item, no message, no other stage's, and the key through DynamoDB alone."""
    granted, table = policy("deploy-live", SCOPE), EXAMPLES["AWS::DynamoDB::Table"]
    role, to_functions = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-LiveRole-1A2B", "lambda.amazonaws.com"
    assert allows(granted, "iam:CreateRole", role)
    assert allows(granted, "iam:PassRole", role, {"iam:PassedToService": to_functions})
    assert not allows(granted, "iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", API_ROLE, {"iam:PassedToService": to_functions})
    for name in ("LiveSocketsRole", "LivePushRole"):
        own = f"arn:aws:iam::{ACCOUNT}:role/windrow-prod-{name}-1A2B"
        assert allows(granted, "iam:PassRole", own, {"iam:PassedToService": to_functions})
    assert allows(granted, "dynamodb:CreateTable", arn("dynamodb", "table/windrow-prod-connections"))
    for action in calls_for_queues():
        assert allows(granted, action, arn("sqs", "windrow-prod-live-dead"))
        assert not allows(granted, action, arn("sqs", "windrow-other-live"))
    for action in ("SendMessage", "ReceiveMessage"):
        assert not allows(granted, f"sqs:{action}", arn("sqs", "windrow-prod-live"))
    for action in ("GetItem", "PutItem", "Scan", "DeleteItem"):
        assert not allows(granted, f"dynamodb:{action}", table)
    assert not allows(granted, "dynamodb:DeleteTable", table.replace("prod", "other"))
    through = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com", "kms:ResourceAliases": "alias/windrow-prod"}
    for action in ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt"):
        assert allows(granted, f"kms:{action}", OWN_KEY, through)
        assert not allows(granted, f"kms:{action}", OWN_KEY, THROUGH_S3)


def calls_for_queues() -> list[str]:
    """What CloudFormation calls for queues and their policies."""
    return [action for kind, action in needed() if kind.startswith("AWS::SQS::")]


def test_an_uploader_puts_objects_and_reads_receipts() -> None:
    """And nothing else: neither what others uploaded, nor partials."""
    granted, bucket = policy("uploader", SCOPE), "arn:aws:s3:::windrow-prod-uploadsbucket-1a2b"
    assert allows(granted, "s3:PutObject", f"{bucket}/uploads/x")
    assert allows(granted, "s3:GetObject", f"{LAKE}/receipts/x.json")
    assert allows(granted, "kms:GenerateDataKey", OWN_KEY, THROUGH_S3)
    for action, where in (
        ("s3:PutObject", f"{bucket}/x"),
        ("s3:GetObject", f"{bucket}/uploads/x"),
        ("s3:GetObject", f"{LAKE}/partials/x"),
        ("s3:ListBucket", bucket),
        ("s3:DeleteObject", f"{bucket}/uploads/x"),
    ):
        assert not allows(granted, action, where)


def test_the_page_has_a_policy_of_its_own() -> None:
    """Its role, its bucket, its logs, its users; neither another stage's pool nor the role to another service."""
    granted = policy("deploy-web", SCOPE)
    site = "arn:aws:s3:::windrow-prod-sitebucket-1a2b3c"
    others = dict.fromkeys(TAGGED, "other")
    assert allows(granted, "s3:PutObject", f"{site}/index.html")
    assert allows(granted, "s3:DeleteObjectVersion", f"{site}/index.html")
    assert not allows(granted, "s3:PutObject", f"{LAKE}/index.html")
    assert allows(granted, "cognito-idp:AdminCreateUser", POOL, TAGGED)
    for action in ("AdminCreateUser", "DeleteUserPool", "CreateUserPool"):
        assert not allows(granted, f"cognito-idp:{action}", POOL, others)
    assert not allows(granted, "cognito-idp:AdminSetUserPassword", POOL, TAGGED)
    assert not allows(granted, "cloudfront:DeleteDistribution", EXAMPLES["AWS::CloudFront::Distribution"], others)
    for action in ("CreateUserPoolClient", "ListUserPoolClients", "DeleteUserPoolClient"):
        assert allows(granted, f"cognito-idp:{action}", POOL, TAGGED)
        assert not allows(granted, f"cognito-idp:{action}", POOL, others)
    for action in ("GetObject", "PutObject", "DeleteObject"):
        assert allows(granted, f"s3:{action}", f"{LAKE}/gateways/c7.json")
        assert not allows(granted, f"s3:{action}", f"{LAKE}/partials/a")
    assert allows(granted, "s3:ListBucket", LAKE, {"s3:prefix": "gateways/"})
    assert not allows(granted, "s3:ListBucket", LAKE, {"s3:prefix": "partials/"})
    assert allows(granted, "kms:Decrypt", OWN_KEY, THROUGH_S3)
    assert not allows(granted, "kms:Decrypt", OWN_KEY)
    assert allows(granted, "iam:CreateRole", API_ROLE)
    assert allows(granted, "iam:PassRole", API_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", API_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"})
    group = arn("logs", "log-group:/aws/vendedlogs/windrow-prod-api")
    assert allows(granted, "logs:CreateLogGroup", group)
    assert not allows(granted, "logs:CreateLogGroup", group.replace("prod", "production"))


def test_an_analyst_reads_what_rules_that_count_minutes_are_checked_by() -> None:
    """Held times, or the readings of rows as partials or united sets, beside the lineage that names them; no more."""
    granted = policy("analyst", SCOPE)
    for key in (f"{LAKE}/held/x", f"{LAKE}/unions/x", f"{LAKE}/partials/x", f"{RESULTS}/windows/x"):
        assert allows(granted, "s3:GetObject", key), key
        assert not allows(granted, "s3:PutObject", key), key


def test_the_flink_application_has_a_policy_of_its_own() -> None:
    """Its role, its log and itself, started as well; neither another stage's nor the role to another service."""
    granted, application = policy("deploy-flink", SCOPE), EXAMPLES["AWS::KinesisAnalyticsV2::Application"]
    to_service = {"iam:PassedToService": "kinesisanalytics.amazonaws.com"}
    assert allows(granted, "kinesisanalytics:StartApplication", application)
    assert not allows(granted, "kinesisanalytics:StartApplication", f"{application}uction")
    assert allows(granted, "iam:CreateRole", FLINK_ROLE)
    assert allows(granted, "logs:CreateLogGroup", arn("logs", "log-group:/aws/kinesis-analytics/windrow-prod"))
    assert not allows(
        granted, "logs:CreateLogGroup", arn("logs", "log-group:/aws/kinesis-analytics/windrow-production")
    )
    assert not allows(granted, "iam:PassRole", FLINK_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"})
    assert not allows(granted, "iam:PassRole", ROLE, to_service)
    assert not allows(policy("deploy", SCOPE), "iam:PassRole", FLINK_ROLE, to_service)


def test_who_deploys_may_store_a_contract() -> None:
    """Write it into the lake, sealed with the stage's key through S3; a key of others too, if the policy names it."""
    for scope, key in ((SCOPE, OWN_KEY), (replace(SCOPE, key_arn=f"{OWN_KEY}2"), f"{OWN_KEY}2")):
        granted = policy("deploy", scope)
        assert allows(granted, "s3:PutObject", f"{LAKE}/contracts/x.json", {})
        assert allows(granted, "kms:GenerateDataKey", key, TAGGED | THROUGH_S3)


FORBIDDEN: list[tuple[str, str, str]] = [
    ("deploy", "kinesis:GetRecords", arn("kinesis", "stream/windrow-prod")),
    ("deploy", "kinesis:PutRecords", arn("kinesis", "stream/windrow-prod")),
    ("deploy", "kinesis:DeleteStream", arn("kinesis", "stream/windrow-other")),
    ("deploy", "s3:GetObject", f"{LAKE}/partials/x"),
    ("deploy", "s3:PutObject", f"{RESULTS}/aggregates/x"),
    ("deploy", "s3:PutObject", f"{LAKE}/partials/x"),
    ("deploy", "s3:GetObject", f"{LAKE}/contracts/x.json"),
    ("deploy", "s3:DeleteBucket", f"arn:aws:s3:::{code_bucket_name(ACCOUNT, REGION)}"),
    ("deploy", "s3:DeleteBucket", "arn:aws:s3:::windrow-other-lakebucket-1"),
    ("deploy", "lambda:InvokeFunction", arn("lambda", "function:windrow-prod-consumer")),
    ("deploy", "lambda:UpdateFunctionCode", arn("lambda", "function:payroll")),
    ("deploy", "iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/admin"),
    ("deploy", "iam:AttachRolePolicy", ROLE),
    ("deploy", "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin"),
    ("deploy", "iam:PassRole", IOT_ROLE),  # to Lambda
    ("deploy", "iot:CreateTopicRule", arn("iot", "rule/windrow_other")),
    ("deploy", "iot:DeleteTopicRule", arn("iot", "rule/theirs")),
    ("deploy", "iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x"),
    ("deploy", "kms:Decrypt", OWN_KEY),
    ("deploy", "cloudformation:DeleteStack", arn("cloudformation", "stack/windrow-production/1")),
    ("deploy", "glue:DeleteTable", arn("glue", "table/windrow_other/latest")),
    ("producer", "kinesis:GetRecords", arn("kinesis", "stream/windrow-prod")),
    ("producer", "kinesis:PutRecords", arn("kinesis", "stream/windrow-other")),
    ("producer", "kinesis:DeleteStream", arn("kinesis", "stream/windrow-prod")),
    ("producer", "s3:GetObject", f"{LAKE}/partials/x"),
    ("analyst", "s3:PutObject", f"{RESULTS}/aggregates/x"),
    ("analyst", "s3:PutObject", f"{RESULTS}/athena/x"),
    ("analyst", "s3:GetObject", f"{RESULTS}/athena/x"),
    ("analyst", "kms:GenerateDataKey", OWN_KEY),
    ("analyst", "s3:DeleteObject", f"{RESULTS}/athena/x"),
    ("analyst", "s3:GetObject", f"{LAKE}/simulations/x"),
    ("analyst", "s3:GetObject", "arn:aws:s3:::windrow-other-resultsbucket-1/aggregates/x"),
    ("analyst", "athena:StartQueryExecution", arn("athena", "workgroup/primary")),
    ("analyst", "athena:DeleteWorkGroup", arn("athena", "workgroup/windrow-prod")),
    ("analyst", "glue:GetTable", arn("glue", "table/windrow_other/latest")),
    ("analyst", "glue:UpdateTable", arn("glue", "table/windrow_prod/latest")),
    ("analyst", "kinesis:GetRecords", arn("kinesis", "stream/windrow-prod")),
    ("analyst", "kms:ScheduleKeyDeletion", OWN_KEY),
]


@pytest.mark.parametrize(("kind", "action", "where"), FORBIDDEN)
def test_what_is_not_of_the_work_is_denied(kind: str, action: str, where: str) -> None:
    """Even with every condition that the policy knows fulfilled."""
    context = TAGGED | THROUGH_S3 | {"iam:PassedToService": "lambda.amazonaws.com"}
    assert not allows(policy(kind, SCOPE), action, where, context)


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_fits_into_a_role(kind: str) -> None:
    """With the longest stage name, and a boundary; IAM does not count white space."""
    scope = Scope(
        stage="a" * 20, account=ACCOUNT, region="ap-southeast-1", role_path="/data/windrow/", boundary=BOUNDARY
    )
    assert len(json.dumps(policy(kind, scope), separators=(",", ":"))) <= CHARACTERS_MAX


def test_a_role_is_made_only_within_the_boundary() -> None:
    """With the company's boundary, on the company's path, and not without either."""
    bounded = policy("deploy", Scope(stage="prod", account=ACCOUNT, region=REGION, role_path="/d/", boundary=BOUNDARY))
    role = f"arn:aws:iam::{ACCOUNT}:role/d/windrow-prod-ConsumerRole-1A2B"
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        assert allows(bounded, action, role, {"iam:PermissionsBoundary": BOUNDARY})
        assert not allows(bounded, action, role)
        assert not allows(bounded, action, ROLE, {"iam:PermissionsBoundary": BOUNDARY})
    assert not allows(bounded, "iam:DeleteRolePermissionsBoundary", role, {"iam:PermissionsBoundary": BOUNDARY})


def test_a_role_is_handed_to_cloudformation_only_if_it_was_named() -> None:
    """With --role-arn: this role, to CloudFormation alone; the stage's own roles still to Lambda alone."""
    named = policy("deploy", Scope(stage="prod", account=ACCOUNT, region=REGION, role_arn=ACTING_ROLE))
    to_cloudformation = {"iam:PassedToService": "cloudformation.amazonaws.com"}
    to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
    assert allows(named, "iam:PassRole", ACTING_ROLE, to_cloudformation)
    assert not allows(named, "iam:PassRole", ACTING_ROLE, to_lambda)
    assert not allows(named, "iam:PassRole", ROLE, to_cloudformation)
    assert allows(named, "iam:PassRole", ROLE, to_lambda)
    assert not allows(policy("deploy", SCOPE), "iam:PassRole", ACTING_ROLE, to_cloudformation)


def test_a_key_is_used_by_the_analyst_only_through_s3() -> None:
    """The stage's own key by its alias, another by its ARN; neither directly."""
    theirs = policy("analyst", Scope(stage="prod", account=ACCOUNT, region=REGION, key_arn=FOREIGN_KEY))
    assert allows(policy("analyst", SCOPE), "kms:Decrypt", OWN_KEY, THROUGH_S3)
    assert not allows(policy("analyst", SCOPE), "kms:Decrypt", OWN_KEY, THROUGH_S3 | {"kms:ResourceAliases": "alias/x"})
    assert allows(theirs, "kms:Decrypt", FOREIGN_KEY, THROUGH_S3)
    assert not allows(theirs, "kms:Decrypt", FOREIGN_KEY)
    assert not allows(theirs, "kms:Decrypt", OWN_KEY, THROUGH_S3)


def test_answers_that_athena_keeps_are_sealed_with_the_key_for_this_workgroup_alone() -> None:
    """Whoever asks and who deploys: with the stage's own key and with another's; other workgroups' keys stay shut."""
    theirs = Scope(stage="prod", account=ACCOUNT, region=REGION, key_arn=FOREIGN_KEY)
    elsewhere = {name: arn("athena", "workgroup/windrow-other") for name in OF_ANSWERS}
    known = TAGGED | {"kms:ResourceAliases": "alias/windrow-prod"}
    for kind in ("analyst", "deploy"):
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            for scope, key in ((SCOPE, OWN_KEY), (theirs, FOREIGN_KEY)):
                assert allows(policy(kind, scope), action, key, known | OF_ANSWERS)
                assert not allows(policy(kind, scope), action, key, known | elsewhere)
            assert not allows(policy(kind, SCOPE), action, OWN_KEY, OF_ANSWERS)  # not the stage's
            assert not allows(policy(kind, theirs), action, OWN_KEY, known | OF_ANSWERS)
    for scope, key in ((SCOPE, OWN_KEY), (theirs, FOREIGN_KEY)):
        assert allows(policy("analyst", scope), "kms:DescribeKey", key, known)
    assert allows(policy("analyst", SCOPE), "athena:GetQueryResultsStream", arn("athena", "workgroup/windrow-prod"))


def test_answers_in_the_bucket_are_written_and_read_with_the_rights_of_who_asks() -> None:
    """Objects of its prefix, sealed through S3; a key of Athena's own answers is not needed."""
    scope = Scope(stage="prod", account=ACCOUNT, region=REGION, query_results="bucket")
    for action in ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"):
        assert allows(policy("analyst", scope), action, f"{RESULTS}/athena/x")
    assert not allows(policy("analyst", scope), "s3:PutObject", f"{RESULTS}/aggregates/x")
    assert allows(policy("analyst", scope), "kms:GenerateDataKey", OWN_KEY, THROUGH_S3)
    assert not allows(
        policy("analyst", scope),
        "kms:GenerateDataKey",
        OWN_KEY,
        {"kms:ResourceAliases": "alias/windrow-prod"} | OF_ANSWERS,
    )


def test_a_key_of_others_cannot_be_touched_by_who_deploys() -> None:
    """It is described, and neither made, changed nor deleted; nor is a key without the stage's tag, ever."""
    theirs = policy("deploy", Scope(stage="prod", account=ACCOUNT, region=REGION, key_arn=FOREIGN_KEY))
    for action in ("kms:ScheduleKeyDeletion", "kms:PutKeyPolicy", "kms:CreateKey"):
        assert not allows(theirs, action, FOREIGN_KEY, TAGGED)
        assert not allows(policy("deploy", SCOPE), action, FOREIGN_KEY)


def test_the_tables_of_the_template_are_those_of_the_policy() -> None:
    """The database that the analyst may ask is the one that the stage makes."""
    database = template.load()["Resources"]["Database"]["Properties"]["DatabaseInput"]["Name"]
    assert database == {"Fn::Sub": "windrow_${Stage}"}


def test_the_analyst_reads_the_objects_of_every_table() -> None:
    """A table of the template whose objects the policy leaves out would answer with AccessDenied."""
    tables = [one for one in template.load()["Resources"].values() if one["Type"] == "AWS::Glue::Table"]
    places = [one["Properties"]["TableInput"]["StorageDescriptor"].get("Location") for one in tables]
    roots = [place["Fn::Sub"] for place in places if place is not None]
    assert len(roots) > 8
    of_bucket = {"${ResultsBucket}": RESULTS, "${LakeBucket}": LAKE}
    for root in roots:
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        assert allows(policy("analyst", SCOPE), "s3:GetObject", f"{of_bucket[bucket]}/{prefix}x"), root


def test_the_command_prints_json_and_asks_nobody() -> None:
    """With account and region there is no request, and so no credentials are needed."""
    arguments = ["policy", "analyst", "--stage", "prod", "--account", ACCOUNT, "--region", REGION]
    result = CliRunner().invoke(windrow, arguments)
    assert result.exit_code == 0
    assert json.loads(result.output) == policy("analyst", SCOPE)


def test_what_is_no_account_is_refused() -> None:
    """An alias or a name with a typo would make a policy that allows nothing."""
    with pytest.raises(UsageError, match="'my-account' is not an account"):
        Scope(stage="prod", account="my-account", region=REGION)


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_partition_follows_the_region(region: str, partition: str) -> None:
    """ARNs in China and GovCloud begin otherwise."""
    scope = Scope(stage="prod", account=ACCOUNT, region=region)
    text = json.dumps([policy(kind, scope) for kind in KINDS])
    assert f"arn:{partition}:" in text
    assert {word.split(":")[1] for word in text.split('"') if word.startswith("arn:")} == {partition}
