"""The rights of the functions' roles: what each may do, and where, and nothing else."""

from typing import Any

import pytest

from infra import template
from windrow.lake import layout

RESOURCES = template.load()["Resources"]
CONSUMES = frozenset(
    ("s3:PutObject", f"${{LakeBucket.Arn}}/{prefix}*")
    for prefix in (layout.PARTIALS, layout.MARKERS, layout.QUARANTINE, layout.BOOKMARKS)
) | {
    ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.BOOKMARKS}*"),
    ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.CONTRACTS}*"),
    ("kms:Decrypt", "Key.Arn"),
}
HANDS_ON = frozenset({("sns:Publish", "LiveTopic")})
KEEPS_VALUES = frozenset(
    {
        *((f"sqs:{action}", "LiveQueue.Arn") for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")),
        ("sqs:SendMessage", "LiveDeadLetters.Arn"),
        ("dynamodb:PutItem", "LatestValues.Arn"),
        *((f"kms:{action}", "Key.Arn") for action in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey")),
    }
)
STREAM_BY_NAME = "arn:${AWS::Partition}:kinesis:${AWS::Region}:${AWS::AccountId}:stream/windrow-${Stage}"
STREAM_READS = frozenset(
    (f"kinesis:{action}", STREAM_BY_NAME)
    for action in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
) | {("kinesis:ListStreams", "*")}
GIVES_UP = frozenset(
    (action, where)
    for action in ("s3:ListBucket", "s3:PutObject")
    for where in ("OnFailureBucket.Arn", "${OnFailureBucket.Arn}/*")
)
SEALS = frozenset({("kms:GenerateDataKey", "Key.Arn")})
SENDS = frozenset(
    {("kinesis:PutRecord", "Stream.Arn"), ("s3:PutObject", f"${{OnFailureBucket.Arn}}/{layout.IOT_MESSAGES}*")}
)
READS_UPLOADS = frozenset(
    {
        *(
            (f"sqs:{action}", "UploadsQueue.Arn")
            for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
        ),
        *(
            (f"s3:{action}", f"${{UploadsBucket.Arn}}/{layout.UPLOADS}*")
            for action in ("GetObject", "GetObjectVersion")
        ),
        *((f"s3:{action}", "UploadsBucket.Arn") for action in ("ListBucket", "ListBucketVersions")),
        ("s3:ListBucket", "LakeBucket.Arn"),
        ("s3:PutObject", f"${{LakeBucket.Arn}}/{layout.RECEIPTS}*"),
    }
)
RESULTS = (
    layout.AGGREGATES,
    layout.AGGREGATES_1H,
    layout.AGGREGATES_1D,
    layout.WINDOWS,
    layout.WINDOWS_1H,
    layout.WINDOWS_1D,
    layout.SILENCES,
    layout.EXCURSIONS,
    layout.REPORTS,
)
FLINK_READS_STREAM = frozenset(
    (action, where.replace(STREAM_BY_NAME, "Stream.Arn"))
    for action, where in STREAM_READS - {("kinesis:ListStreams", "*")}
)
AUDITS = frozenset(
    {
        *(
            (f"kinesis:{action}", "Stream.Arn")
            for action in ("DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
        ),
        ("s3:ListBucket", "LakeBucket.Arn"),
        ("s3:ListBucket", "ResultsBucket.Arn"),
        ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.CONTRACTS}*"),
        ("s3:GetObject", f"${{ResultsBucket.Arn}}/{layout.AGGREGATES}*"),
        ("s3:GetObject", f"${{ResultsBucket.Arn}}/{layout.WINDOWS}*"),
        ("s3:PutObject", f"${{ResultsBucket.Arn}}/{layout.AUDITS}*"),
        ("kms:Decrypt", "Key.Arn"),
    }
)
WRITES_ROWS = frozenset(
    (f"s3:{action}", f"${{ResultsBucket.Arn}}/{layout.AGGREGATES_FLINK}*")
    for action in ("AbortMultipartUpload", "DeleteObject", "GetObject", "ListMultipartUploadParts", "PutObject")
) | {("s3:ListBucket", "ResultsBucket.Arn"), ("s3:ListBucketMultipartUploads", "ResultsBucket.Arn")}
_CODE = "arn:${AWS::Partition}:s3:::${CodeBucket}/${FlinkCodeKey}"
OF_SERVICE = frozenset(
    {
        ("s3:GetObject", _CODE),
        ("s3:GetObjectVersion", _CODE),
        ("logs:DescribeLogGroups", "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"),
        ("logs:DescribeLogStreams", "FlinkLogGroup.Arn"),
        ("logs:PutLogEvents", "FlinkLogGroup.Arn"),
    }
)
WRITES_RESULTS = frozenset(
    (f"s3:{action}Object", f"${{ResultsBucket.Arn}}/{root}*") for action in ("Get", "Put") for root in RESULTS
)
READS_RESULTS = frozenset(
    ("s3:GetObject", f"${{ResultsBucket.Arn}}/{root}*")
    for root in (layout.AGGREGATES, layout.AGGREGATES_1H, layout.WINDOWS, layout.SILENCES, layout.EXCURSIONS)
) | {("s3:ListBucket", "ResultsBucket.Arn"), ("kms:Decrypt", "Key.Arn")}
READS_RULES = frozenset({("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.RULES}*")})
READS_PARTIALS = frozenset(
    {("s3:ListBucket", "LakeBucket.Arn"), ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.PARTIALS}*")}
)
ROLLS = (
    SEALS
    | WRITES_RESULTS
    | frozenset(
        {
            ("kms:Decrypt", "Key.Arn"),
            ("s3:ListBucket", "LakeBucket.Arn"),
            ("s3:ListBucket", "ResultsBucket.Arn"),
            ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.PARTIALS}*"),
            *(
                (f"s3:{action}Object", f"${{LakeBucket.Arn}}/{root}*")
                for action in ("Get", "Put", "Delete")
                for root in (layout.UNIONS, layout.HELD)
            ),
            ("s3:PutObject", f"${{LakeBucket.Arn}}/{layout.SILENCE_MARKERS}*"),
            ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.BACKFILL_MARKERS}*"),
            ("s3:DeleteObject", f"${{LakeBucket.Arn}}/{layout.MARKERS}*"),
            ("sns:Publish", "SilenceTopic"),
            ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.RULES}*"),
            ("s3:PutObject", f"${{LakeBucket.Arn}}/{layout.RULES}*.start"),
            ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.MESSAGES}*"),
            ("s3:PutObject", f"${{LakeBucket.Arn}}/{layout.MESSAGES}*"),
            *(("sns:Publish", f"{severity}Topic") for severity in ("Info", "Warning", "Critical")),
        }
    )
)


def logs(function: str) -> frozenset[tuple[str, str]]:
    """What a function needs to write its log."""
    return frozenset((f"logs:{action}", f"{function}LogGroup.Arn") for action in ("CreateLogStream", "PutLogEvents"))


def statements(
    role: str,
    *,
    is_fanout: bool,
    is_in_vpc: bool = False,
    has_rules: bool = True,
    is_live: bool = True,
    is_push: bool = True,
) -> list[dict[str, Any]]:
    """The role's statements in one of the modes, outside or inside a VPC, with rules on values and live or without."""
    found = []
    for policy in RESOURCES[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            match statement:
                case {"Fn::If": ["IsFanout", in_fanout, in_direct]}:
                    chosen = in_fanout if is_fanout else in_direct
                case {"Fn::If": ["HasOperations", with_operations, _]}:
                    chosen = with_operations
                case {"Fn::If": ["HasRules", with_rules, without]}:
                    chosen = with_rules if has_rules else without
                case {"Fn::If": ["HasLive", with_live, without]}:
                    chosen = with_live if is_live else without
                case {"Fn::If": ["HasPush", with_push, without]}:
                    chosen = with_push if is_push else without
                case {"Fn::If": ["IsInVpc", in_vpc, without]}:
                    chosen = in_vpc if is_in_vpc else without
                case _:
                    chosen = statement
            if chosen != {"Ref": "AWS::NoValue"}:
                found.append(chosen)
    return found


def rights(role: str, *, is_fanout: bool) -> frozenset[tuple[str, str]]:
    """Pairs of an action and where it is allowed."""
    pairs = set()
    for statement in statements(role, is_fanout=is_fanout):
        assert statement["Effect"] == "Allow"
        actions, places = statement["Action"], statement["Resource"]
        for action in actions if isinstance(actions, list) else [actions]:
            for where in places if isinstance(places, list) else [places]:
                pairs.add((action, spelled(where)))
    return frozenset(pairs)


BACKFILLS = frozenset(
    {
        *((f"s3:{action}Object", f"${{LakeBucket.Arn}}/{layout.BACKFILLS}*") for action in ("Get", "Put")),
        *(("s3:PutObject", f"${{LakeBucket.Arn}}/{root}*") for root in (layout.PARTIALS, layout.MARKERS)),
        ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.CONTRACTS}*"),
        *(("s3:ListBucket", f"{bucket}.Arn") for bucket in ("LakeBucket", "ResultsBucket")),
        ("s3:ListBucket", "arn:${AWS::Partition}:s3:::${BackfillBucket}"),
        ("s3:GetObject", "arn:${AWS::Partition}:s3:::${BackfillBucket}/*"),
        ("lambda:InvokeFunction", "DispatcherFunction.Alias"),
    }
)
_MACHINE = "${AWS::Region}:${AWS::AccountId}:"
RUNS_BACKFILLS = frozenset(
    {
        ("lambda:InvokeFunction", "BackfillFunction.Alias"),
        ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.BACKFILLS}*"),
        ("kms:Decrypt", "Key.Arn"),
        ("states:StartExecution", f"arn:${{AWS::Partition}}:states:{_MACHINE}stateMachine:windrow-${{Stage}}-backfill"),
        *(
            (
                f"states:{action}Execution",
                f"arn:${{AWS::Partition}}:states:{_MACHINE}execution:windrow-${{Stage}}-backfill*",
            )
            for action in ("Describe", "Stop")
        ),
    }
)


SCALES = frozenset(
    {
        *((f"kinesis:{action}", "Stream.Arn") for action in ("DescribeStreamSummary", "UpdateShardCount")),
        ("cloudwatch:GetMetricData", "*"),
        ("s3:ListBucket", "ResultsBucket.Arn"),
        *((f"s3:{action}Object", f"${{ResultsBucket.Arn}}/{layout.SCALING}*") for action in ("Get", "Put")),
        ("sns:Publish", "AlarmTopic"),
        ("kms:Decrypt", "Key.Arn"),
    }
)


KEEPS_CONNECTIONS = frozenset((f"dynamodb:{action}Item", "LiveConnections.Arn") for action in ("Put", "Delete"))
_SOCKETS = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${LiveSockets}/live/"
PUSHES = frozenset(
    {
        *(
            (f"dynamodb:{action}", "LatestValues.StreamArn")
            for action in ("DescribeStream", "GetRecords", "GetShardIterator")
        ),
        ("dynamodb:ListStreams", "*"),
        ("dynamodb:Query", "LatestValues.Arn"),
        ("dynamodb:Scan", "LiveConnections.Arn"),
        ("dynamodb:DeleteItem", "LiveConnections.Arn"),
        *(("execute-api:ManageConnections", f"{_SOCKETS}{verb}/@connections/*") for verb in ("POST", "DELETE")),
        ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.RULES}*"),
        ("kms:Decrypt", "Key.Arn"),
    }
)


def spelled(where: Any) -> str:
    """A resource in a statement, in short."""
    match where:
        case {"Fn::If": ["CreatesKey" | "HasRules" | "HasReports", own, _]}:
            return spelled(own)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"{resource}.{attribute}"
        case {"Fn::Sub": text}:
            return str(text)
        case {"Ref": resource}:
            return str(resource)
        case _:
            return str(where)


@pytest.mark.parametrize(
    ("role", "is_fanout", "expected"),
    [
        pytest.param(
            "ConsumerRole",
            False,
            logs("Consumer") | SEALS | CONSUMES | STREAM_READS | GIVES_UP | HANDS_ON,
            id="consumer",
        ),
        pytest.param(
            "ConsumerRole",
            True,
            logs("Consumer") | SEALS | CONSUMES | STREAM_READS | GIVES_UP | HANDS_ON,
            id="processor",
        ),
        pytest.param("LiveRole", False, logs("Live") | KEEPS_VALUES, id="live"),
        pytest.param(
            "FanoutRole",
            True,
            logs("Fanout")
            | SEALS
            | CONSUMES
            | STREAM_READS
            | GIVES_UP
            | HANDS_ON
            | {("lambda:InvokeFunction", "ConsumerFunction.Alias")},
            id="fanout",
        ),
        pytest.param("DispatcherRole", False, logs("Dispatcher") | ROLLS, id="dispatcher"),
        pytest.param(
            "UploadsRole",
            False,
            (logs("Uploads") | SEALS | CONSUMES | READS_UPLOADS)
            - {(f"s3:{action}Object", f"${{LakeBucket.Arn}}/{layout.BOOKMARKS}*") for action in ("Get", "Put")},
            id="uploads",
        ),
        pytest.param("ApiRole", False, logs("Api") | READS_RESULTS | READS_PARTIALS | READS_RULES, id="api"),
        pytest.param("AuditRole", False, logs("Audit") | SEALS | AUDITS, id="audit"),
        pytest.param("ScalingRole", False, logs("Scaling") | SEALS | SCALES, id="scaling"),
        pytest.param("LiveSocketsRole", False, logs("LiveSockets") | KEEPS_CONNECTIONS, id="live-sockets"),
        pytest.param("LivePushRole", False, logs("LivePush") | PUSHES, id="live-push"),
        pytest.param(
            "BackfillRole", False, logs("Backfill") | SEALS | {("kms:Decrypt", "Key.Arn")} | BACKFILLS, id="backfill"
        ),
        pytest.param("BackfillMachineRole", False, RUNS_BACKFILLS, id="backfill-machine"),
        pytest.param("IotRole", False, SEALS | SENDS, id="iot"),
        pytest.param(
            "FlinkRole",
            False,
            SEALS | {("kms:Decrypt", "Key.Arn")} | OF_SERVICE | FLINK_READS_STREAM | WRITES_ROWS,
            id="flink",
        ),
    ],
)
def test_role_has_exactly_its_rights(role: str, is_fanout: bool, expected: frozenset[tuple[str, str]]):
    """A role may do what its function does, in its own prefixes, and nothing more."""
    assert rights(role, is_fanout=is_fanout) == expected


def test_stage_without_rules_gives_no_right_to_them():
    """The dispatcher has neither their topics nor their prefixes, but for its results, of which a list has an If."""
    given = {one["Sid"] for one in statements("DispatcherRole", is_fanout=False, has_rules=False)}
    of_rules = {"ReadRules", "BeginRules", "KeepMessages", "TellOfExcursions", "SealExcursions"}
    assert {one["Sid"] for one in statements("DispatcherRole", is_fanout=False)} - given == of_rules
    (written,) = (one for one in statements("DispatcherRole", is_fanout=False) if one["Sid"] == "WriteResults")
    conditional = [one for one in written["Resource"] if "Fn::If" in one]
    assert conditional == [
        {"Fn::If": ["HasRules", {"Fn::Sub": "${ResultsBucket.Arn}/excursions/*"}, {"Ref": "AWS::NoValue"}]},
        {"Fn::If": ["HasReports", {"Fn::Sub": "${ResultsBucket.Arn}/reports/*"}, {"Ref": "AWS::NoValue"}]},
    ]


def test_an_api_that_is_not_live_gets_nothing_of_the_lake():
    """Neither its partials nor their names; and what is live is off by default, and never without the API."""
    given = [spelled(one["Resource"]) for one in statements("ApiRole", is_fanout=False, is_live=False)]
    assert not [where for where in given if "LakeBucket" in where]
    assert template.parameters()["Live"]["Default"] == "off"
    assert template.load()["Conditions"]["HasLive"]["Fn::And"][0] == {"Condition": "HasWeb"}


@pytest.mark.parametrize("role", ["ConsumerRole", "FanoutRole"])
def test_a_stage_that_does_not_push_gives_no_right_to_the_topic(role: str):
    """Consumers write their partials and nothing else."""
    given, without = (
        {one["Sid"] for one in statements(role, is_fanout=role == "FanoutRole", is_push=is_push)}
        for is_push in (True, False)
    )
    assert given - without == {"HandOnValues", "SealHandedOnValues"}


def test_a_change_of_mode_refuses_no_poll():
    """The function that the mapping leaves and the one it comes to may read the stream in both modes."""
    for is_fanout in (False, True):
        assert rights("ConsumerRole", is_fanout=is_fanout) >= STREAM_READS | GIVES_UP
    assert rights("FanoutRole", is_fanout=True) >= STREAM_READS | GIVES_UP


def test_only_the_key_has_a_condition():
    """Data is sealed through S3, messages through SNS; a condition on listing turns a missing key's 404 into 403."""
    through_s3, through_sns, through_dynamodb = (
        {"StringEquals": {"kms:ViaService": {"Fn::Sub": f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}"}}}
        for service in ("s3", "sns", "dynamodb")
    )
    (of_table,) = (one for one in statements("LiveRole", is_fanout=False) if "Condition" in one)
    assert (spelled(of_table["Resource"]), of_table["Condition"]) == ("Key.Arn", through_dynamodb)
    for role in (
        "ConsumerRole",
        "FanoutRole",
        "DispatcherRole",
        "IotRole",
        "FlinkRole",
        "ApiRole",
        "AuditRole",
        "ScalingRole",
    ):
        for statement in statements(role, is_fanout=role == "FanoutRole"):
            is_key = spelled(statement["Resource"]) == "Key.Arn"
            is_message = statement["Sid"] in {"SealWhatIsTold", "SealExcursions", "SealHandedOnValues"}
            assert statement.get("Condition") == (through_sns if is_message else through_s3 if is_key else None)


def test_only_the_stages_rule_acts_in_its_role():
    """AWS IoT Core may assume it for this rule of this account, and for no other."""
    trust = RESOURCES["IotRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    name = RESOURCES["IotRule"]["Properties"]["RuleName"]["Fn::Sub"]
    rule = f"arn:${{AWS::Partition}}:iot:${{AWS::Region}}:${{AWS::AccountId}}:rule/{name}"
    condition = {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": rule}},
    }
    principal = {"Service": "iot.amazonaws.com"}
    assert trust == [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}]


def test_only_the_stages_application_acts_in_its_role():
    """Managed Flink may assume it for this application of this account ("Cross-service confused deputy prevention")."""
    trust = RESOURCES["FlinkRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    name = RESOURCES["FlinkApplication"]["Properties"]["ApplicationName"]["Fn::Sub"]
    application = f"arn:${{AWS::Partition}}:kinesisanalytics:${{AWS::Region}}:${{AWS::AccountId}}:application/{name}"
    condition = {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": application}},
    }
    principal = {"Service": "kinesisanalytics.amazonaws.com"}
    assert trust == [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}]


def test_each_function_has_a_role_and_a_log_of_its_own():
    """No two functions share a role or a log group, and every log group expires."""
    functions = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::Serverless::Function"]
    roles = {spelled(function["Role"]) for function in functions}
    groups = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in functions}
    assert len(functions) == len(roles) == len(groups) == 11
    assert all("RetentionInDays" in RESOURCES[group]["Properties"] for group in groups)


@pytest.mark.parametrize(
    "role",
    [
        "ConsumerRole",
        "FanoutRole",
        "DispatcherRole",
        "UploadsRole",
        "ApiRole",
        "AuditRole",
        "BackfillRole",
        "ScalingRole",
        "LiveSocketsRole",
        "LivePushRole",
        "LiveRole",
    ],
)
def test_only_a_function_in_a_vpc_may_be_connected_and_its_code_never(role: str):
    """Lambda may make network interfaces with the role; what comes from the function's own code is denied."""
    name = role.removesuffix("Role").lower().replace("live", "live-").removesuffix("-")
    is_fanout = role == "FanoutRole"
    without = statements(role, is_fanout=is_fanout)
    more = [one for one in statements(role, is_fanout=is_fanout, is_in_vpc=True) if one not in without]
    allowed, denied = more
    assert not any("ec2:" in str(one) for one in without)
    # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaVPCAccessExecutionRole.html, version 3
    assert set(allowed["Action"]) == {
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    }
    assert (allowed["Effect"], denied["Effect"], denied["Action"]) == ("Allow", "Deny", "ec2:*")
    (source,) = denied["Condition"]["ArnEquals"].values()
    function = RESOURCES[f"{role.removesuffix('Role')}Function"]["Properties"]["FunctionName"]
    assert source["Fn::Sub"].endswith(f":function:{function['Fn::Sub']}")
    assert function["Fn::Sub"].endswith(name)
