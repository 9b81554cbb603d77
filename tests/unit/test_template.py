"""The template against the code: names, keys, columns, lifetimes, rights. Nothing here needs a stack."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatcher.handler import RESERVE_MS_MAX
from infra import package, template
from infra.prices import price_table
from tests.environment import environment_of
from tests.horizon import LATENESS_HORIZON_MS
from windrow import settings
from windrow.aws.clients import INVOKE_READ_TIMEOUT_SECONDS
from windrow.lake import layout
from windrow.live import newest
from windrow.rows import lineage, partial_parquet, rollup_parquet, silence
from windrow.rows.merge import PERCENTILE_ERROR_MILLI
from windrow.rows.rollup import PERCENTILES
from windrow.settings import Settings
from windrow.window import WINDOW_MS

ROOT = Path(__file__).parents[2]
TEMPLATE = template.load()
RESOURCES = TEMPLATE["Resources"]
PARAMETERS = TEMPLATE["Parameters"]
SIZED = {
    "consumer": "ConsumerFunction",
    "fanout": "FanoutFunction",
    "dispatcher": "DispatcherFunction",
    "api": "ApiFunction",
}
"""The functions whose size and time are parameters of their own."""
FUNCTIONS = SIZED | {
    "uploads": "UploadsFunction",
    "audit": "AuditFunction",
    "backfill": "BackfillFunction",
    "scaling": "ScalingFunction",
    "live": "LiveFunction",
}
BUCKETS = ("LakeBucket", "ResultsBucket", "OnFailureBucket", "UploadsBucket")
KEY_ARN = {"Fn::If": ["CreatesKey", {"Fn::GetAtt": ["Key", "Arn"]}, {"Ref": "ExistingKeyArn"}]}
TABLES = {
    "AggregatesTable": (rollup_parquet.COLUMNS, "ResultsBucket", layout.AGGREGATES),
    "AggregatesOfHoursTable": (rollup_parquet.COLUMNS, "ResultsBucket", layout.AGGREGATES_1H),
    "AggregatesOfDaysTable": (rollup_parquet.COLUMNS, "ResultsBucket", layout.AGGREGATES_1D),
    "AggregatesOfFlinkTable": (rollup_parquet.COLUMNS[:-1], "ResultsBucket", layout.AGGREGATES_FLINK),
    "SilencesTable": (silence.COLUMNS, "ResultsBucket", layout.SILENCES),
    "WindowsTable": (lineage.COLUMNS, "ResultsBucket", layout.WINDOWS),
    "PartialsTable": (partial_parquet.COLUMNS, "LakeBucket", layout.PARTIALS),
    "QuarantineTable": (None, "LakeBucket", layout.QUARANTINE),
}


def resolved(value: Any) -> Any:
    """`value` with every Ref replaced: a parameter by its default, a resource by its name; Subs likewise."""
    match value:
        case {"Ref": name}:
            return str(PARAMETERS[name].get("Default", name)) if name in PARAMETERS else name
        case {"Fn::Sub": text}:
            for name in PARAMETERS:
                text = text.replace(f"${{{name}}}", resolved({"Ref": name}))
            return text
        case dict():
            return {key: resolved(one) for key, one in value.items()}
        case list():
            return [resolved(one) for one in value]
        case _:
            return value


def environment(function: str) -> dict[str, str]:
    """The variables the function has: the common ones and its own."""
    common = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = RESOURCES[FUNCTIONS[function]]["Properties"]["Environment"]["Variables"]
    return resolved(common | own)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_environment_is_what_the_settings_read(function: str):
    """Settings read the template's variables, and write back the same names; powertools has its own."""
    variables = environment(function)
    read = Settings.from_environment(variables)
    assert read.stage == "dev"
    assert read.lateness_horizon_hours * 3_600_000 == LATENESS_HORIZON_MS
    of_rules = {settings.RULES, settings.INFO_TOPIC_ARN, settings.WARNING_TOPIC_ARN, settings.CRITICAL_TOPIC_ARN}
    of_scaling = {settings.SHARDS_MIN, settings.SHARDS_MAX, settings.ALARM_TOPIC_ARN}
    of_api = {settings.LIVE, settings.UPLOADS_BUCKET}
    of_consumers = {settings.PAYLOAD_CONTRACT, settings.LIVE_TOPIC_ARN}
    of_live = {settings.LATEST_TABLE, settings.LIVE_DEAD_LETTERS_URL}
    of_live |= {settings.LIVE_DEADBAND_MILLI, settings.LIVE_INTERVAL_SECONDS}
    of_choices = {
        "dispatcher": of_rules | {settings.REPORTS},
        "api": of_api,
        "audit": {settings.PAYLOAD_CONTRACT},
        "scaling": of_scaling,
        "consumer": of_consumers,
        "fanout": of_consumers,
        "live": of_live,
    }
    of_choice = of_choices.get(function, {settings.PAYLOAD_CONTRACT})
    assert set(variables) == {*environment_of(read), *settings.POWERTOOLS, *settings.RUNTIME, *of_choice}
    assert read.payload_contract is None  # empty: the default form
    assert settings.RUNTIME.items() <= variables.items()
    assert (read.processor_function is not None) == (function == "fanout")
    assert (read.uploads_bucket is not None) == (function in {"uploads", "api"})


@pytest.mark.parametrize(
    "function", [*package.FUNCTIONS, package.API, package.AUDIT], ids=lambda function: function.name
)
def test_handler_is_the_packaged_one(function: package.Function):
    """The template starts the handler that packaging checks for, and it can be imported and called."""
    assert RESOURCES[FUNCTIONS[function.name]]["Properties"]["Handler"] == function.handler
    module, _, name = function.handler.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.slow
def test_no_yaml_aliases():
    """CloudFormation refuses a template with anchors and aliases, though linters and stand-ins take it."""
    kinds = {type(token) for token in yaml.scan(template.text())}
    assert not kinds & {yaml.AnchorToken, yaml.AliasToken}


def test_outputs_are_those_a_deployment_is_read_from():
    """The names that windrow.deployment looks for, and two for people: who hears of alarms, what opens the data."""
    of_web = {"SiteUrl", "LiveSocketUrl", "SiteBucketName", "UserPoolId", "SignInClientId", "SignInUrl", "GatewaysUrl"}
    assert set(TEMPLATE["Outputs"]) == of_web | {
        "AlarmTopicArn",
        "SilenceTopicArn",
        "KeyArn",
        "StreamName",
        "LakeBucketName",
        "ResultsBucketName",
        "OnFailureBucketName",
        "UploadsBucketName",
        "UploadsFunctionName",
        "BackfillMachineArn",
        "IotTopic",
        "IotSelect",
        "ConsumerFunctionName",
        "DispatcherFunctionName",
        "GlueDatabaseName",
        "AthenaWorkGroupName",
        "ProcessingMode",
        "LatenessHorizonHours",
        "StreamRetentionHours",
        "PartialsRetentionDays",
        "PayloadContract",
        "ValueRules",
        "InfoTopicArn",
        "WarningTopicArn",
        "CriticalTopicArn",
    }


@pytest.mark.parametrize("table", TABLES)
def test_table_has_the_columns_the_code_writes(table: str):
    """Names, types and order of a table's columns are those of the codec."""
    columns, _, prefix = TABLES[table]
    given = RESOURCES[table]["Properties"]["TableInput"]
    assert given["Name"] == prefix.rstrip("/")
    if columns is not None:
        found = [(column["Name"], column["Type"]) for column in given["StorageDescriptor"]["Columns"]]
        assert found == list(columns)


@pytest.mark.parametrize("table", TABLES)
def test_projection_spells_the_keys_the_code_writes(table: str):
    """The projected location of a window's partition is a prefix of the keys of that window."""
    _, bucket, root = TABLES[table]
    given = RESOURCES[table]["Properties"]["TableInput"]
    instant_ms = 1_795_169_100_000  # 2026-11-20T10:05Z
    location = given["Parameters"]["storage.location.template"]["Fn::Sub"]
    projected = location.replace("${!dt}", "2026-11-20").replace("${!hour}", "10")
    assert projected == f"s3://${{{bucket}}}/{layout.hour_prefix(root, instant_ms)}"
    assert given["Parameters"]["projection.hour.digits"] == "2"
    assert [key["Name"] for key in given["PartitionKeys"]] == ["dt", "hour"]


def test_partials_outlive_every_late_reading():
    """Whatever is chosen, partials live for the lateness horizon, the stream's retention and a week of margin."""
    horizon_hours, retention_hours = PARAMETERS["LatenessHorizonHours"], PARAMETERS["StreamRetentionHours"]
    needed_hours = horizon_hours["MaxValue"] + retention_hours["MaxValue"] + 7 * 24
    assert PARAMETERS["PartialsRetentionDays"]["MinValue"] * 24 >= needed_hours
    assert PARAMETERS["RejectedRetentionDays"]["MinValue"] * 24 >= needed_hours


def test_results_outlive_their_partials():
    """A result is kept for ever or longer than its partials: else its window would look as if never rolled."""
    kept_days = [days for days in PARAMETERS["ResultsRetentionDays"]["AllowedValues"] if days != 0]
    assert min(kept_days) > PARAMETERS["PartialsRetentionDays"]["MaxValue"]


def test_batches_are_given_up_before_the_stream_forgets_them():
    """By age alone, an hour before the end by default, into the on-failure bucket."""
    mapping = RESOURCES["StreamMapping"]["Properties"]
    assert mapping["MaximumRecordAgeInSeconds"] == {"Fn::FindInMap": ["Hours", {"Ref": "GiveUpHours"}, "Seconds"]}
    assert int(PARAMETERS["GiveUpHours"]["Default"]) == PARAMETERS["StreamRetentionHours"]["Default"] - 1
    assert mapping["MaximumRetryAttempts"] == -1  # no limit (API reference of Lambda)
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["OnFailureBucket", "Arn"]}


def test_every_hour_has_its_seconds():
    """Each value that GiveUpHours may have is in the table, and 3,600 times as many seconds."""
    retention_hours_max = PARAMETERS["StreamRetentionHours"]["MaxValue"]
    pattern = re.compile(PARAMETERS["GiveUpHours"]["AllowedPattern"])
    allowed = [hours for hours in range(-9, 2_000) if pattern.search(str(hours))]
    assert allowed == list(range(1, retention_hours_max))
    assert not any(pattern.search(text) for text in ("", "01", "1.5", "a day"))
    assert TEMPLATE["Mappings"]["Hours"] == {str(hours): {"Seconds": hours * 3600, "Hours": hours} for hours in allowed}


def test_what_is_looked_up_in_a_mapping_is_a_string():
    """A key of a mapping is one; LocalStack makes a number of a parameter that says it is a number."""
    assert PARAMETERS["GiveUpHours"]["Type"] == "String"


def test_rule_sees_records_given_up_too_late():
    """With the default retention, exactly the hours below it pass; what Rules cannot compare, deploy does."""
    rule = TEMPLATE["Rules"]["RecordsAreGivenUpInTime"]
    retention_hours = PARAMETERS["StreamRetentionHours"]["Default"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "StreamRetentionHours"}, str(retention_hours)]}
    (assertion,) = rule["Assertions"]
    allowed, given = assertion["Assert"]["Fn::Contains"]
    assert allowed == [str(hours) for hours in range(1, retention_hours)]
    assert given == {"Ref": "GiveUpHours"}


def test_mapping_starts_at_the_horizon_and_answers_partially():
    """Nothing that the stream holds is skipped, and one bad record does not bring the whole batch again."""
    mapping = RESOURCES["StreamMapping"]["Properties"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionName"] == {
        "Fn::If": ["IsFanout", {"Ref": "FanoutFunction.Alias"}, {"Ref": "ConsumerFunction.Alias"}]
    }


def test_whoever_waits_waits_longer():
    """Whatever is chosen: the fan-out outlasts its processors, and our own client the longest function."""
    chosen = {name: PARAMETERS[f"{name.capitalize()}TimeoutSeconds"] for name in SIZED}
    assert chosen["fanout"]["MinValue"] > chosen["consumer"]["MaxValue"]
    assert max(one["MaxValue"] for one in chosen.values()) < INVOKE_READ_TIMEOUT_SECONDS


@pytest.mark.parametrize("function", SIZED)
def test_size_and_time_of_a_function_are_parameters(function: str):
    """Each function has its own, within what Lambda takes and what a new account allows by default."""
    properties, name = RESOURCES[FUNCTIONS[function]]["Properties"], function.capitalize()
    assert properties["MemorySize"] == {"Ref": f"{name}MemoryMb"}
    assert properties["EphemeralStorage"] == {"Size": {"Ref": f"{name}DiskMb"}}
    assert properties["Timeout"] == {"Ref": f"{name}TimeoutSeconds"}
    for parameter in ("MemoryMb", "DiskMb", "TimeoutSeconds"):
        given = PARAMETERS[name + parameter]
        assert given["MinValue"] <= given["Default"] <= given["MaxValue"]
    least_mb = 2048 if function == "api" else 512  # the API keeps objects on it
    assert (PARAMETERS[f"{name}DiskMb"]["MinValue"], PARAMETERS[f"{name}DiskMb"]["MaxValue"]) == (least_mb, 10_240)
    assert PARAMETERS[f"{name}MemoryMb"]["MaxValue"] == 10_240
    assert PARAMETERS[f"{name}MemoryMb"]["Default"] <= 3_008


def test_shards_say_where_the_roll_ends():
    """The numbers follow from what was measured: CPU of a roll, bytes of a reading, and the time of a run."""
    description = PARAMETERS["ShardCount"]["Description"]
    (millions, json_shards, block_shards) = map(
        int, re.findall(r"about (\d+) million.* (\d+) shards.* (\d+) full", description)[0]
    )
    table = price_table()
    seconds = PARAMETERS["DispatcherTimeoutSeconds"]["Default"] - RESERVE_MS_MAX / 1000
    assert millions * 1e6 == pytest.approx(seconds / table.figure("roll_cpu_seconds"), rel=0.3)
    for shards, bytes_name in ((json_shards, "json_aggregated_bytes"), (block_shards, "block_bytes")):
        readings_per_window = 1e6 / table.figure(bytes_name) * WINDOW_MS / 1000
        assert shards == pytest.approx(millions * 1e6 / readings_per_window, rel=0.3)


def test_ticks_are_not_retried_into_the_next_ones():
    """A tick that is late or fails is left to the next one."""
    dispatcher = RESOURCES["DispatcherFunction"]["Properties"]
    assert dispatcher["EventInvokeConfig"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 240}
    tick = dispatcher["Events"]["Tick"]["Properties"]
    assert tick["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 240}
    assert "Input" not in tick  # the plain event carries the time


@pytest.mark.parametrize("bucket", BUCKETS)
def test_bucket_is_closed_encrypted_and_kept(bucket: str):
    """No public access, encryption, TLS only, and a retained bucket; nothing is left of broken uploads."""
    given = RESOURCES[bucket]
    properties = given["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["BucketKeyEnabled"] is True  # else every object would be a call to KMS
    assert encryption["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": KEY_ARN,
    }
    assert given["DeletionPolicy"] == "RetainExceptOnCreate"
    assert given["UpdateReplacePolicy"] == "Retain"
    assert any("AbortIncompleteMultipartUpload" in rule for rule in properties["LifecycleConfiguration"]["Rules"])
    statement = RESOURCES[f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}]


@pytest.mark.parametrize("role", [name for name, one in RESOURCES.items() if one["Type"] == "AWS::IAM::Role"])
def test_role_has_the_companys_path_and_boundary(role: str):
    """Both are parameters, and without them a role is as it was: at the root, and unbounded."""
    properties = RESOURCES[role]["Properties"]
    assert properties["Path"] == {"Ref": "RolePath"}
    without = {"Ref": "AWS::NoValue"}
    assert properties["PermissionsBoundary"] == {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, without]}
    assert (PARAMETERS["RolePath"]["Default"], PARAMETERS["PermissionsBoundary"]["Default"]) == ("/", "")


def test_nothing_uses_the_stages_own_key_without_asking_whether_there_is_one():
    """With a company's key there is no other; what names the stage's own key unconditionally would not deploy."""

    def strays(value: Any, where: str) -> list[str]:
        if value == KEY_ARN:
            return []
        if value in ({"Ref": "Key"}, {"Fn::GetAtt": ["Key", "Arn"]}):
            return [where]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [stray for name, child in children for stray in strays(child, f"{where}/{name}")]

    assert strays(RESOURCES, "") == ["/KeyAlias/Properties/TargetKeyId"]
    assert strays(TEMPLATE["Outputs"], "") == []
    assert RESOURCES["Key"]["Condition"] == RESOURCES["KeyAlias"]["Condition"] == "CreatesKey"


def test_the_page_tells_what_a_companys_key_must_allow():
    """It is what the stage's own key allows to services, with an account, a region and a stage as examples."""
    page = (ROOT / "docs/company.md").read_text()
    (told,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "Alarms" in block)
    statements = RESOURCES["Key"]["Properties"]["KeyPolicy"]["Statement"]
    own = json.dumps([one for one in statements if "Service" in one["Principal"]])
    own = re.sub(r'\{"Fn::Sub": ("[^"]*")\}', r"\1", own).replace('{"Ref": "AWS::AccountId"}', '"${AWS::AccountId}"')
    examples = {"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012"}
    for name, example in (examples | {"Stage": "prod"}).items():
        own = own.replace(f"${{{name}}}", example)
    assert [one["Sid"] for one in told] == ["Alarms", "Answers"]
    assert told == json.loads(own)


def test_late_rolls_are_as_often_as_the_parameter_says():
    """Once an hour, if nobody chose otherwise; the dispatcher alone is told."""
    assert PARAMETERS["LateRollMinutes"]["Default"] == 60
    told = RESOURCES["DispatcherFunction"]["Properties"]["Environment"]["Variables"][settings.LATE_ROLL_MINUTES]
    assert told == {"Ref": "LateRollMinutes"}
    # The schedule's own event, with an empty `detail`, asks for nothing else.
    assert "Input" not in RESOURCES["DispatcherFunction"]["Properties"]["Events"]["Tick"]["Properties"]


def test_every_prefix_of_the_lake_expires():
    """Each prefix that the code writes to the lake has a rule, and no rule names another; a contract stays."""
    rules = RESOURCES["LakeBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    prefixes = {rule["Prefix"] for rule in rules if "Prefix" in rule}
    assert prefixes == {
        layout.PARTIALS,
        layout.UNIONS,
        layout.MARKERS,
        layout.QUARANTINE,
        layout.BOOKMARKS,
        layout.RECEIPTS,
        layout.BACKFILLS,
        layout.HELD,
        layout.SIMULATIONS,
    }


def test_uploads_are_off_unless_asked_for():
    """Nothing of them, their bucket least of all, is in a stage that does not want them."""
    assert PARAMETERS["Uploads"]["Default"] == "none"
    conditions = {name: one.get("Condition") for name, one in RESOURCES.items() if name.startswith("Uploads")}
    assert set(conditions.values()) == {"HasUploads", "HasTlsUploads", "HasUploadsOperations"}
    for name in ("HasTlsUploads", "HasUploadsOperations"):
        assert {"Condition": "HasUploads"} in TEMPLATE["Conditions"][name]["Fn::And"]


def test_no_upload_is_lost_between_its_event_and_its_receipt():
    """Versions outlast the sweep, the queue its function's retries, and what is given up is kept for two weeks."""
    bucket = RESOURCES["UploadsBucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    days = rules["old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"]
    assert days * 24 > PARAMETERS["StreamRetentionHours"]["MaxValue"]
    assert rules["uploads"]["ExpirationInDays"] == {"Ref": "PartialsRetentionDays"}
    queue, dead = (RESOURCES[name]["Properties"] for name in ("UploadsQueue", "UploadsDeadLetters"))
    longest_s = PARAMETERS["ConsumerTimeoutSeconds"]["MaxValue"], PARAMETERS["BatchingWindowSeconds"]["MaxValue"]
    assert queue["VisibilityTimeout"] >= 6 * longest_s[0] + longest_s[1]
    attempts = queue["RedrivePolicy"]["maxReceiveCount"]
    assert queue["MessageRetentionPeriod"] > attempts * queue["VisibilityTimeout"]
    assert dead["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]
    (target,) = RESOURCES["UploadsRule"]["Properties"]["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UploadsDeadLetters", "Arn"]}}
    assert RESOURCES["UploadsMapping"]["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_rule_hears_of_new_uploads_only():
    """Those under `uploads/` of the stage's own bucket; a queue of other letters would be others' costs."""
    pattern = RESOURCES["UploadsRule"]["Properties"]["EventPattern"]
    assert pattern == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [{"Ref": "UploadsBucket"}]},
            "object": {"key": [{"prefix": layout.UPLOADS}]},
        },
    }
    (statement,) = RESOURCES["UploadsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadsRule", "Arn"]}}}


def test_key_lives_as_long_as_what_it_opens():
    """Retained with the buckets, and turned over every year; without it the data that is kept would be lost."""
    key = RESOURCES["Key"]
    assert {key["DeletionPolicy"]} == {RESOURCES[bucket]["DeletionPolicy"] for bucket in BUCKETS}
    assert key["UpdateReplacePolicy"] == "Retain"
    assert key["Properties"]["EnableKeyRotation"] is True


def test_results_can_be_had_back_for_a_while():
    """Overwritten and deleted results are kept as old versions, and these expire; partials need no versions."""
    properties = RESOURCES["ResultsBucket"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = [one for one in properties["LifecycleConfiguration"]["Rules"] if one.get("Id") == "old-versions"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rule["ExpiredObjectDeleteMarker"] is True
    assert "VersioningConfiguration" not in RESOURCES["LakeBucket"]["Properties"]


def test_a_stage_without_a_stream_has_nothing_that_needs_one():
    """Whatever refers to the stream or its mapping has the condition, and readings must come in another way."""
    of_stream = {"HasStream", "HasStreamOperations", "HasStreamExpressions", "HasIot", "HasFlink", "HasAudit"}
    of_stream |= {"HasScaling", "HasPush"}
    for name, one in RESOURCES.items():
        text = json.dumps(one)
        if '"Ref": "Stream"' in text or '"Stream", "Arn"' in text or '"Ref": "StreamMapping"' in text:
            assert one.get("Condition") in of_stream or name == "Dashboard", name
    conditions = TEMPLATE["Conditions"]
    assert all({"Condition": "HasStream"} in conditions[name]["Fn::And"] for name in of_stream - {"HasStream"})
    body, variables = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert variables == {"Mapping": {"Fn::If": ["HasStream", {"Ref": "StreamMapping"}, "none"]}}
    assert "${Stream" not in body
    rule = TEMPLATE["Rules"]["ReadingsComeSomehow"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "StreamMode"}, "NONE"]}
    assert {"Fn::Equals": [{"Ref": "Uploads"}, "bucket"]} in [one["Assert"] for one in rule["Assertions"]]


def test_a_backfill_is_off_unless_asked_for():
    """Then it needs its code and a bucket; all that is its own has the condition."""
    assert PARAMETERS["Backfill"]["Default"] == "off"
    conditions = {one.get("Condition") for name, one in RESOURCES.items() if name.startswith("Backfill")}
    assert conditions == {"HasBackfill"}
    assert TEMPLATE["Outputs"]["BackfillMachineArn"]["Condition"] == "HasBackfill"
    needed = [one["Assert"]["Fn::Not"] for one in TEMPLATE["Rules"]["BackfillHasCodeAndBucket"]["Assertions"]]
    assert needed == [
        [{"Fn::Equals": [{"Ref": "BackfillCodeKey"}, ""]}],
        [{"Fn::Equals": [{"Ref": "BackfillBucket"}, "none"]}],
    ]


def test_scaling_is_off_unless_asked_for():
    """Then it needs its code and a provisioned stream; all that is its own has the condition."""
    assert PARAMETERS["Scaling"]["Default"] == "none"
    conditions = {one.get("Condition") for name, one in RESOURCES.items() if name.startswith("Scaling")}
    assert conditions == {"HasScaling", "HasScalingOperations"}
    assert TEMPLATE["Conditions"]["HasScaling"]["Fn::And"][1] == {"Condition": "IsProvisioned"}
    asserted = [one["Assert"] for one in TEMPLATE["Rules"]["ScalingHasCodeAndShards"]["Assertions"]]
    assert asserted == [
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "ScalingCodeKey"}, ""]}]},
        {"Fn::Equals": [{"Ref": "StreamMode"}, "PROVISIONED"]},
    ]
    (schedule,) = RESOURCES["ScalingFunction"]["Properties"]["Events"].values()
    assert schedule["Properties"]["Schedule"] == "cron(3/5 * * * ? *)"


def test_actions_are_kept_longer_than_any_stream_keeps_records():
    """Shards are halved only if the log says that none were changed for so long."""
    rules = RESOURCES["ResultsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (days,) = [one["ExpirationInDays"] for one in rules if one.get("Prefix") == layout.SCALING]
    assert days * 24 > PARAMETERS["StreamRetentionHours"]["MaxValue"]


def test_a_backfills_parts_fail_alone_and_are_not_kept():
    """One failing part stops no other; what they return is left out, as a state's output is at most 256 KiB."""
    states = RESOURCES["BackfillMachine"]["Properties"]["Definition"]["States"]
    parts = states["Parts"]
    assert (parts["ToleratedFailurePercentage"], parts["ResultPath"], parts["MaxConcurrency"]) == (100, None, 5)
    assert parts["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    steps = [states[name] for name in ("Plan", "Look", "Roll")] + [parts["ItemProcessor"]["States"]["Part"]]
    assert all(one["Retry"][0]["ErrorEquals"] == ["States.ALL"] for one in steps)
    assert {one["Parameters"]["Payload"]["step"] for one in steps} == {"plan", "report", "roll", "part"}
    assert [states[name]["Default"] for name in ("Waits", "Ends")] == ["Ends", "NotWhole"]


def test_on_demand_stream_has_no_number_of_shards():
    """CloudFormation refuses the number in the mode ON_DEMAND."""
    properties = RESOURCES["Stream"]["Properties"]
    assert properties["ShardCount"] == {"Fn::If": ["IsProvisioned", {"Ref": "ShardCount"}, {"Ref": "AWS::NoValue"}]}
    assert properties["StreamModeDetails"] == {"StreamMode": {"Ref": "StreamMode"}}
    assert properties["StreamEncryption"]["EncryptionType"] == "KMS"


@pytest.mark.parametrize("function", SIZED)
def test_no_concurrency_is_reserved_unless_asked_for(function: str):
    """New accounts have 10 executions in all, of which none can be reserved; and 0 would stop the function."""
    reserved = RESOURCES[FUNCTIONS[function]]["Properties"]["ReservedConcurrentExecutions"]
    name = f"{function.capitalize()}ReservedConcurrency"
    assert reserved == {"Fn::If": [f"Reserves{function.capitalize()}", {"Ref": name}, {"Ref": "AWS::NoValue"}]}
    assert PARAMETERS[name]["Default"] == 0


def test_everything_that_can_be_is_tagged_with_the_stage():
    """What a stage costs can be told by its tag."""
    tagged = ("Key", "Stream", *BUCKETS, "ConsumerRole", "DispatcherRole", "FanoutRole", "StreamMapping", "WorkGroup")
    uploads = ("UploadsQueue", "UploadsDeadLetters", "UploadsRole", "UploadsMapping")
    topics = ("AlarmTopic", "SilenceTopic", "InfoTopic", "WarningTopic", "CriticalTopic")
    of_web = ("ApiRole", "SiteBucket", "Site", "BackfillRole", "BackfillMachineRole", "BackfillMachine")
    of_web += ("ScalingRole", "LiveTopic", "LiveQueue", "LiveDeadLetters", "LiveRole", "LiveMapping")
    of_web += ("LatestValues",)
    for name in (*tagged, *topics, *uploads, "IotRole", "IotRule", "FlinkRole", "FlinkApplication", *of_web):
        assert {"Key": "windrow-stage", "Value": {"Ref": "Stage"}} in RESOURCES[name]["Properties"]["Tags"], name


def test_the_newest_values_are_pushed_only_if_asked_for():
    """With a page to show them and a stream to read them from; push also allows what on does."""
    assert PARAMETERS["Live"] == PARAMETERS["Live"] | {"Default": "off", "AllowedValues": ["off", "on", "push"]}
    conditions = TEMPLATE["Conditions"]
    with_page = {"Condition": "HasWeb"}
    is_push = {"Fn::Equals": [{"Ref": "Live"}, "push"]}
    assert conditions["HasPush"] == {"Fn::And": [{"Condition": "HasStream"}, with_page, is_push]}
    is_off = {"Fn::Equals": [{"Ref": "Live"}, "off"]}
    assert conditions["HasLive"] == {"Fn::And": [with_page, {"Fn::Not": [is_off]}]}
    own = [one for name, one in RESOURCES.items() if name.startswith("Live") or name == "LatestValues"]
    assert {one["Condition"] for one in own} == {"HasPush", "HasPushOperations"}
    rule = TEMPLATE["Rules"]["PushHasCodeAndWhatItNeeds"]
    assert rule["RuleCondition"] == is_push
    asserted = [one["Assert"] for one in rule["Assertions"]]
    assert asserted == [
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "LiveCodeKey"}, ""]}]},
        {"Fn::Equals": [{"Ref": "Web"}, "on"]},
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "StreamMode"}, "NONE"]}]},
    ]


def test_the_table_of_latest_values_has_the_keys_that_are_written():
    """And DynamoDB deletes by the attribute that is written for that; the stage's key seals it, and it goes with it."""
    table = RESOURCES["LatestValues"]
    properties = table["Properties"]
    keys = [(one["AttributeName"], one["KeyType"]) for one in properties["KeySchema"]]
    assert keys == [(newest.SITE, "HASH"), (newest.SERIES, "RANGE")]
    assert {one["AttributeType"] for one in properties["AttributeDefinitions"]} == {"S"}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": newest.EXPIRES, "Enabled": True}
    assert properties["SSESpecification"]["KMSMasterKeyId"] == KEY_ARN
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")


def test_only_consumers_publish_live_values_and_only_their_topic_sends_them():
    """What cannot be written goes to the dead letters, which keep it longer than the queue does."""
    (statement,) = RESOURCES["LiveQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "LiveTopic"}}}
    (consumers,) = RESOURCES["LiveTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    fanout = {"Fn::If": ["IsFanout", {"Fn::GetAtt": ["FanoutRole", "Arn"]}, {"Ref": "AWS::NoValue"}]}
    assert consumers["Principal"] == {"AWS": [{"Fn::GetAtt": ["ConsumerRole", "Arn"]}, fanout]}
    assert (consumers["Effect"], consumers["Action"]) == ("Allow", "sns:Publish")
    subscription, queue = (RESOURCES[name]["Properties"] for name in ("LiveSubscription", "LiveQueue"))
    assert subscription["RawMessageDelivery"] is True
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["LiveDeadLetters", "Arn"]}
    function, mapping = RESOURCES["LiveFunction"]["Properties"], RESOURCES["LiveMapping"]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    dead = RESOURCES["LiveDeadLetters"]["Properties"]
    assert dead["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]


def test_workgroup_decides_for_its_queries():
    """Enforced settings and a scan limit."""
    settings_of_queries = RESOURCES["WorkGroup"]["Properties"]["WorkGroupConfiguration"]
    assert settings_of_queries["EnforceWorkGroupConfiguration"] is True
    assert settings_of_queries["BytesScannedCutoffPerQuery"] == {"Ref": "QueryScanBytesMax"}


def test_answers_are_sealed_and_in_one_place_only():
    """Athena refuses managed answers beside a place in a bucket, so a change of the one takes back the other."""
    settings_of_queries = RESOURCES["WorkGroup"]["Properties"]["WorkGroupConfiguration"]
    of_managed = settings_of_queries["ManagedQueryResultsConfiguration"]["Fn::If"]
    of_bucket = settings_of_queries["ResultConfiguration"]["Fn::If"]
    assert of_managed[0] == of_bucket[0] == "HasManagedResults"
    assert of_managed[1] == {"Enabled": True, "EncryptionConfiguration": {"KmsKey": KEY_ARN}}
    assert of_managed[2] == {"Enabled": False}
    assert of_bucket[1] == {"Ref": "AWS::NoValue"}
    assert of_bucket[2]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": KEY_ARN}
    assert of_bucket[2]["ExpectedBucketOwner"] == {"Ref": "AWS::AccountId"}
    assert PARAMETERS["QueryResults"]["Default"] == "managed"


def test_the_key_lets_athena_seal_the_answers_of_this_workgroup_only():
    """The service's own principal, bound to the account and the workgroup ("Managed query results")."""
    (statement,) = (one for one in RESOURCES["Key"]["Properties"]["KeyPolicy"]["Statement"] if one["Sid"] == "Answers")
    workgroup = "arn:${AWS::Partition}:athena:${AWS::Region}:${AWS::AccountId}:workgroup/windrow-${Stage}"
    assert RESOURCES["WorkGroup"]["Properties"]["Name"] == {"Fn::Sub": "windrow-${Stage}"}
    assert statement["Principal"] == {"Service": "encryption.athena.amazonaws.com"}
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert statement["Condition"]["ArnLike"] == {
        "aws:SourceArn": {"Fn::Sub": workgroup},
        "kms:EncryptionContext:aws:athena:arn": {"Fn::Sub": workgroup},
    }


@pytest.mark.parametrize("table", ["AggregatesOfHoursTable", "AggregatesOfDaysTable"])
def test_percentiles_of_hours_and_days_state_their_error(table: str):
    """Whoever looks at the column sees the bound."""
    columns = RESOURCES[table]["Properties"]["TableInput"]["StorageDescriptor"]["Columns"]
    percentiles = [column for column in columns if column["Name"].startswith("p")]
    assert len(percentiles) == len(PERCENTILES)
    assert all(f"at most {PERCENTILE_ERROR_MILLI} thousandths" in column["Comment"] for column in percentiles)


def test_everything_the_dispatcher_writes_expires_with_the_results():
    """Whatever prefix a result has, a rule of ResultsRetentionDays is for it."""
    rules = RESOURCES["ResultsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    of_results = [rule["Fn::If"][1] for rule in rules if "Fn::If" in rule]
    assert {str(rule["ExpirationInDays"]) for rule in of_results} == {str({"Ref": "ResultsRetentionDays"})}
    prefixes = tuple(rule["Prefix"] for rule in of_results)
    own = (
        *(layout.AGGREGATES, layout.AGGREGATES_1H, layout.AGGREGATES_1D, layout.SILENCES),
        layout.AGGREGATES_FLINK,
        *(layout.WINDOWS, layout.WINDOWS_1H, layout.WINDOWS_1D),
    )
    assert all(prefix.startswith(prefixes) for prefix in own)
