"""A stage with Engine=flink: what is deployed with it, and the start of its application, up to the API boundary."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra import flink_application, flink_code, template
from infra.package import Package
from infra.plan import DeploymentOptions, DeploymentPlan, parse_parameters, plan_deployment
from infra.release import digest
from tests.unit.stubbed_aws import PLACE, stubbed
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place
from windrow.errors import UsageError, WindrowError

WITH_FLINK = DeploymentOptions(parameters={"Engine": "flink"})
NAME = "windrow-prod"
JAR = b"a jar"
APPLICATION: dict[str, Any] = template.load()["Resources"]["FlinkApplication"]["Properties"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where the jar is made already; whatever else would be made is a mistake."""

    def build(cache: Path) -> Path:
        cache.mkdir(exist_ok=True)
        (cache / "jar").write_bytes(JAR)
        return cache / "jar"

    monkeypatch.setattr(flink_code, "build", build)
    return tmp_path


def _stack(**parameters: str) -> dict[str, Any]:
    named = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    entry = {"StackName": NAME, "CreationTime": "2026-11-20T00:00:00Z", "StackStatus": "UPDATE_COMPLETE"}
    return {"Stacks": [entry | {"Parameters": named}]}


@pytest.mark.parametrize(
    ("chosen", "had", "has_code"),
    [
        ({"Engine": "flink"}, {}, True),
        ({}, {"Engine": "flink"}, True),  # a new release of windrow brings it new code
        ({"Engine": "none"}, {"Engine": "flink"}, False),
        ({}, {"Engine": "none"}, False),
        ({}, {}, False),  # of a version before
    ],
)
def test_the_code_is_made_for_who_has_the_application(
    chosen: dict[str, str], had: dict[str, str], has_code: bool, home: Path
) -> None:
    """What is chosen counts, and otherwise what the stage has."""
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response("describe_stacks", _stack(**had), {"StackName": NAME})
        found = flink_application.code_for(PLACE, "prod", DeploymentOptions(parameters=chosen), home=home)
    assert (found is not None) == has_code
    assert found is None or (found.body, found.is_complete) == (JAR, True)


def test_a_dry_run_asks_nothing(home: Path) -> None:
    """It goes by what is chosen alone."""
    with stubbed("cloudformation"):
        assert flink_application.code_for(PLACE, "prod", WITH_FLINK, home=home, is_asked=False) is not None
        assert flink_application.code_for(PLACE, "prod", DeploymentOptions(), home=home, is_asked=False) is None


@pytest.mark.slow
def test_the_plan_uploads_the_code_and_names_it() -> None:
    """Under the key that the template is told; without the application the template is told of none."""
    code = Package(function="flink", body=JAR, parts={"Maven": len(JAR)})
    plan = plan_deployment(PLACE, "prod", WITH_FLINK, flink=code)
    assert plan.packages[-1] is code
    assert plan.parameters["FlinkCodeKey"] == code.key
    assert any(line.startswith("upload flink: 5 bytes") for line in plan.lines())
    without = plan_deployment(PLACE, "prod", DeploymentOptions())
    assert "FlinkCodeKey" not in without.parameters
    assert len(without.packages) == len(plan.packages) - 1
    with pytest.raises(UsageError, match="FlinkCodeKey"):
        parse_parameters(("FlinkCodeKey=mine.jar",))


@pytest.mark.parametrize("name", [EMBEDDED, LOCALSTACK])
def test_a_stand_in_is_refused_before_anything_is_built(name: str, home: Path) -> None:
    """It would take the template and run nothing."""
    place = Place(name, "http://127.0.0.1:1", "us-east-1")
    assert flink_application.code_for(place, "prod", WITH_FLINK, home=home) is None
    with pytest.raises(UsageError, match="needs AWS"):
        plan_deployment(place, "prod", WITH_FLINK)


def test_functions_need_no_new_version_for_it() -> None:
    """Neither the application nor its code reaches them."""
    text = template.text()
    assert digest(text, {"Engine": "flink", "FlinkCodeKey": "x"}) == digest(text, {})


def _plan(**parameters: str) -> DeploymentPlan:
    return replace(plan_deployment(PLACE, "prod", DeploymentOptions()), parameters=parameters)


@pytest.mark.parametrize(("status", "is_started"), [("READY", True), ("RUNNING", False), ("STARTING", False)])
def test_an_application_that_stands_still_is_started(status: str, is_started: bool) -> None:
    """A running one is left alone, and so is one that is being changed."""
    detail = {
        "ApplicationARN": "arn:x",
        "ApplicationName": NAME,
        "ApplicationStatus": status,
        "ApplicationVersionId": 1,
    }
    answer = {"ApplicationDetail": detail | {"RuntimeEnvironment": "FLINK-2_3"}}
    with stubbed("kinesisanalyticsv2") as (service,):
        service.add_response("describe_application", answer, {"ApplicationName": NAME})
        if is_started:
            service.add_response("start_application", {}, {"ApplicationName": NAME})
        assert flink_application.start(_plan(FlinkCodeKey="x")) == is_started


def test_who_starts_it_at_the_same_time_is_no_error() -> None:
    """But a missing right is, and is named."""
    detail = {"ApplicationARN": "a:x", "ApplicationName": NAME, "ApplicationStatus": "READY", "ApplicationVersionId": 1}
    answer = {"ApplicationDetail": detail | {"RuntimeEnvironment": "FLINK-2_3"}}
    with stubbed("kinesisanalyticsv2") as (service,):
        service.add_response("describe_application", answer)
        service.add_client_error("start_application", "ResourceInUseException")
        assert not flink_application.start(_plan(FlinkCodeKey="x"))
        service.add_response("describe_application", answer)
        service.add_client_error("start_application", "AccessDeniedException", "not authorized")
        with pytest.raises(WindrowError):
            flink_application.start(_plan(FlinkCodeKey="x"))


def test_nothing_is_asked_of_a_stage_without_it() -> None:
    """Not even whether it is there."""
    with stubbed("kinesisanalyticsv2"):
        assert not flink_application.start(_plan())


def test_the_template_gives_the_application_what_its_sql_asks_for() -> None:
    """The same names, the version that the jar is made for, and the prefix that its table reads."""
    sql = (flink_code.SOURCES / "src/main/resources/aggregates.sql").read_text()
    asked = {part.partition("}")[0] for part in sql.split("${")[1:]} - {"..."}
    (group,) = APPLICATION["ApplicationConfiguration"]["EnvironmentProperties"]["PropertyGroups"]
    assert group["PropertyMap"].keys() == asked
    assert group["PropertyGroupId"] == "windrow"
    assert "'format' = 'kpl'" in group["PropertyMap"]["source"]["Fn::Sub"]
    assert group["PropertyMap"]["results"] == {"Fn::Sub": "s3://${ResultsBucket}/aggregates_flink/"}
    version = (flink_code.SOURCES / "pom.xml").read_text().partition("<flink.version>")[2].partition("</")[0]
    assert APPLICATION["RuntimeEnvironment"] == "FLINK-" + "_".join(version.split(".")[:2])
