"""IAM policies for the people and programs around a stage: who deploys it, who sends readings, who asks questions.

Each is the least that the work needs in the one stage.
"""

from infra.buckets import code_bucket_name
from infra.policy_additions import (
    deploy_audit,
    deploy_backfill,
    deploy_flink,
    deploy_live,
    deploy_scaling,
    deploy_uploads,
    deploy_web,
)
from infra.policy_statements import (
    BUCKET,
    SEAL,
    Policy,
    Scope,
    actions_of,
    allow,
    kept_buckets,
    pass_role,
    through_s3,
    use_key,
    written_roles,
)
from windrow.deployment import STAGE_TAG, stack_name
from windrow.lake import layout

KINDS = (
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
CHARACTERS_MAX = 10_240
"""The limit of a role's inline policies, white space not counted ("IAM and AWS STS quotas"); a managed one has less."""
_FUNCTION_ROLES = ("ConsumerRole", "FanoutRole", "DispatcherRole")
_IOT_ROLE = "IotRole"
_RESULTS = (
    *(layout.AGGREGATES, layout.AGGREGATES_1H, layout.AGGREGATES_1D, layout.AGGREGATES_FLINK),
    *(layout.WINDOWS, layout.WINDOWS_1H, layout.WINDOWS_1D),
    *(layout.SILENCES, layout.EXCURSIONS),
)
_ANSWERS = "athena/"
_TRANSFORM = "transform/Serverless-2016-10-31"


def policy(kind: str, scope: Scope) -> Policy:
    """Return the policy document of one of KINDS."""
    of_kind = {
        "deploy": _deploy,
        "deploy-audit": deploy_audit,
        "deploy-backfill": deploy_backfill,
        "deploy-flink": deploy_flink,
        "deploy-live": deploy_live,
        "deploy-scaling": deploy_scaling,
        "deploy-uploads": deploy_uploads,
        "deploy-web": deploy_web,
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
    return [allow("Send", actions_of("kinesis", ["DescribeStreamSummary", "ListShards", "PutRecords"]), [stream])]


def _uploader(scope: Scope) -> list[Policy]:
    """Sending readings as objects, and fetching their receipts. The name of the bucket is an output of the stack."""
    stack = scope.arn("cloudformation", f"stack/{stack_name(scope.stage)}/*")
    return [
        allow("FindStage", ["cloudformation:DescribeStacks"], [stack]),
        allow("Upload", ["s3:PutObject"], [f"{scope.bucket('UploadsBucket')}/{layout.UPLOADS}*"]),
        allow("Receipts", ["s3:GetObject"], [f"{scope.bucket('LakeBucket')}/{layout.RECEIPTS}*"]),
        use_key(scope, "SealAndOpen", SEAL, through_s3(scope)),
    ]


def _analyst(scope: Scope) -> list[Policy]:
    """Asking: the stage's workgroup, tables and objects, and the answers.

    Answers that Athena keeps are read through the workgroup; those in the bucket it writes and reads with these rights.
    """
    name, lake, results = stack_name(scope.stage), scope.bucket("LakeBucket"), scope.bucket("ResultsBucket")
    read = [f"{results}/{root}*" for root in _RESULTS]
    read += [
        f"{lake}/{root}*" for root in (layout.PARTIALS, layout.QUARANTINE, layout.RULES, layout.HELD, layout.UNIONS)
    ]
    queries = ["BatchGetQueryExecution", "GetNamedQuery", "GetQueryExecution", "GetQueryResults"]
    queries += ["GetQueryResultsStream", "GetWorkGroup", "ListNamedQueries", "ListQueryExecutions"]
    queries += ["StartQueryExecution", "StopQueryExecution"]
    return [
        allow("FindStage", ["cloudformation:DescribeStacks"], [scope.arn("cloudformation", f"stack/{name}/*")]),
        allow("Ask", actions_of("athena", queries), [scope.workgroup]),
        allow("Catalog", ["athena:GetDataCatalog"], [scope.arn("athena", "datacatalog/AwsDataCatalog")]),
        allow(
            "Tables",
            actions_of(
                "glue", ["BatchGetPartition", "GetDatabase", "GetPartition", "GetPartitions", "GetTable", "GetTables"]
            ),
            _tables(scope),
        ),
        allow("ListObjects", ["s3:GetBucketLocation", "s3:ListBucket"], [lake, results]),
        allow("ReadObjects", ["s3:GetObject"], read),
        *(_answers_in_bucket(scope) if scope.query_results == BUCKET else _managed_answers(scope)),
    ]


def _answers_in_bucket(scope: Scope) -> list[Policy]:
    answers = f"{scope.bucket('ResultsBucket')}/{_ANSWERS}*"
    actions = ["AbortMultipartUpload", "GetObject", "ListMultipartUploadParts", "PutObject"]
    unlock = ["kms:Decrypt", "kms:GenerateDataKey"]
    return [
        allow("Answers", actions_of("s3", actions), [answers]),
        use_key(scope, "Unlock", unlock, through_s3(scope)),
    ]


def _managed_answers(scope: Scope) -> list[Policy]:
    """Whoever starts a query and reads its answer needs the key too ("Encrypt managed query results")."""
    return [
        use_key(scope, "Unlock", ["kms:Decrypt"], through_s3(scope)),
        use_key(scope, "UnlockAnswers", SEAL, _of_answers(scope)),
        use_key(scope, "SeeKey", ["kms:DescribeKey"], {}),
    ]


def _of_answers(scope: Scope) -> dict[str, dict[str, str]]:
    """Athena binds the keys of the answers that it keeps to the workgroup's ARN."""
    return {"StringEquals": {"kms:EncryptionContext:aws:athena:arn": scope.workgroup}}


def _deploy(scope: Scope) -> list[Policy]:
    """Deploying, changing and destroying. CloudFormation acts with the rights of who calls it.

    What it calls for a type of resource is in the registry's schema of that type, under `handlers`.
    """
    return [*_stacks(scope), *_code(scope), *_buckets(scope), *_roles(scope), *_keys(scope), *_others(scope)]


def _stacks(scope: Scope) -> list[Policy]:
    stack = scope.arn("cloudformation", f"stack/{stack_name(scope.stage)}/*")
    sam = f"arn:{scope.partition}:cloudformation:{scope.region}:aws:{_TRANSFORM}"
    changes = ["CreateChangeSet", "DeleteChangeSet", "DeleteStack", "DescribeChangeSet", "DescribeStackEvents"]
    changes += ["DescribeStackResource", "DescribeStackResourceDrifts", "DescribeStackResources", "DescribeStacks"]
    changes += ["DetectStackDrift", "DetectStackResourceDrift", "ExecuteChangeSet", "UpdateTerminationProtection"]
    return [
        allow("Stack", actions_of("cloudformation", changes), [stack]),
        allow("Transform", ["cloudformation:CreateChangeSet"], [sam]),
        allow("Drift", ["cloudformation:DescribeStackDriftDetectionStatus"], ["*"]),
    ]


def _code(scope: Scope) -> list[Policy]:
    """The bucket that all stages of the region share."""
    bucket = f"arn:{scope.partition}:s3:::{code_bucket_name(scope.account, scope.region)}"
    setup = ["CreateBucket", "ListBucket", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging"]
    setup += ["PutBucketVersioning", "PutLifecycleConfiguration"]
    return [
        allow("CodeBucket", actions_of("s3", setup), [bucket]),
        allow("Code", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], [f"{bucket}/*"]),
    ]


def _buckets(scope: Scope) -> list[Policy]:
    """The stage's buckets: their settings, contracts, rules, and the deletion of objects, but no reading of any."""
    lake = scope.bucket("LakeBucket")
    return [
        allow("FindBuckets", ["s3:ListAllMyBuckets"], ["*"]),
        *kept_buckets(["LakeBucket", "ResultsBucket", "OnFailureBucket"], scope),
        allow("Contract", ["s3:PutObject"], [f"{lake}/{root}*" for root in (layout.CONTRACTS, layout.RULES)]),
    ]


def _roles(scope: Scope) -> list[Policy]:
    of_functions, of_rule = [scope.role(name) for name in _FUNCTION_ROLES], scope.role(_IOT_ROLE)
    passed = [pass_role("PassRoles", of_functions, "lambda"), pass_role("PassIotRole", [of_rule], "iot")]
    if scope.role_arn:
        passed.append(pass_role("ActAs", [scope.role_arn], "cloudformation"))
    return written_roles(scope, [*of_functions, of_rule]) + passed


def _keys(scope: Scope) -> list[Policy]:
    """The stage's own key, by its tag, found in the list of all; a key that somebody else keeps is only described."""
    find = allow("FindKeys", ["kms:ListKeys"], ["*"])
    # The schema of AWS::Athena::WorkGroup names the two calls of `SealAnswers`; they open answers, and no object.
    if scope.key_arn:
        described = allow("Key", ["kms:DescribeKey"], [scope.key_arn])
        sealing = allow("SealContract", ["kms:GenerateDataKey"], [scope.key_arn], through_s3(scope))
        return [described, allow("SealAnswers", SEAL, [scope.key_arn], _of_answers(scope)), sealing, find]
    name = scope.stage
    alias, keys = scope.arn("kms", f"alias/{stack_name(name)}"), scope.arn("kms", "key/*")
    actions = ["CreateAlias", "DeleteAlias", "DescribeKey", "DisableKeyRotation", "EnableKeyRotation"]
    actions += ["GetKeyPolicy", "GetKeyRotationStatus", "ListResourceTags", "PutKeyPolicy", "ScheduleKeyDeletion"]
    actions += ["TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription"]
    own = {f"aws:ResourceTag/{STAGE_TAG}": name}
    tagged, sealed = {"StringEquals": own}, {"StringEquals": own | _of_answers(scope)["StringEquals"]}
    of_s3 = {"StringEquals": own | through_s3(scope)["StringEquals"]}
    return [
        allow("MakeKey", ["kms:CreateKey"], ["*"], {"StringEquals": {f"aws:RequestTag/{STAGE_TAG}": name}}),
        allow("Key", actions_of("kms", actions), [keys], tagged),
        allow("SealAnswers", SEAL, [keys], sealed),
        allow("SealContract", ["kms:GenerateDataKey"], [keys], of_s3),
        allow("KeyAlias", actions_of("kms", ["CreateAlias", "DeleteAlias", "UpdateAlias"]), [alias]),
        allow("FindAlias", ["kms:ListAliases"], ["*"]),
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
        allow("Stream", actions_of("kinesis", stream), [scope.arn("kinesis", f"stream/{name}")]),
        allow("Functions", actions_of("lambda", functions), [scope.arn("lambda", f"function:{name}-*")]),
        # A mapping's name is a UUID; it can be made only for a function, whose role must be allowed to read the stream.
        allow("Mapping", actions_of("lambda", mappings), ["*"]),
        allow("Logs", actions_of("logs", logs), [scope.arn("logs", f"log-group:/aws/lambda/{name}-*")]),
        allow("Alarms", actions_of("cloudwatch", alarms), [scope.arn("cloudwatch", f"alarm:{name}-*")]),
        allow("Dashboard", actions_of("cloudwatch", dashboards), [dashboard]),
        allow("WorkGroup", actions_of("athena", workgroup), [scope.workgroup]),
        allow("Tables", actions_of("glue", tables), _tables(scope)),
        allow("Rule", actions_of("events", rules), [scope.arn("events", f"rule/{name}-*")]),
        allow("IotRule", actions_of("iot", messages), [scope.arn("iot", f"rule/windrow_{scope.stage}")]),
        allow("Topics", actions_of("sns", topics), [scope.arn("sns", f"{name}-*")]),
        # None of these can be limited to a resource.
        allow(
            "Look",
            [
                *actions_of("ec2", ["DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"]),
                "logs:DescribeLogGroups",
            ],
            ["*"],
        ),
    ]


def _tables(scope: Scope) -> list[str]:
    database = f"windrow_{scope.stage}"
    return [scope.arn("glue", what) for what in ("catalog", f"database/{database}", f"table/{database}/*")]
