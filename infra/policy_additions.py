"""What a parameter of the template adds for who deploys: policies of their own, because one has not room for all."""

from infra.policy_statements import (
    SEAL,
    Policy,
    Scope,
    actions_of,
    allow,
    kept_buckets,
    pass_role,
    suffix,
    through_s3,
    use_key,
    written_roles,
)
from windrow.deployment import STAGE_TAG, stack_name
from windrow.lake import layout

_FLINK_ROLE = "FlinkRole"
_UPLOADS_ROLE = "UploadsRole"
_API_ROLE = "ApiRole"
_AUDIT_ROLE = "AuditRole"
_LIVE_ROLES = ("LiveRole", "LiveSocketsRole", "LivePushRole")
_SCALING_ROLE = "ScalingRole"
_BACKFILL_ROLE, _BACKFILL_MACHINE_ROLE = "BackfillRole", "BackfillMachineRole"


def deploy_flink(scope: Scope) -> list[Policy]:
    """What Engine=flink adds for who deploys: the application, its role and its log."""
    name, role = stack_name(scope.stage), scope.role(_FLINK_ROLE)
    application = ["AddApplication*", "CreateApplication", "DeleteApplication*", "DescribeApplication"]
    application += ["ListTagsForResource", "StartApplication", "TagResource", "UntagResource", "UpdateApplication*"]
    logs = ["CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DeleteLogStream", "DeleteRetentionPolicy"]
    logs += ["DescribeIndexPolicies", "DescribeLogStreams", "GetDataProtectionPolicy", "ListTagsForResource"]
    logs += ["PutRetentionPolicy", "TagResource", "UntagResource"]
    group = scope.arn("logs", f"log-group:/aws/kinesis-analytics/{name}")
    return [
        *written_roles(scope, [role]),
        pass_role("PassFlinkRole", [role], "kinesisanalytics"),
        allow(
            "Application",
            actions_of("kinesisanalytics", application),
            [scope.arn("kinesisanalytics", f"application/{name}")],
        ),
        allow("Logs", actions_of("logs", logs), [group, f"{group}:*"]),
    ]


def deploy_uploads(scope: Scope) -> list[Policy]:
    """What Uploads=bucket adds for who deploys: the bucket, its queue, and the function's role."""
    role, bucket = scope.role(_UPLOADS_ROLE), scope.bucket("UploadsBucket")
    return [
        *kept_buckets(["UploadsBucket"], scope),
        allow("Notification", actions_of("s3", ["GetBucketNotification", "PutBucketNotification"]), [bucket]),
        *written_roles(scope, [role]),
        pass_role("PassUploadsRole", [role], "lambda"),
        _queues(scope, "uploads"),
    ]


def deploy_live(scope: Scope) -> list[Policy]:
    """What Live=push adds for who deploys, beside what Web=on does: the tables, the queue, and the functions' roles."""
    roles = [scope.role(name) for name in _LIVE_ROLES]
    tables = [scope.arn("dynamodb", f"table/{stack_name(scope.stage)}-{name}") for name in ("latest", "connections")]
    actions = ["CreateTable", "DeleteTable", "Describe*", "GetResourcePolicy", "ListTagsOfResource", "TagResource"]
    actions += ["UntagResource", "UpdateTable", "UpdateTimeToLive"]
    # What making a table with a key of one's own needs of it, by the guide "DynamoDB encryption at rest".
    sealing = ["CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "RevokeGrant"]
    through = {"StringEquals": {"kms:ViaService": f"dynamodb.{scope.region}.{suffix(scope)}"}}
    return [
        *written_roles(scope, roles),
        pass_role("PassLiveRoles", roles, "lambda"),
        _queues(scope, "live"),
        allow("Tables", actions_of("dynamodb", actions), tables),
        use_key(scope, "SealTable", actions_of("kms", sealing), through),
    ]


def _queues(scope: Scope, name: str) -> Policy:
    """Making, changing and deleting a queue and its dead letters; no sending and no receiving."""
    actions = ["CreateQueue", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "ListQueueTags"]
    actions += ["SetQueueAttributes", "TagQueue", "UntagQueue"]
    return allow("Queues", actions_of("sqs", actions), [scope.arn("sqs", f"{stack_name(scope.stage)}-{name}*")])


def deploy_audit(scope: Scope) -> list[Policy]:
    """What Audit=daily adds for who deploys: the function's role. The rest has names that the first policy knows."""
    role = scope.role(_AUDIT_ROLE)
    return [*written_roles(scope, [role]), pass_role("PassAuditRole", [role], "lambda")]


def deploy_scaling(scope: Scope) -> list[Policy]:
    """What Scaling=auto adds for who deploys: the function's role. The rest has names that the first policy knows."""
    role = scope.role(_SCALING_ROLE)
    return [*written_roles(scope, [role]), pass_role("PassScalingRole", [role], "lambda")]


def deploy_backfill(scope: Scope) -> list[Policy]:
    """What Backfill=on adds for who deploys: the state machine, its role, and the function's."""
    function, machine = scope.role(_BACKFILL_ROLE), scope.role(_BACKFILL_MACHINE_ROLE)
    actions = ["CreateStateMachine", "DeleteStateMachine", "DescribeStateMachine", "ListTagsForResource"]
    actions += ["TagResource", "UntagResource", "UpdateStateMachine"]
    arn = scope.arn("states", f"stateMachine:{stack_name(scope.stage)}-backfill")
    return [
        *written_roles(scope, [function, machine]),
        pass_role("PassBackfillRole", [function], "lambda"),
        pass_role("PassMachineRole", [machine], "states"),
        allow("Machine", actions_of("states", actions), [arn]),
    ]


def deploy_web(scope: Scope) -> list[Policy]:
    """What Web=on adds for who deploys and adds users: page, API, user pool, their role, bucket and logs.

    An API's and a distribution's id is chosen by its service, so a policy cannot name them; a pool is known by its tag.
    """
    name, role, site = stack_name(scope.stage), scope.role(_API_ROLE), scope.bucket("SiteBucket")
    lake, objects = scope.bucket("LakeBucket"), ["DeleteObject", "GetObject", "PutObject"]
    own = {"StringEquals": {f"aws:ResourceTag/{STAGE_TAG}": scope.stage}}
    pool = ["AddCustomAttributes", "*Group", "*ResourceServer", "*UserPoolClient", "*UserPoolDomain", "DeleteUserPool"]
    pool += ["DescribeUserPool", "GetUserPoolMfaConfig", "ListTagsForResource", "ListUserPoolClient*"]
    pool += ["SetUserPoolMfaConfig", "TagResource", "UntagResource", "UpdateUserPool"]
    people = ["AdminAddUserToGroup", "AdminCreateUser", "AdminDeleteUser", "AdminListGroupsForUser"]
    people += ["AdminRemoveUserFromGroup", "ListUsers"]
    # What turning on an HTTP API's access log needs, by its guide; none of them can be limited to a log.
    delivery = ["CreateLogDelivery", "DeleteLogDelivery", "DescribeResourcePolicies", "GetLogDelivery"]
    delivery += ["ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery"]
    logs = ["CreateLogGroup", "DeleteLogGroup", "DeleteRetentionPolicy", "DescribeIndexPolicies"]
    logs += ["GetDataProtectionPolicy", "ListTagsForResource", "PutRetentionPolicy", "TagResource", "UntagResource"]
    pools, distributions = scope.arn("cognito-idp", "userpool/*"), _global(scope, "distribution/*")
    parts = [_global(scope, f"{kind}/*") for kind in ("origin-access-control", "response-headers-policy")]
    changed = ["DeleteDistribution", "GetDistribution*", "ListTagsForResource", "TagResource", "UntagResource"]
    gateway = f"arn:{scope.partition}:apigateway:{scope.region}::/"
    verbs = ["DELETE", "GET", "PATCH", "POST", "PUT", "TagResource", "UntagResource"]
    group = scope.arn("logs", f"log-group:/aws/vendedlogs/{name}-*")
    return [
        *written_roles(scope, [role]),
        pass_role("PassApiRole", [role], "lambda"),
        allow("Api", actions_of("apigateway", verbs), [f"{gateway}{what}" for what in ("apis", "apis/*", "tags/*")]),
        allow(
            "MakePool",
            ["cognito-idp:CreateUserPool"],
            ["*"],
            {"StringEquals": {f"aws:RequestTag/{STAGE_TAG}": scope.stage}},
        ),
        allow("Pool", actions_of("cognito-idp", pool), [pools], own),
        allow("People", actions_of("cognito-idp", people), [pools], own),
        allow(
            "MakeSite", actions_of("cloudfront", ["CreateDistribution", "CreateDistributionWithTags"]), [distributions]
        ),
        allow("Site", actions_of("cloudfront", [*changed, "UpdateDistribution"]), [distributions], own),
        allow("SiteParts", actions_of("cloudfront", ["*OriginAccessControl", "*ResponseHeadersPolicy"]), parts),
        # For windrow gateways, if the stage has uploads, too.
        allow("FindGateways", ["s3:ListBucket"], [lake], {"StringEquals": {"s3:prefix": layout.GATEWAYS}}),
        allow("Gateways", actions_of("s3", objects), [f"{lake}/{layout.GATEWAYS}*"]),
        use_key(scope, "SealGateways", SEAL, through_s3(scope)),
        *kept_buckets(["SiteBucket"], scope),
        allow("SiteFiles", ["s3:PutObject"], [f"{site}/*"]),
        allow("Logs", actions_of("logs", logs), [group]),
        allow("AccessLog", actions_of("logs", delivery), ["*"]),
    ]


def _global(scope: Scope, what: str) -> str:
    return f"arn:{scope.partition}:cloudfront::{scope.account}:{what}"
