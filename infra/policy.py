"""IAM policies for the people and programs around a stage: who deploys it, who sends readings, who asks questions.

Each is the least that the work needs, limited to the one stage by the names that its template gives. Buckets and roles
have names that CloudFormation completes, so they end in a `*`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.buckets import code_bucket_name
from windrow.deployment import STAGE_TAG, stack_name
from windrow.errors import UsageError
from windrow.lake import layout

KINDS = ("deploy", "deploy-flink", "deploy-uploads", "deploy-web", "producer", "uploader", "analyst")
MANAGED, BUCKET = "managed", "bucket"
QUERY_RESULTS = (MANAGED, BUCKET)
"""Where a stage's answers are, as in the template's parameter QueryResults."""
CHARACTERS_MAX = 10_240
"""The limit of a role's inline policies, white space not counted ("IAM and AWS STS quotas"); a managed one has less."""
_FUNCTION_ROLES = ("ConsumerRole", "FanoutRole", "DispatcherRole")
_IOT_ROLE = "IotRole"
_FLINK_ROLE = "FlinkRole"
_UPLOADS_ROLE = "UploadsRole"
_API_ROLE = "ApiRole"
_RESULTS = (
    *(layout.AGGREGATES, layout.AGGREGATES_1H, layout.AGGREGATES_1D, layout.AGGREGATES_FLINK),
    *(layout.WINDOWS, layout.WINDOWS_1H, layout.WINDOWS_1D),
    *(layout.SILENCES, layout.EXCURSIONS),
)
_ANSWERS = "athena/"
_SEAL = ("kms:Decrypt", "kms:GenerateDataKey")
_TRANSFORM = "transform/Serverless-2016-10-31"
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)

Policy = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The stage that a policy is about.

    ``role_path`` and ``boundary`` are those of the stage's parameters. ``key_arn`` is a key that is not the stage's
    own; empty for its own, which is recognised by its alias or its tag. ``query_results`` is one of QUERY_RESULTS.
    ``role_arn`` is the role that CloudFormation acts in, if who deploys hands it one.
    """

    stage: str
    account: str
    region: str
    role_path: str = "/"
    boundary: str = ""
    key_arn: str = ""
    query_results: str = MANAGED
    role_arn: str = ""

    def __post_init__(self) -> None:
        """Raise UsageError for an account that is not twelve digits."""
        if _ACCOUNT.fullmatch(self.account) is None:
            raise UsageError(f"{self.account!r} is not an account", hint="an account has twelve digits")

    @property
    def partition(self) -> str:
        """The partition that the region is in."""
        return next((name for prefix, name in _PARTITIONS.items() if self.region.startswith(prefix)), "aws")

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the stage's region and account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role(self, name: str) -> str:
        """Return the ARN of one of the stage's roles, which CloudFormation ends by chance."""
        return f"arn:{self.partition}:iam::{self.account}:role{self.role_path}{stack_name(self.stage)}-{name}-*"

    @property
    def workgroup(self) -> str:
        """The ARN of the stage's workgroup, to which keys of the answers that Athena keeps are bound."""
        return self.arn("athena", f"workgroup/{stack_name(self.stage)}")

    def bucket(self, name: str) -> str:
        """Return the ARN of one of the stage's buckets, by its name in the template."""
        return f"arn:{self.partition}:s3:::{stack_name(self.stage)}-{name.lower()}-*"


def policy(kind: str, scope: Scope) -> Policy:
    """Return the policy document of one of KINDS."""
    of_kind = {
        "deploy": _deploy,
        "deploy-flink": _deploy_flink,
        "deploy-uploads": _deploy_uploads,
        "deploy-web": _deploy_web,
        "producer": _producer,
        "uploader": _uploader,
        "analyst": _analyst,
    }
    statements = of_kind[kind](scope)
    return {"Version": "2012-10-17", "Statement": statements}


def _producer(scope: Scope) -> list[Policy]:
    """Sending: the shards are listed at first, and again after a split or a merge.

    With `for_kcl` the stream is also asked whether the service itself distributes its records.
    """
    stream = scope.arn("kinesis", f"stream/{stack_name(scope.stage)}")
    return [_allow("Send", _of("kinesis", ["DescribeStreamSummary", "ListShards", "PutRecords"]), [stream])]


def _uploader(scope: Scope) -> list[Policy]:
    """Sending readings as objects, and fetching their receipts. The name of the bucket is an output of the stack."""
    stack = scope.arn("cloudformation", f"stack/{stack_name(scope.stage)}/*")
    return [
        _allow("FindStage", ["cloudformation:DescribeStacks"], [stack]),
        _allow("Upload", ["s3:PutObject"], [f"{scope.bucket('UploadsBucket')}/{layout.UPLOADS}*"]),
        _allow("Receipts", ["s3:GetObject"], [f"{scope.bucket('LakeBucket')}/{layout.RECEIPTS}*"]),
        _use_key(scope, "SealAndOpen", _SEAL, _through_s3(scope)),
    ]


def _analyst(scope: Scope) -> list[Policy]:
    """Asking: the stage's workgroup, tables and objects, and the answers.

    Answers that Athena keeps are read through the workgroup; those in the bucket it writes and reads with these rights.
    """
    name, lake, results = stack_name(scope.stage), scope.bucket("LakeBucket"), scope.bucket("ResultsBucket")
    read = [f"{results}/{root}*" for root in _RESULTS]
    read += [f"{lake}/{root}*" for root in (layout.PARTIALS, layout.QUARANTINE)]
    queries = ["BatchGetQueryExecution", "GetNamedQuery", "GetQueryExecution", "GetQueryResults"]
    queries += ["GetQueryResultsStream", "GetWorkGroup", "ListNamedQueries", "ListQueryExecutions"]
    queries += ["StartQueryExecution", "StopQueryExecution"]
    return [
        _allow("FindStage", ["cloudformation:DescribeStacks"], [scope.arn("cloudformation", f"stack/{name}/*")]),
        _allow("Ask", _of("athena", queries), [scope.workgroup]),
        _allow("Catalog", ["athena:GetDataCatalog"], [scope.arn("athena", "datacatalog/AwsDataCatalog")]),
        _allow(
            "Tables",
            _of("glue", ["BatchGetPartition", "GetDatabase", "GetPartition", "GetPartitions", "GetTable", "GetTables"]),
            _tables(scope),
        ),
        _allow("ListObjects", ["s3:GetBucketLocation", "s3:ListBucket"], [lake, results]),
        _allow("ReadObjects", ["s3:GetObject"], read),
        *(_answers_in_bucket(scope) if scope.query_results == BUCKET else _managed_answers(scope)),
    ]


def _answers_in_bucket(scope: Scope) -> list[Policy]:
    answers = f"{scope.bucket('ResultsBucket')}/{_ANSWERS}*"
    actions = ["AbortMultipartUpload", "GetObject", "ListMultipartUploadParts", "PutObject"]
    unlock = ["kms:Decrypt", "kms:GenerateDataKey"]
    return [_allow("Answers", _of("s3", actions), [answers]), _use_key(scope, "Unlock", unlock, _through_s3(scope))]


def _managed_answers(scope: Scope) -> list[Policy]:
    """Whoever starts a query and reads its answer needs the key too ("Encrypt managed query results")."""
    return [
        _use_key(scope, "Unlock", ["kms:Decrypt"], _through_s3(scope)),
        _use_key(scope, "UnlockAnswers", _SEAL, _of_answers(scope)),
        _use_key(scope, "SeeKey", ["kms:DescribeKey"], {}),
    ]


def _use_key(scope: Scope, sid: str, actions: Sequence[str], condition: Mapping[str, Mapping[str, str]]) -> Policy:
    if scope.key_arn:
        return _allow(sid, actions, [scope.key_arn], condition or None)
    own = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{stack_name(scope.stage)}"}}
    return _allow(sid, actions, [scope.arn("kms", "key/*")], {**condition, **own})


def _through_s3(scope: Scope) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"kms:ViaService": f"s3.{scope.region}.{_suffix(scope)}"}}


def _of_answers(scope: Scope) -> dict[str, dict[str, str]]:
    """Athena binds the keys of the answers that it keeps to the workgroup's ARN."""
    return {"StringEquals": {"kms:EncryptionContext:aws:athena:arn": scope.workgroup}}


def _suffix(scope: Scope) -> str:
    return "amazonaws.com.cn" if scope.partition == "aws-cn" else "amazonaws.com"


def _deploy(scope: Scope) -> list[Policy]:
    """Deploying, changing and destroying. CloudFormation acts with the rights of who calls it.

    What it calls for a type of resource is in the registry's schema of that type, under `handlers`.
    """
    return [*_stacks(scope), *_code(scope), *_buckets(scope), *_roles(scope), *_keys(scope), *_others(scope)]


def _deploy_flink(scope: Scope) -> list[Policy]:
    """What Engine=flink adds for who deploys: a policy of its own, because one has not room for both."""
    name, role = stack_name(scope.stage), scope.role(_FLINK_ROLE)
    application = ["AddApplication*", "CreateApplication", "DeleteApplication*", "DescribeApplication"]
    application += ["ListTagsForResource", "StartApplication", "TagResource", "UntagResource", "UpdateApplication*"]
    logs = ["CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DeleteLogStream", "DeleteRetentionPolicy"]
    logs += ["DescribeIndexPolicies", "DescribeLogStreams", "GetDataProtectionPolicy", "ListTagsForResource"]
    logs += ["PutRetentionPolicy", "TagResource", "UntagResource"]
    group = scope.arn("logs", f"log-group:/aws/kinesis-analytics/{name}")
    return [
        *_written(scope, [role]),
        _pass("PassFlinkRole", [role], "kinesisanalytics"),
        _allow(
            "Application",
            _of("kinesisanalytics", application),
            [scope.arn("kinesisanalytics", f"application/{name}")],
        ),
        _allow("Logs", _of("logs", logs), [group, f"{group}:*"]),
    ]


def _deploy_web(scope: Scope) -> list[Policy]:
    """What Web=on adds for who deploys and adds users: a policy of its own, because one has not room for both.

    An API's and a distribution's id is chosen by its service, so a policy cannot name them; a pool is known by its tag.
    """
    name, role, site = stack_name(scope.stage), scope.role(_API_ROLE), scope.bucket("SiteBucket")
    own = {"StringEquals": {f"aws:ResourceTag/{STAGE_TAG}": scope.stage}}
    pool = ["AddCustomAttributes", "*Group", "*ResourceServer", "*UserPoolClient", "*UserPoolDomain", "DeleteUserPool"]
    pool += ["DescribeUserPool", "GetUserPoolMfaConfig", "ListTagsForResource", "ListUserPoolClientSecrets"]
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
        *_written(scope, [role]),
        _pass("PassApiRole", [role], "lambda"),
        _allow("Api", _of("apigateway", verbs), [f"{gateway}{what}" for what in ("apis", "apis/*", "tags/*")]),
        _allow(
            "MakePool",
            ["cognito-idp:CreateUserPool"],
            ["*"],
            {"StringEquals": {f"aws:RequestTag/{STAGE_TAG}": scope.stage}},
        ),
        _allow("Pool", _of("cognito-idp", pool), [pools], own),
        _allow("People", _of("cognito-idp", people), [pools], own),
        _allow("MakeSite", _of("cloudfront", ["CreateDistribution", "CreateDistributionWithTags"]), [distributions]),
        _allow("Site", _of("cloudfront", [*changed, "UpdateDistribution"]), [distributions], own),
        _allow("SiteParts", _of("cloudfront", ["*OriginAccessControl", "*ResponseHeadersPolicy"]), parts),
        *_kept(["SiteBucket"], scope),
        _allow("SiteFiles", ["s3:PutObject"], [f"{site}/*"]),
        _allow("Logs", _of("logs", logs), [group]),
        _allow("AccessLog", _of("logs", delivery), ["*"]),
    ]


def _global(scope: Scope, what: str) -> str:
    return f"arn:{scope.partition}:cloudfront::{scope.account}:{what}"


def _stacks(scope: Scope) -> list[Policy]:
    stack = scope.arn("cloudformation", f"stack/{stack_name(scope.stage)}/*")
    sam = f"arn:{scope.partition}:cloudformation:{scope.region}:aws:{_TRANSFORM}"
    changes = ["CreateChangeSet", "DeleteChangeSet", "DeleteStack", "DescribeChangeSet", "DescribeStackEvents"]
    changes += ["DescribeStackResource", "DescribeStackResourceDrifts", "DescribeStackResources", "DescribeStacks"]
    changes += ["DetectStackDrift", "DetectStackResourceDrift", "ExecuteChangeSet", "UpdateTerminationProtection"]
    return [
        _allow("Stack", _of("cloudformation", changes), [stack]),
        _allow("Transform", ["cloudformation:CreateChangeSet"], [sam]),
        _allow("Drift", ["cloudformation:DescribeStackDriftDetectionStatus"], ["*"]),
    ]


def _code(scope: Scope) -> list[Policy]:
    """The bucket that all stages of the region share."""
    bucket = f"arn:{scope.partition}:s3:::{code_bucket_name(scope.account, scope.region)}"
    setup = ["CreateBucket", "ListBucket", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging"]
    setup += ["PutBucketVersioning", "PutLifecycleConfiguration"]
    return [
        _allow("CodeBucket", _of("s3", setup), [bucket]),
        _allow("Code", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], [f"{bucket}/*"]),
    ]


def _deploy_uploads(scope: Scope) -> list[Policy]:
    """What Uploads=bucket adds for who deploys: a policy of its own, as for Flink."""
    role, queues = scope.role(_UPLOADS_ROLE), scope.arn("sqs", f"{stack_name(scope.stage)}-uploads*")
    actions = ["CreateQueue", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "ListQueueTags"]
    actions += ["SetQueueAttributes", "TagQueue", "UntagQueue"]
    bucket = scope.bucket("UploadsBucket")
    return [
        *_kept(["UploadsBucket"], scope),
        _allow("Notification", _of("s3", ["GetBucketNotification", "PutBucketNotification"]), [bucket]),
        *_written(scope, [role]),
        _pass("PassUploadsRole", [role], "lambda"),
        _allow("Queues", _of("sqs", actions), [queues]),
    ]


def _buckets(scope: Scope) -> list[Policy]:
    """The stage's buckets: their settings, contracts, rules, and the deletion of objects, but no reading of any."""
    lake = scope.bucket("LakeBucket")
    return [
        _allow("FindBuckets", ["s3:ListAllMyBuckets"], ["*"]),
        *_kept(["LakeBucket", "ResultsBucket", "OnFailureBucket"], scope),
        _allow("Contract", ["s3:PutObject"], [f"{lake}/{root}*" for root in (layout.CONTRACTS, layout.RULES)]),
    ]


def _kept(names: Sequence[str], scope: Scope) -> list[Policy]:
    """Making, changing and deleting buckets, by their names in the template, and deleting what is in them."""
    buckets = [scope.bucket(name) for name in names]
    actions = ["CreateBucket", "DeleteBucket", "DeleteBucketPolicy", "Get*Configuration", "GetBucket*"]
    actions += ["ListBucket", "ListBucketVersions", "ListTagsForResource"]
    actions += ["PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging"]
    actions += ["PutBucketVersioning", "PutEncryptionConfiguration", "PutLifecycleConfiguration"]
    actions += ["TagResource", "UntagResource"]
    return [
        _allow("Buckets", _of("s3", actions), buckets),
        _allow("DeleteObjects", ["s3:DeleteObject", "s3:DeleteObjectVersion"], [f"{bucket}/*" for bucket in buckets]),
    ]


def _roles(scope: Scope) -> list[Policy]:
    of_functions, of_rule = [scope.role(name) for name in _FUNCTION_ROLES], scope.role(_IOT_ROLE)
    passed = [_pass("PassRoles", of_functions, "lambda"), _pass("PassIotRole", [of_rule], "iot")]
    if scope.role_arn:
        passed.append(_pass("ActAs", [scope.role_arn], "cloudformation"))
    return _written(scope, [*of_functions, of_rule]) + passed


def _written(scope: Scope, roles: Sequence[str]) -> list[Policy]:
    bounded = ["CreateRole", "PutRolePermissionsBoundary", "PutRolePolicy"]
    if not scope.boundary:
        bounded.remove("PutRolePermissionsBoundary")
    others = ["DeleteRole", "DeleteRolePolicy", "GetRole", "GetRolePolicy", "ListAttachedRolePolicies"]
    others += ["ListRolePolicies", "TagRole", "UntagRole", "UpdateAssumeRolePolicy", "UpdateRole"]
    within = {"StringEquals": {"iam:PermissionsBoundary": scope.boundary}} if scope.boundary else None
    return [_allow("WriteRoles", _of("iam", bounded), roles, within), _allow("Roles", _of("iam", others), roles)]


def _pass(sid: str, roles: Sequence[str], service: str) -> Policy:
    return _allow(sid, ["iam:PassRole"], roles, {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}})


def _keys(scope: Scope) -> list[Policy]:
    """The stage's own key, by its tag, found in the list of all; a key that somebody else keeps is only described."""
    find = _allow("FindKeys", ["kms:ListKeys"], ["*"])
    # The schema of AWS::Athena::WorkGroup names the two calls of `SealAnswers`; they open answers, and no object.
    if scope.key_arn:
        described = _allow("Key", ["kms:DescribeKey"], [scope.key_arn])
        sealing = _allow("SealContract", ["kms:GenerateDataKey"], [scope.key_arn], _through_s3(scope))
        return [described, _allow("SealAnswers", _SEAL, [scope.key_arn], _of_answers(scope)), sealing, find]
    name = scope.stage
    alias, keys = scope.arn("kms", f"alias/{stack_name(name)}"), scope.arn("kms", "key/*")
    actions = ["CreateAlias", "DeleteAlias", "DescribeKey", "DisableKeyRotation", "EnableKeyRotation"]
    actions += ["GetKeyPolicy", "GetKeyRotationStatus", "ListResourceTags", "PutKeyPolicy", "ScheduleKeyDeletion"]
    actions += ["TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription"]
    own = {f"aws:ResourceTag/{STAGE_TAG}": name}
    tagged, sealed = {"StringEquals": own}, {"StringEquals": own | _of_answers(scope)["StringEquals"]}
    through_s3 = {"StringEquals": own | _through_s3(scope)["StringEquals"]}
    return [
        _allow("MakeKey", ["kms:CreateKey"], ["*"], {"StringEquals": {f"aws:RequestTag/{STAGE_TAG}": name}}),
        _allow("Key", _of("kms", actions), [keys], tagged),
        _allow("SealAnswers", _SEAL, [keys], sealed),
        _allow("SealContract", ["kms:GenerateDataKey"], [keys], through_s3),
        _allow("KeyAlias", _of("kms", ["CreateAlias", "DeleteAlias", "UpdateAlias"]), [alias]),
        _allow("FindAlias", ["kms:ListAliases"], ["*"]),
        find,
    ]


def _others(scope: Scope) -> list[Policy]:
    """Everything whose name begins with the stage's; no reading of records, and no running of functions."""
    name = stack_name(scope.stage)
    stream = ["AddTagsToStream", "CreateStream", "DecreaseStreamRetentionPeriod", "DeleteStream"]
    stream += ["DescribeStreamSummary", "IncreaseStreamRetentionPeriod", "ListTagsFor*", "RemoveTagsFromStream"]
    stream += ["StartStreamEncryption", "StopStreamEncryption", "TagResource", "UntagResource", "UpdateShardCount"]
    stream += ["UpdateStreamMode", "EnableEnhancedMonitoring", "DisableEnhancedMonitoring"]
    functions = ["AddPermission", "*Alias", "CreateFunction", "Delete*", "Get*", "ListTags", "ListVersionsByFunction"]
    functions += ["PublishVersion", "Put*", "RemovePermission", "TagResource", "UntagResource", "UpdateFunction*"]
    mappings = ["*EventSourceMapping", "ListEventSourceMappings", "ListTags", "TagResource", "UntagResource"]
    logs = ["CreateLogGroup", "DeleteLogGroup", "DeleteRetentionPolicy", "GetDataProtectionPolicy"]
    logs += ["DescribeIndexPolicies", "ListTagsForResource", "PutRetentionPolicy", "TagResource", "UntagResource"]
    alarms = ["DeleteAlarms", "DescribeAlarms", "ListTagsForResource", "PutMetricAlarm", "TagResource", "UntagResource"]
    dashboards = ["DeleteDashboards", "GetDashboard", "ListTagsForResource", "PutDashboard", "TagResource"]
    dashboards.append("UntagResource")
    workgroup = ["*NamedQuery", "CreateWorkGroup", "DeleteWorkGroup", "GetWorkGroup", "ListTagsForResource"]
    workgroup += ["TagResource", "UntagResource", "UpdateWorkGroup"]
    tables = ["CreateDatabase", "CreateTable", "DeleteDatabase", "DeleteTable", "GetDatabase", "GetTable", "GetTables"]
    tables += ["UpdateDatabase", "UpdateTable"]
    rules = ["DeleteRule", "DescribeRule", "ListTagsForResource", "ListTargetsByRule", "PutRule", "PutTargets"]
    rules += ["RemoveTargets", "TagResource", "UntagResource"]
    messages = ["CreateTopicRule", "DeleteTopicRule", "GetTopicRule", "ListTagsForResource", "ReplaceTopicRule"]
    messages += ["TagResource", "UntagResource"]
    topics = ["CreateTopic", "DeleteTopic", "Get*Attributes", "GetDataProtectionPolicy", "ListSubscriptionsByTopic"]
    topics += ["ListTagsForResource", "Set*Attributes", "Subscribe", "TagResource", "Unsubscribe", "UntagResource"]
    dashboard = f"arn:{scope.partition}:cloudwatch::{scope.account}:dashboard/{name}"
    return [
        _allow("Stream", _of("kinesis", stream), [scope.arn("kinesis", f"stream/{name}")]),
        _allow("Functions", _of("lambda", functions), [scope.arn("lambda", f"function:{name}-*")]),
        # A mapping's name is a UUID; it can be made only for a function, whose role must be allowed to read the stream.
        _allow("Mapping", _of("lambda", mappings), ["*"]),
        _allow("Logs", _of("logs", logs), [scope.arn("logs", f"log-group:/aws/lambda/{name}-*")]),
        _allow("Alarms", _of("cloudwatch", alarms), [scope.arn("cloudwatch", f"alarm:{name}-*")]),
        _allow("Dashboard", _of("cloudwatch", dashboards), [dashboard]),
        _allow("WorkGroup", _of("athena", workgroup), [scope.workgroup]),
        _allow("Tables", _of("glue", tables), _tables(scope)),
        _allow("Rule", _of("events", rules), [scope.arn("events", f"rule/{name}-*")]),
        _allow("IotRule", _of("iot", messages), [scope.arn("iot", f"rule/windrow_{scope.stage}")]),
        _allow("Topics", _of("sns", topics), [scope.arn("sns", f"{name}-*")]),
        # None of these can be limited to a resource.
        _allow(
            "Look",
            [*_of("ec2", ["DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"]), "logs:DescribeLogGroups"],
            ["*"],
        ),
    ]


def _tables(scope: Scope) -> list[str]:
    database = f"windrow_{scope.stage}"
    return [scope.arn("glue", what) for what in ("catalog", f"database/{database}", f"table/{database}/*")]


def _of(service: str, actions: Sequence[str]) -> list[str]:
    return [f"{service}:{action}" for action in sorted(actions)]


def _allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Mapping[str, str]] | None = None
) -> Policy:
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement if condition is None else statement | {"Condition": dict(condition)}
