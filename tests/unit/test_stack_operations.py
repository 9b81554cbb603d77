"""What happens to a stage's stack, against a CloudFormation that refuses what AWS refuses."""

from pathlib import Path

import pytest

from infra import changes, destroy, stack, waiting
from infra.plan import DeploymentPlan
from infra.stack_events import EventReader, StackEvent, follow
from infra.targets import identity
from tests.unit.simulated_aws import ACCOUNT, EVENTS_PER_PAGE, NAME, SimulatedAws, answering
from tests.unit.stubbed_aws import PLACE
from tests.unit.test_deploy_aws import plan
from windrow.aws.clients import AWS, EMBEDDED, Place, client
from windrow.deployment import find_stage, status_hint
from windrow.errors import WindrowError


def ignore(_: StackEvent) -> None:
    """Show no progress."""


def deployed(**more) -> SimulatedAws:
    """An account with a stage that was deployed before."""
    aws = SimulatedAws(status="CREATE_COMPLETE", parameters={"Stage": "prod", "ShardCount": "2"}, **more)
    aws._event(NAME, "CREATE_IN_PROGRESS", "User Initiated")
    aws._event(NAME, "CREATE_COMPLETE")
    return aws


def plan_with(**parameters: str) -> DeploymentPlan:
    """A deployment that sets these parameters."""
    base = plan()
    base.parameters.update(parameters)
    return base


def begin(aws: SimulatedAws, **parameters: str) -> None:
    """Have somebody begin a deployment, and not wait for it."""
    prepared = stack.prepare(plan_with(**parameters), ignore)
    assert prepared.change_set is not None
    client("cloudformation", PLACE).execute_change_set(ChangeSetName=prepared.change_set.change_set_id, StackName=NAME)


@pytest.mark.slow
def test_a_long_history_is_not_read_again_and_again() -> None:
    """One page a look, however many events lie behind the last one seen."""
    aws = deployed()
    for _ in range(10 * EVENTS_PER_PAGE):
        aws._event("Stream", "UPDATE_COMPLETE", kind="AWS::Kinesis::Stream")
    seen: list[str] = []
    with answering(aws):
        stack.apply(plan_with(LogLevel="DEBUG"), lambda event: seen.append(event.status))
    assert seen == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    # Once for the mark, then once for each time that something could have happened.
    assert aws.calls.count("describe_stack_events") <= 5


def test_events_of_several_pages_are_given_once_and_in_order() -> None:
    """More may happen between two looks than a page holds."""
    aws = deployed()
    with answering(aws):
        reader = EventReader.from_now(PLACE, NAME)
        for number in range(EVENTS_PER_PAGE * 2 + 50):
            aws._event(str(number), "UPDATE_COMPLETE", kind="AWS::Kinesis::Stream")
        assert [event.resource for event in reader.new()] == [str(n) for n in range(EVENTS_PER_PAGE * 2 + 50)]
        aws._event("last", "UPDATE_COMPLETE", kind="AWS::Kinesis::Stream")
        assert [event.resource for event in reader.new()] == ["last"]
        assert reader.new() == []


def test_an_operation_in_progress_is_followed_from_its_beginning() -> None:
    """What happened before the command was there is shown too, and nothing of earlier operations."""
    seen: list[str] = []
    with answering(deployed()) as aws:
        begin(aws, ShardCount="4")
        aws.describe_stacks({})
        end = stack.follow_last_operation(PLACE, "prod", lambda event: seen.append(f"{event.resource} {event.status}"))
    assert end.status == "UPDATE_COMPLETE"
    assert seen == [f"{NAME} UPDATE_IN_PROGRESS", "Stream UPDATE_COMPLETE", f"{NAME} UPDATE_COMPLETE"]


def test_an_operation_that_has_ended_is_told() -> None:
    """Somebody who comes back later hears how it ended, and why."""
    with answering(deployed()) as aws:
        begin(aws, LogLevel="DEBUG")
        aws.finish()
        assert stack.follow_last_operation(PLACE, "prod", ignore).status == "UPDATE_COMPLETE"
        aws.failing = {"ConsumerFunction"}
        begin(aws, LogLevel="INFO")
        aws.finish()
        with pytest.raises(WindrowError) as caught:
            stack.follow_last_operation(PLACE, "prod", ignore)
    assert caught.value.message == "ConsumerFunction (AWS::Lambda::Function) failed: it was told to fail"
    assert caught.value.hint == f"stack {NAME} is UPDATE_ROLLBACK_COMPLETE: everything is as before the change"


def test_a_deletion_in_progress_is_followed_to_its_end() -> None:
    """A deleted stack cannot be asked for by name, only by id."""
    with answering(deployed()) as aws:
        client("cloudformation", PLACE).delete_stack(StackName=NAME)
        assert stack.follow_last_operation(PLACE, "prod", ignore).status == "DELETE_COMPLETE"
        assert aws.status == ""
        with pytest.raises(WindrowError, match="no stage 'prod' is deployed"):
            stack.follow_last_operation(PLACE, "prod", ignore)


def test_a_change_set_that_nobody_executed_is_nothing_to_follow() -> None:
    """Without this the command would wait for an end that never comes."""
    with answering(SimulatedAws()):
        stack.prepare(plan(), ignore)
        with pytest.raises(WindrowError, match="nothing is in progress on stage 'prod'"):
            stack.follow_last_operation(PLACE, "prod", ignore)


def test_a_second_deploy_is_told_of_the_first() -> None:
    """Whether the first is under way already, or begins while the second prepares."""
    with answering(deployed()) as aws:
        begin(aws, LogLevel="DEBUG")
        with pytest.raises(WindrowError, match=r"already being changed \(UPDATE_IN_PROGRESS\)") as caught:
            stack.prepare(plan(), ignore)
        assert caught.value.hint == "follow it with: windrow deploy --follow --stage prod"


@pytest.mark.parametrize("moment", ["create_change_set", "execute_change_set"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_deploy_that_is_overtaken_says_so(moment: str, *, is_done: bool) -> None:
    """Executing a change set removes all others of the stack, and until it is done no other can be made."""
    with answering(deployed()) as aws:

        def overtake(operation: str) -> None:
            if operation == moment:
                aws.on_call = ignore_call
                begin(aws, LogLevel="ERROR")
                if is_done:
                    aws.finish()

        aws.on_call = overtake
        if is_done and moment == "create_change_set":
            assert stack.apply(plan_with(LogLevel="DEBUG"), ignore).is_changed  # nothing was overtaken
            return
        with pytest.raises(WindrowError, match=f"somebody else began to change stack {NAME} meanwhile") as caught:
            stack.apply(plan_with(LogLevel="DEBUG"), ignore)
    assert "windrow deploy --follow --stage prod; then deploy again" in caught.value.hint


def ignore_call(_: str) -> None:
    """Do nothing when a request comes."""


def test_giving_up_a_first_deployment_leaves_that_of_another_alone() -> None:
    """Two began to create the stage; the one that is declined must not delete the stack that the other is filling."""
    with answering(SimulatedAws()) as aws:
        declined = stack.prepare(plan(), ignore)
        begin(aws)
        stack.discard(declined)
        aws.finish()
        assert aws.status == "CREATE_COMPLETE"
        assert "delete_stack" not in aws.calls


def test_giving_up_a_first_deployment_leaves_nothing() -> None:
    """The empty stack that held the change set goes too."""
    with answering(SimulatedAws()) as aws:
        stack.discard(stack.prepare(plan(), ignore))
        aws.finish()
        assert aws.status == ""
        changes.discard(PLACE, NAME, "arn:change-set/1", is_new=True)  # somebody else did it before
        assert aws.calls.count("delete_stack") == 1


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"])
def test_a_stack_that_is_stuck_is_not_deployed_to(status: str) -> None:
    """CloudFormation would refuse after the code was uploaded, and would not say what helps."""
    with answering(deployed()) as aws:
        aws.status = status
        with pytest.raises(WindrowError, match=f"stack {NAME} is {status}") as caught:
            stack.prepare(plan(), ignore)
        assert "aws cloudformation " in caught.value.hint
        assert f"--stack-name {NAME}" in caught.value.hint
        with pytest.raises(WindrowError, match="is not usable") as caught:
            find_stage(PLACE, "prod")
        assert caught.value.hint == status_hint("prod", status)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("REVIEW_IN_PROGRESS", "never carried out; run: windrow deploy --stage prod"),
        ("CREATE_FAILED", "begin again: windrow deploy --stage prod"),
        ("ROLLBACK_COMPLETE", "begin again: windrow deploy --stage prod"),
        ("ROLLBACK_FAILED", "run: windrow deploy --stage prod"),
        ("DELETE_FAILED", "run: windrow destroy --stage prod"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name windrow-prod"),
        ("UPDATE_FAILED", "rollback-stack --stack-name windrow-prod"),
        ("CREATE_IN_PROGRESS", "windrow deploy --follow --stage prod"),
        ("DELETE_IN_PROGRESS", "windrow deploy --follow --stage prod"),
    ],
)
def test_every_state_that_is_not_usable_has_its_hint(status: str, words: str) -> None:
    """What to type next."""
    assert words in status_hint("prod", status)


def test_a_deletion_that_fails_names_what_stood_in_its_way() -> None:
    """And says to destroy again, not to deploy."""
    with answering(deployed()) as aws:
        aws.failing = {"LakeBucket"}
        with pytest.raises(WindrowError) as caught:
            stack.delete(PLACE, NAME, ignore)
        assert caught.value.message == "LakeBucket (AWS::S3::Bucket) failed: it was told to fail"
        assert "windrow destroy --stage prod" in caught.value.hint


@pytest.mark.slow
def test_what_is_about_to_be_changed_is_named_without_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Account, region, and where the credentials come from."""
    key, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with answering(SimulatedAws()):
        assert identity(PLACE) == f"AWS account {ACCOUNT}, region eu-central-1, credentials of the environment"
    (tmp_path / "credentials").write_text(f"[sandbox]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    of_profile = Place(AWS, None, "eu-west-1", "sandbox")
    with answering(SimulatedAws(), of_profile):
        assert identity(of_profile) == f"AWS account {ACCOUNT}, region eu-west-1, profile sandbox"
    stand_in = Place(EMBEDDED, "http://127.0.0.1:4566", "us-east-1")
    assert identity(stand_in) == "the embedded stack at http://127.0.0.1:4566"


def test_a_stage_that_is_being_changed_is_not_destroyed() -> None:
    """Nor is anything of it looked for; the hint says how to wait."""
    with answering(deployed()) as aws:
        begin(aws, LogLevel="DEBUG")
        with pytest.raises(WindrowError, match="UPDATE_IN_PROGRESS") as caught:
            destroy.plan_destruction(PLACE, "prod", deletes_data=False)
        assert "--follow" in caught.value.hint
        aws.finish()


@pytest.mark.parametrize(("had", "wanted"), [("", "arn:own"), ("arn:own", ""), ("arn:own", "arn:other")])
def test_another_key_is_refused_before_anything_is_changed(had: str, wanted: str) -> None:
    """The functions could not read what is stored; the key that the stage has may be named again."""
    with answering(deployed()) as aws:
        aws.parameters[stack.KEY_PARAMETER] = had
        with pytest.raises(WindrowError, match=f"under {had or 'a key of its own'}") as caught:
            stack.prepare(plan_with(**{stack.KEY_PARAMETER: wanted}), ignore)
        assert "create_change_set" not in aws.calls
        stack.prepare(plan_with(**{stack.KEY_PARAMETER: had}), ignore)
    assert "deploy another --stage" in caught.value.hint


def test_tags_that_a_stack_has_are_kept() -> None:
    """An update without them would take them off every resource of the stage, and off its bill."""
    with answering(deployed()) as aws:
        aws.tags.append({"Key": "cost-centre", "Value": "4711"})
        stack.apply(plan_with(LogLevel="DEBUG"), ignore)
        assert {one["Key"]: one["Value"] for one in aws.tags} == {"windrow-stage": "prod", "cost-centre": "4711"}


def test_the_time_of_watching_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation ends an operation only after it; without it there would be no time left here at all."""
    monkeypatch.setattr(waiting, "OPERATION_SECONDS_MAX", 0.0)
    with answering(deployed()) as aws:
        reader = EventReader.from_now(PLACE, NAME)
        begin(aws, LogLevel="DEBUG")
        with pytest.raises(WindrowError, match="is not done after"):
            follow(PLACE, NAME, reader, ignore)
        assert follow(PLACE, NAME, reader, ignore, watch_minutes=10).status == "UPDATE_COMPLETE"
