"""What a destroyed stage left is taken back by the next one of its name: the same rows, and more readings on top."""

import json
from pathlib import Path

import pytest

from infra import adoption, stack
from infra.plan import DeploymentOptions, plan_deployment
from infra.stage_status import stage_statuses
from tests.emulator.by_command import Windrow, new_stage, rfc3339_minutes_ago, states
from tests.emulator.conftest import ignore
from tests.emulator.test_destroy import OBJECTS, put_up, remains
from windrow.aws.clients import EMBEDDED, Place, client
from windrow.deployment import STAGE_TAG, is_adopted, stack_name
from windrow.errors import WindrowError

SENSORS = 20


def test_a_stage_comes_back_with_its_rows(home: Path) -> None:
    """Destroyed with its data kept; a new one must choose; taken back, old and new readings count in one window."""
    windrow = Windrow(home, EMBEDDED, new_stage())
    first = ("deploy", "--no-schedule", "--set", "BatchingWindowSeconds=0")
    windrow(*first)
    start, middle, end = (rfc3339_minutes_ago(minutes) for minutes in (75, 65, 60))
    fleet = ("simulate", "--sensors", str(SENSORS), "--wait", "--from", start)
    windrow(*fleet, "--to", middle)
    windrow("tick")
    asked = ("query", "fleet", "--from", start, "--to", middle, "--format", "json")
    before = json.loads(windrow(*asked))
    assert [row["sensors"] for row in before] == [SENSORS, SENSORS]

    kept = windrow("destroy", "--keep-data")
    assert kept.count("bucket windrow-") == 3
    assert "of an earlier one are kept" in windrow.run("destroy", "--keep-data", code=1).stderr
    refused = windrow.run(*first, code=1).stderr
    assert "was destroyed and its buckets were kept" in refused
    assert "--adopt takes them back" in refused
    assert windrow(*first, "--adopt", "--dry-run").count("take back") == 4

    # Where a stand-in compares properties it cannot tell that none of these changes replaces a bucket.
    assert f"stage {windrow.stage} is deployed" in windrow(*first, "--adopt", "--yes")
    assert states(windrow) == [("direct", "Enabled")]
    assert json.loads(windrow(*asked)) == before
    assert "nothing to take back" in windrow.run(*first, "--adopt", code=2).stderr
    windrow(*fleet, "--to", end, "--seed", "8")
    windrow("tick")
    after = json.loads(windrow(*asked))
    assert all(now["readings"] > then["readings"] for now, then in zip(after, before, strict=True))
    assert f"stage {windrow.stage} is destroyed" in windrow("destroy", "--delete-data")


@pytest.fixture
def left(place: Place) -> str:
    """A stage that was destroyed and whose buckets and key were kept."""
    stage = new_stage()
    put_up(place, stage)
    stack.delete(place, stack_name(stage), ignore)
    assert remains(place, stage) == (False, 3, 1, 0)
    return stage


def test_taking_back_can_break_off_between_its_two_steps(place: Place, left: str) -> None:
    """A stack that holds only what was kept is known as the stage's, shown, and made whole by the next deployment."""
    plan = plan_deployment(place, left, DeploymentOptions(is_scheduled=False))
    chosen = adoption.choose(place, left, adopts=True)
    assert chosen is not None
    adoption.apply(plan, chosen, ignore)
    existing = stack.describe(place, stack_name(left))
    assert is_adopted(existing)
    assert not existing["Tags"]
    assert [one.stack_status for one in stage_statuses(place) if one.stage == left] == ["IMPORT_COMPLETE"]

    assert adoption.choose(place, left, adopts=True) is None  # nothing more to take back
    stage = stack.apply(plan, ignore).stage
    existing = stack.describe(place, stack_name(left))
    assert {"Key": STAGE_TAG, "Value": left} in existing["Tags"]
    assert not is_adopted(existing)
    assert {stage.lake_bucket, stage.results_bucket} < {bucket.name for bucket in chosen.buckets.values()}
    assert len(client("s3", place).list_objects_v2(Bucket=stage.lake_bucket)["Contents"]) == OBJECTS
    # The tables must reach back to days before this deployment.
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in existing["Parameters"]}
    assert parameters["FirstDay"] == "2026-01-01"


def test_what_was_kept_is_untouched_if_it_cannot_be_taken_back(place: Place, left: str) -> None:
    """A bucket that is gone meanwhile: CloudFormation's reason is said, no stack is left, and the rest can be tried."""
    plan = plan_deployment(place, left, DeploymentOptions(is_scheduled=False))
    chosen = adoption.choose(place, left, adopts=True)
    assert chosen is not None
    gone = chosen.buckets["OnFailureBucket"].name
    s3 = client("s3", place)
    for one in s3.list_objects_v2(Bucket=gone)["Contents"]:
        s3.delete_object(Bucket=gone, Key=one["Key"])
    s3.delete_bucket(Bucket=gone)
    with pytest.raises(WindrowError, match="Bucket not found"):
        adoption.apply(plan, chosen, ignore)
    assert remains(place, left) == (False, 2, 1, 0)
    again = adoption.choose(place, left, adopts=True)
    assert again is not None
    assert set(again.buckets) == {"LakeBucket", "ResultsBucket"}
    adoption.apply(plan, again, ignore)
    assert is_adopted(stack.describe(place, stack_name(left)))
