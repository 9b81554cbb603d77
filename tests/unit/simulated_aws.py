"""CloudFormation, and what it deploys a stage with, as AWS's documents describe them: it refuses what AWS refuses.

Unlike a script of answers, it answers whatever is asked, in any order. Requests and answers are checked against the
services' models. Operations go on by one event each time that events or stacks are read, so nothing here waits.
"""

import datetime
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters

from infra import waiting
from tests.unit.stubbed_aws import PLACE
from windrow.aws.clients import Place, client

ACCOUNT = "123456789012"
NAME = "windrow-prod"
STREAM_ARN = f"arn:aws:kinesis:{PLACE.region}:{ACCOUNT}:stream/{NAME}"
EVENTS_PER_PAGE = 100
# UpdateShardCount, "default limits" (API reference of Kinesis).
RESHARDINGS_PER_DAY = 10
SHARDS_MAX = 10_000
# "Roll back your stack on alarm breach" (CloudFormation's User Guide).
TRIGGERS_MAX = 5
MONITORING_MINUTES_MAX = 180
SERVICES = ("cloudformation", "kinesis", "cloudwatch", "sts", "s3")
OUTPUTS = {
    "StreamName": NAME,
    "LakeBucketName": "lake",
    "ResultsBucketName": "results",
    "OnFailureBucketName": "failed",
    "ConsumerFunctionName": "windrow-prod-consumer",
    "DispatcherFunctionName": "windrow-prod-dispatcher",
    "ProcessingMode": "direct",
    "LatenessHorizonHours": "168",
    "StreamRetentionHours": "24",
    "PartialsRetentionDays": "30",
}


class RefusedError(Exception):
    """An error that a service answers with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass
class Stream:
    """A stream with so many open shards; `resharded_at` are the hours at which their number was changed."""

    shards: int
    mode: str = "PROVISIONED"
    resharded_at: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def update_shard_count(self, target: int, now_hours: float) -> None:
        """Change the number of shards as Kinesis does, or refuse as it does."""
        if self.mode != "PROVISIONED":
            raise RefusedError("ValidationException", "UpdateShardCount is not supported for on-demand streams")
        if sum(hour > now_hours - 24 for hour in self.resharded_at) >= RESHARDINGS_PER_DAY:
            raise RefusedError("LimitExceededException", "more than ten scalings of the stream in 24 hours")
        if target > 2 * self.shards or 2 * target < self.shards or target > SHARDS_MAX:
            raise RefusedError(
                "InvalidArgumentException", f"from {self.shards} shards to {target} is beyond double or half"
            )
        self.resharded_at.append(now_hours)
        self.counts.append(target)
        self.shards = target


@dataclass
class ChangeSet:
    """What a change set would make of the stack."""

    change_set_id: str
    parameters: dict[str, str]
    template: str
    triggers: list[str] | None
    monitoring_minutes: int | None
    role: str | None
    tags: list[dict[str, str]]
    is_new: bool


@dataclass
class SimulatedAws:
    """An account with at most one stage. A test sets what is there before, and looks at what was made of it.

    `failing` are resources whose next update fails, and `rings` the alarms that ring once an operation is under way.
    """

    status: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    template: str = ""
    stream: Stream = field(default_factory=lambda: Stream(2))
    alarms: dict[str, str] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=lambda: [{"Key": "windrow-stage", "Value": "prod"}])
    is_protected: bool = False
    role: str | None = None
    triggers: list[str] = field(default_factory=list)
    monitoring_minutes: int = 0
    failing: set[str] = field(default_factory=set)
    rings: set[str] = field(default_factory=set)
    refusals: dict[str, RefusedError] = field(default_factory=dict)
    now_hours: float = 1_000.0
    resets_shards: bool = False
    """Whether an update of the stream compares its shards with the stream itself: nobody says that it does not."""
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    on_call: Callable[[str], None] = lambda _: None
    _pending: Iterator[None] | None = None
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # ---- CloudFormation ---------------------------------------------------------------------------------------------

    def describe_stacks(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return the stack."""
        self._go_on()
        if not self.status:
            raise RefusedError("ValidationError", f"Stack with id {NAME} does not exist")
        return {
            "Stacks": [
                {
                    "StackName": NAME,
                    "StackId": f"arn:{NAME}",
                    "CreationTime": self._now(),
                    "StackStatus": self.status,
                    "Tags": self.tags,
                    "Parameters": [
                        {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()
                    ],
                    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()],
                    "EnableTerminationProtection": self.is_protected,
                }
            ]
        }

    def create_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a change set; parameters that are not named have no value any more."""
        self._refuse_if_busy("updated")
        is_new = request["ChangeSetType"] == "CREATE"
        if is_new != (self.status in ("", "REVIEW_IN_PROGRESS")):
            raise RefusedError("ValidationError", f"Stack [{NAME}] already exists or does not exist")
        if self.status.endswith("_FAILED"):
            raise RefusedError("ValidationError", f"Stack:{NAME} is in {self.status} state and can not be updated.")
        watched = request.get("RollbackConfiguration", {})
        triggers = [one["Arn"] for one in watched["RollbackTriggers"]] if "RollbackTriggers" in watched else None
        if len(triggers or ()) > TRIGGERS_MAX:
            raise RefusedError("ValidationError", "at most 5 rollback triggers")
        minutes = watched.get("MonitoringTimeInMinutes")
        if minutes is not None and not 0 <= minutes <= MONITORING_MINUTES_MAX:
            raise RefusedError("ValidationError", "monitoring time is 0 to 180 minutes")
        change_set = ChangeSet(
            change_set_id=f"arn:change-set/{next(self._ids)}",
            parameters=self._wanted_parameters(request["Parameters"]),
            template=self.template if request.get("UsePreviousTemplate") else request["TemplateURL"],
            triggers=triggers,
            monitoring_minutes=minutes,
            role=request.get("RoleARN"),
            tags=request.get("Tags", self.tags),
            is_new=is_new,
        )
        self.change_sets[change_set.change_set_id] = change_set
        self.status = self.status or "REVIEW_IN_PROGRESS"
        return {"Id": change_set.change_set_id}

    def describe_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the change of the stream, if any; a set without changes has failed."""
        change_set = self._change_set(request)
        if not change_set.is_new and self._is_as_before(change_set):
            return {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes."}
        change = {"Action": "Modify", "LogicalResourceId": "Stream", "ResourceType": "AWS::Kinesis::Stream"}
        changes = [{"Type": "Resource", "ResourceChange": change | {"Replacement": "False"}}]
        return {"Status": "CREATE_COMPLETE", "Changes": changes}

    def delete_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        """Forget a change set, whether or not there is one."""
        self.change_sets.pop(request["ChangeSetName"], None)
        return {}

    def execute_change_set(self, request: dict[str, Any]) -> dict[str, Any]:
        """Begin to carry it out; all change sets of the stack are gone then."""
        self._refuse_if_busy("updated")
        change_set = self._change_set(request)
        self.change_sets.clear()
        self._pending = self._deploying(change_set)
        self.status = "CREATE_IN_PROGRESS" if change_set.is_new else "UPDATE_IN_PROGRESS"
        self._event(NAME, self.status, "User Initiated")
        return {}

    def delete_stack(self, _: dict[str, Any]) -> dict[str, Any]:
        """Begin to delete the stack."""
        self._refuse_if_busy("deleted")
        if self.is_protected:
            raise RefusedError("ValidationError", f"Stack [{NAME}] cannot be deleted: TerminationProtection is enabled")
        self._pending = self._deleting()
        self.status = "DELETE_IN_PROGRESS"
        self._event(NAME, self.status, "User Initiated")
        return {}

    def update_termination_protection(self, request: dict[str, Any]) -> dict[str, Any]:
        """Protect the stack, or no longer."""
        self.is_protected = request["EnableTerminationProtection"]
        return {"StackId": f"arn:{NAME}"}

    def describe_stack_events(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a page of events, newest first."""
        if "NextToken" not in request:
            self._go_on()
        if not self.events:
            raise RefusedError("ValidationError", f"Stack [{NAME}] does not exist")
        start = int(request.get("NextToken", "0"))
        newest_first = self.events[::-1]
        answer: dict[str, Any] = {"StackEvents": newest_first[start : start + EVENTS_PER_PAGE]}
        if start + EVENTS_PER_PAGE < len(newest_first):
            answer["NextToken"] = str(start + EVENTS_PER_PAGE)
        return answer

    # ---- the others -------------------------------------------------------------------------------------------------

    def describe_stream_summary(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return the stream's number of open shards."""
        summary = {
            "StreamName": NAME,
            "StreamARN": STREAM_ARN,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": self.stream.mode},
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": self._now(),
            "EnhancedMonitoring": [],
            "OpenShardCount": self.stream.shards,
        }
        return {"StreamDescriptionSummary": summary}

    def update_shard_count(self, request: dict[str, Any]) -> dict[str, Any]:
        """Change the number of shards, or refuse."""
        self.stream.update_shard_count(request["TargetShardCount"], self.now_hours)
        return {}

    def describe_alarms(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return those of the named alarms that exist, with their state."""
        found = [name for name in request["AlarmNames"] if name in self.alarms]
        alarms = [{"AlarmName": name, "AlarmArn": alarm_arn(name), "StateValue": self.alarms[name]} for name in found]
        return {"MetricAlarms": alarms}

    def get_caller_identity(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return the account."""
        return {"Account": ACCOUNT}

    def head_bucket(self, _: dict[str, Any]) -> dict[str, Any]:
        """The code bucket exists."""
        return {}

    def head_object(self, _: dict[str, Any]) -> dict[str, Any]:
        """The code was uploaded before."""
        return {}

    def put_object(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the template, or a contract."""
        body = request["Body"]
        self.objects[request["Key"]] = body if isinstance(body, bytes) else body.read()
        return {"ETag": '"1"'}

    # ---- how an operation goes on -----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let the operation in progress go on to its end."""
        while self._pending is not None:
            self._go_on()

    def _go_on(self) -> None:
        if self._pending is not None and next(self._pending, "end") == "end":
            self._pending = None

    def _deploying(self, change_set: ChangeSet) -> Iterator[None]:
        before = (self.parameters, self.template, self.stream.shards, self.stream.mode)
        if change_set.triggers is not None:
            self.triggers = change_set.triggers
        if change_set.monitoring_minutes is not None:
            self.monitoring_minutes = change_set.monitoring_minutes
        self.role = change_set.role or self.role
        verb = "CREATE" if change_set.is_new else "UPDATE"
        yield
        try:
            self._refuse_missing_or_ringing_triggers()
            self._update_stream(change_set)
            yield
            for resource in sorted(self.failing):
                self._event(resource, "UPDATE_FAILED", "it was told to fail", "AWS::Lambda::Function")
                raise RefusedError("", "")
            self.alarms |= dict.fromkeys(self.rings, "ALARM")
            self._refuse_missing_or_ringing_triggers()
        except RefusedError as refused:
            self.status = "ROLLBACK_IN_PROGRESS" if change_set.is_new else "UPDATE_ROLLBACK_IN_PROGRESS"
            self._event(NAME, self.status, refused.message)
            yield
            if self.stream.shards != before[2]:
                self.stream.update_shard_count(before[2], self.now_hours)
            self.stream.mode = before[3]
            self.status = self.status.replace("_IN_PROGRESS", "_COMPLETE")
            self._event(NAME, self.status)
            return
        self.parameters, self.template, self.tags = change_set.parameters, change_set.template, change_set.tags
        self.status = f"{verb}_COMPLETE"
        self._event(NAME, self.status)

    def _update_stream(self, change_set: ChangeSet) -> None:
        """Do what the resource's handler does: one call, if the property differs from that of the template before."""
        wanted, had = change_set.parameters, self.parameters
        self.stream.mode = wanted.get("StreamMode", "PROVISIONED")
        if self.stream.mode != "PROVISIONED" or change_set.is_new:
            self.stream.shards = int(wanted.get("ShardCount", "2")) if change_set.is_new else self.stream.shards
            return
        was_provisioned = had.get("StreamMode", "PROVISIONED") == "PROVISIONED"
        if was_provisioned and wanted.get("ShardCount") == had.get("ShardCount"):
            is_reset = self.resets_shards and wanted.get("StreamRetentionHours") != had.get("StreamRetentionHours")
            if not is_reset or int(wanted["ShardCount"]) == self.stream.shards:
                return
        target = int(wanted.get("ShardCount", "2"))
        if not was_provisioned and target == self.stream.shards:
            return
        try:
            self.stream.update_shard_count(target, self.now_hours)
        except RefusedError as refused:
            self._event("Stream", "UPDATE_FAILED", str(refused), "AWS::Kinesis::Stream")
            raise RefusedError("", "The following resource(s) failed to update: [Stream].") from refused
        self._event("Stream", "UPDATE_COMPLETE", "", "AWS::Kinesis::Stream")

    def _refuse_missing_or_ringing_triggers(self) -> None:
        states = {alarm_arn(name): state for name, state in self.alarms.items()}
        for trigger in self.triggers:
            if trigger not in states:
                raise RefusedError("", f"rollback trigger {trigger} does not exist")
            if states[trigger] == "ALARM":
                raise RefusedError("", f"rollback trigger {trigger} is in the state ALARM")

    def _deleting(self) -> Iterator[None]:
        yield
        for resource in sorted(self.failing):
            self._event(resource, "DELETE_FAILED", "it was told to fail", "AWS::S3::Bucket")
            self.status = "DELETE_FAILED"
            self._event(NAME, self.status)
            return
        self._event(NAME, "DELETE_COMPLETE")
        self.status = ""

    def _event(self, resource: str, status: str, reason: str = "", kind: str = "AWS::CloudFormation::Stack") -> None:
        self.events.append(
            {
                "StackId": f"arn:{NAME}",
                "StackName": NAME,
                "EventId": str(next(self._ids)),
                "LogicalResourceId": resource,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
                "Timestamp": self._now(),
            }
        )

    def _refuse_if_busy(self, verb: str) -> None:
        if self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS":
            raise RefusedError("ValidationError", f"Stack:arn:{NAME} is in {self.status} state and can not be {verb}.")

    def _wanted_parameters(self, entries: list[dict[str, Any]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in entries:
            name = entry["ParameterKey"]
            if entry.get("UsePreviousValue"):
                if name not in self.parameters:
                    raise RefusedError(
                        "ValidationError", f"Invalid input for parameter key {name}. Cannot use previous value"
                    )
                found[name] = self.parameters[name]
            else:
                found[name] = entry["ParameterValue"]
        return found

    def _is_as_before(self, change_set: ChangeSet) -> bool:
        return (change_set.parameters, change_set.template) == (self.parameters, self.template)

    def _change_set(self, request: dict[str, Any]) -> ChangeSet:
        found = self.change_sets.get(request["ChangeSetName"])
        if found is None:
            raise RefusedError("ChangeSetNotFound", f"ChangeSet [{request['ChangeSetName']}] does not exist")
        return found

    def _now(self) -> datetime.datetime:
        return datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=self.now_hours)


def alarm_arn(name: str) -> str:
    """The ARN of an alarm of this account."""
    return f"arn:aws:cloudwatch:{PLACE.region}:{ACCOUNT}:alarm:{name}"


@contextmanager
def answering(aws: SimulatedAws, place: Place = PLACE) -> Iterator[SimulatedAws]:
    """Let the simulation answer every request to `place`, without waiting between requests."""
    with ExitStack() as undo:
        patch = undo.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(waiting, "AWS_PAUSE_SECONDS", 0.0)
        clients = [*(client(service, place) for service in SERVICES), client("kinesis", place, repeats=False)]
        for hooks in (one.meta.events for one in clients):
            for event, handler in (("before-parameter-build", _keep_request), ("before-call", _answer_from(aws))):
                hooks.register_first(f"{event}.*.*", handler, unique_id=f"simulated-{event}")
                undo.callback(hooks.unregister, f"{event}.*.*", handler, unique_id=f"simulated-{event}")
        yield aws


def _keep_request(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["simulated_request"] = params


def _answer_from(aws: SimulatedAws) -> Callable[..., tuple[AWSResponse, dict[str, Any]]]:
    def answer(model: Any, context: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        operation = _snake_case(model.name)
        aws.calls.append(operation)
        aws.on_call(operation)
        try:
            if operation in aws.refusals:
                raise aws.refusals.pop(operation)
            body = getattr(aws, operation)(context["simulated_request"])
            validate_parameters(body, model.output_shape) if model.output_shape else None
        except RefusedError as refused:
            error = {"Code": refused.code, "Message": refused.message}
            return _response(400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return _response(200), body | {"ResponseMetadata": {"HTTPStatusCode": 200}}

    return answer


def _response(status: int) -> AWSResponse:
    return AWSResponse("", status, {}, None)


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
