"""The edges of Scaling=auto: what is asked of CloudWatch and Kinesis, the function, and what plan and drift say."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import ANY

from infra import scaling_handler
from infra.drift import Difference, _is_scaled
from infra.package import Package
from infra.plan import DeploymentOptions, plan_deployment
from infra.scaling import PERIOD_MS, PeriodLoad
from infra.scaling_bill import Passed
from infra.scaling_metrics import read_loads, read_passed
from tests.unit.simulated_aws import Stream
from tests.unit.stubbed_aws import PLACE, stubbed
from tests.unit.test_scaling import LIMITS, Scene, load
from windrow.aws.clients import EMBEDDED, Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import Refused, Unanswered
from windrow.errors import WindrowError
from windrow.period import DAY_MS, HOUR_MS
from windrow.settings import ALARM_TOPIC_ARN, SHARDS_MAX, SHARDS_MIN, ScalingSettings

START_MS = 1_763_596_800_000
CALL = {"StreamName": "readings", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}


class Metrics:
    """CloudWatch, which answers in two pages and in any order; it knows these sums by metric and start."""

    def __init__(self, sums: dict[tuple[str, int], float]) -> None:
        """Answer with these."""
        self.sums = sums
        self.requests: list[dict[str, Any]] = []

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        """GetMetricData."""
        self.requests.append(request)
        names = {one["Id"]: one["MetricStat"]["Metric"]["MetricName"] for one in request["MetricDataQueries"]}
        is_last = "NextToken" in request
        found = [
            {"Id": query, "Timestamps": [datetime.fromtimestamp(at / 1_000, UTC)], "Values": [value]}
            for (metric, at), value in self.sums.items()
            for query, name in names.items()
            if name == metric and (at > START_MS) == is_last
        ]
        return {"MetricDataResults": found} if is_last else {"MetricDataResults": found, "NextToken": "more"}


def test_the_load_is_the_last_half_hour_of_whole_periods() -> None:
    """Reads alone mean that nothing came; a period without both is left out."""
    first, second, third = (START_MS + at * PERIOD_MS for at in range(3))
    metrics = Metrics(
        {
            ("IncomingBytes", first): 5_000.0,
            ("IncomingRecords", first): 50.0,
            ("WriteProvisionedThroughputExceeded", first): 7.0,
            ("GetRecords.Success", second): 300.0,
            ("IncomingRecords", third): 1.0,
        }
    )
    assert read_loads(metrics, "readings", now_ms=START_MS + 6 * PERIOD_MS + 180_000) == [
        PeriodLoad(start_ms=first, byte_count=5_000, records=50, refused=7),
        PeriodLoad(start_ms=second, byte_count=0, records=0),
        PeriodLoad(start_ms=third, byte_count=0, records=1),
    ]
    asked = metrics.requests[0]
    assert asked["StartTime"].timestamp() * 1_000 == START_MS
    assert asked["EndTime"].timestamp() * 1_000 == START_MS + 6 * PERIOD_MS
    assert {one["MetricStat"]["Stat"] for one in asked["MetricDataQueries"]} == {"Sum"}


def test_what_is_asked_of_cloudwatch_is_a_request_of_its_model() -> None:
    """Checked by botocore."""
    with stubbed("cloudwatch") as (stub,):
        stub.add_response("get_metric_data", {"MetricDataResults": []})
        assert read_loads(client("cloudwatch", PLACE), "readings", now_ms=START_MS) == []


def asked(stream: KinesisStream) -> Refused | None:
    """Ask for four shards."""
    return stream.update_shard_count(4)


def test_kinesis_begins_refuses_or_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may have begun is told from what has not: a refusal by a limit, and an error of the server's own."""
    kinesis = client("kinesis", PLACE)
    stream = KinesisStream(kinesis, name="readings", place=PLACE)
    with stubbed("kinesis") as (stub,):
        stub.add_response("update_shard_count", {}, CALL)
        assert asked(stream) is None
        stub.add_client_error("update_shard_count", "LimitExceededException", "ten times", 400, expected_params=CALL)
        assert asked(stream) == Refused("LimitExceededException", "ten times")
        stub.add_client_error("update_shard_count", "InternalFailure", "oops", 500, expected_params=CALL)
        with pytest.raises(Unanswered, match="InternalFailure"):
            asked(stream)

    def times_out(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://kinesis")

    monkeypatch.setattr(kinesis, "update_shard_count", times_out, raising=False)
    with pytest.raises(Unanswered):
        asked(stream)


class Context:
    """What powertools reads of a context."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"


def test_the_function_scales_and_tells(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its event's time decides, and the metric of refusals is written with 0 too."""
    scene = Scene(percent_of_one={START_MS: 90, START_MS + PERIOD_MS: 90}, now_ms=START_MS + 2 * PERIOD_MS + 180_000)

    class Stage:
        """The scene's parts as those of a stage."""

        place, stream, results, stream_name, stream_retention_hours = PLACE, scene, scene.results, scene.name, 24
        name = "prod"

    topic = "arn:aws:sns:eu-central-1:123456789012:windrow-prod-alarms"
    monkeypatch.setattr("infra.scaling_handler.Stage.of_function", lambda _: Stage)
    monkeypatch.setattr(
        "infra.scaling_handler.read_loads", lambda *_, **__: [load(at, 90) for at in scene.percent_of_one]
    )
    passed = Passed(start_ms=START_MS - DAY_MS, end_ms=START_MS, records=1, bytes_in=1, bytes_out=1)
    monkeypatch.setattr("infra.scaling_handler.read_passed", lambda *_, **__: passed)
    monkeypatch.setattr(scaling_handler.metrics, "namespace", "windrow")
    for name, value in {SHARDS_MIN: "1", SHARDS_MAX: "8", ALARM_TOPIC_ARN: topic}.items():
        monkeypatch.setenv(name, value)
    with stubbed("sns") as (sns,):
        _, text = (
            "",
            "windrow-prod: from 1 to 2 shards.\nWhy: 90 % full.\n"
            "Nothing is to be done: readings go on being taken and counted meanwhile.\n",
        )
        message = {"TopicArn": topic, "Subject": "windrow-prod: from 1 to 2 shards", "Message": text}
        sns.add_response("publish", {"MessageId": "1"}, message)
        event = {"time": "2025-11-20T00:13:00Z"}
        answer = scaling_handler.handle(event, Context())  # type: ignore[arg-type]
        assert (answer["shards_to"], answer["is_refused"]) == (2, False)
        assert scaling_handler.handle(event, Context())["shards_to"] is None  # type: ignore[arg-type]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "ScalingRefused" in line]
    assert [line["ScalingRefused"] for line in lines] == [[0.0], [0.0]]
    assert scene.stream.counts == [2]
    assert scene.results.get("scaling/dt=2025-11-19/bill.json") is not None  # one shard: cheaper than on demand
    with pytest.raises(WindrowError, match="no RFC 3339 `time`"):
        scaling_handler.handle({}, Context())  # type: ignore[arg-type]


def test_a_dear_stream_is_told_of_in_the_first_hour_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen shards that had next to nothing; in the second hour nobody even looks."""
    scene = Scene(stream=Stream(16), limits=replace(LIMITS, shards_min=16), now_ms=START_MS)

    class Stage:
        """The scene's parts as those of a stage."""

        place, stream, results, stream_name, stream_retention_hours = PLACE, scene, scene.results, scene.name, 24
        name = "prod"

    asked: list[tuple[int, int]] = []

    def read_passed(*_: Any, start_ms: int, end_ms: int) -> Passed:
        asked.append((start_ms, end_ms))
        return Passed(start_ms=start_ms, end_ms=end_ms, records=1, bytes_in=1, bytes_out=1)

    topic = "arn:aws:sns:eu-central-1:123456789012:windrow-prod-alarms"
    monkeypatch.setattr("infra.scaling_handler.Stage.of_function", lambda _: Stage)
    monkeypatch.setattr("infra.scaling_handler.read_loads", lambda *_, **__: [])
    monkeypatch.setattr("infra.scaling_handler.read_passed", read_passed)
    monkeypatch.setattr(scaling_handler.metrics, "namespace", "windrow")
    for name, value in {SHARDS_MIN: "16", SHARDS_MAX: "16", ALARM_TOPIC_ARN: topic}.items():
        monkeypatch.setenv(name, value)
    with stubbed("sns") as (sns,):
        subject = "windrow-prod: on demand it would cost less"
        sns.add_response("publish", {"MessageId": "1"}, {"TopicArn": topic, "Subject": subject, "Message": ANY})
        for minute in ("01:03", "00:03", "00:08"):
            scaling_handler.handle({"time": f"2025-11-20T{minute}:00Z"}, Context())  # type: ignore[arg-type]
    assert asked == [(START_MS - 7 * DAY_MS, START_MS)]


def test_a_price_that_cannot_be_compared_fails_no_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """CloudWatch refuses at midnight and knows nothing of the day that ended; the last run of the hour compares."""
    scene = Scene(now_ms=START_MS)

    class Stage:
        """The scene's parts as those of a stage."""

        place, stream, results, stream_name, stream_retention_hours = PLACE, scene, scene.results, scene.name, 24
        name = "prod"

    monkeypatch.setattr("infra.scaling_handler.Stage.of_function", lambda _: Stage)
    monkeypatch.setattr("infra.scaling_handler.read_loads", lambda *_, **__: [])
    monkeypatch.setattr(scaling_handler.metrics, "namespace", "windrow")
    for name, value in {SHARDS_MIN: "1", SHARDS_MAX: "16", ALARM_TOPIC_ARN: ""}.items():
        monkeypatch.setenv(name, value)

    def run(at: str) -> None:
        assert scaling_handler.handle({"time": at}, Context())["is_refused"] is False  # type: ignore[arg-type]

    def answer(at_ms: int) -> dict[str, Any]:
        value = {"Id": "m1", "Timestamps": [datetime.fromtimestamp(at_ms / 1_000, UTC)], "Values": [1.0]}
        return {"MetricDataResults": [value]}

    key = "scaling/dt=2025-11-19/bill.json"
    with stubbed("cloudwatch") as (stub,):
        run("2025-11-19T23:59:00Z")  # the day is not over: nothing is asked
        stub.add_client_error("get_metric_data", "ThrottlingException", "Rate exceeded", 400)
        run("2025-11-20T00:00:00Z")
        assert scene.results.get(key) is None
        stub.add_response("get_metric_data", answer(START_MS))  # of the hour that just began
        run("2025-11-20T00:03:00Z")
        assert scene.results.get(key) is None
        stub.add_response("get_metric_data", answer(START_MS - HOUR_MS))
        run("2025-11-20T00:59:00Z")
        run("2025-11-20T01:00:00Z")
        stub.assert_no_pending_responses()
    stored = scene.results.get(key)
    assert stored is not None
    assert json.loads(stored.body)["hours"] == 1.0
    warnings = [str(vars(one)["error"]) for one in caplog.records if one.levelname == "WARNING"]
    assert ["ThrottlingException" in error for error in warnings] == [True]


def test_what_passed_is_counted_from_the_first_hour_that_is_known() -> None:
    """In hours, over two pages, with the bytes of all readers; of nothing known there is nothing to say."""
    first, second = START_MS, START_MS + HOUR_MS
    sums = {
        ("IncomingBytes", first): 5_000.0,
        ("IncomingRecords", first): 50.0,
        ("GetRecords.Bytes", second): 15_000.0,
        ("IncomingRecords", second): 1.0,
    }
    metrics = Metrics(sums)
    found = read_passed(metrics, "readings", start_ms=START_MS - DAY_MS, end_ms=START_MS + DAY_MS)
    assert found == Passed(start_ms=first, end_ms=START_MS + DAY_MS, records=51, bytes_in=5_000, bytes_out=15_000)
    assert {one["MetricStat"]["Period"] for one in metrics.requests[0]["MetricDataQueries"]} == {3600}
    assert read_passed(Metrics({}), "readings", start_ms=START_MS, end_ms=START_MS + DAY_MS) is None
    outside = Metrics({("IncomingRecords", START_MS): 1.0, ("IncomingBytes", START_MS - DAY_MS - 1): 1.0})
    assert read_passed(outside, "readings", start_ms=START_MS - DAY_MS, end_ms=START_MS) is None, "its end is exclusive"


def test_a_wrong_setting_is_named() -> None:
    """It is the template that sets it."""
    with pytest.raises(WindrowError, match="WINDROW_SHARDS_MAX must be a whole number of shards, 1 or more, not '0'"):
        ScalingSettings.from_environment({SHARDS_MIN: "1", SHARDS_MAX: "0"})


def test_a_stand_in_is_told_to_have_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who asks for scaling is told."""
    monkeypatch.setattr("infra.package.build", lambda one, **_: Package(function=one.name, body=b"", parts={}))
    place = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")

    def left_out(**parameters: str) -> bool:
        plan = plan_deployment(place, "dev", DeploymentOptions(parameters=parameters))
        return any("no metrics of Kinesis" in one for one in plan.left_out)

    assert left_out(Scaling="auto")
    assert not left_out(Scaling="none")
    assert not left_out()


def test_the_shards_of_a_scaled_stream_are_no_drift() -> None:
    """Those of another stage are, and so is everything else of the stream."""
    shards = Difference(resource="Stream", resource_type="AWS::Kinesis::Stream", path="/ShardCount")
    retention = Difference(resource="Stream", resource_type="AWS::Kinesis::Stream", path="/RetentionPeriodHours")
    stack = {"Parameters": [{"ParameterKey": "Scaling", "ParameterValue": "auto"}]}
    assert _is_scaled(shards, stack)
    assert not _is_scaled(retention, stack)
    assert not _is_scaled(shards, {"Parameters": [{"ParameterKey": "Scaling", "ParameterValue": "none"}]})
