"""From one number of shards to another, against a Kinesis that at most doubles or halves them, ten times a day."""

from typing import Any

import pytest

from infra import stack, template
from infra.resharding import RestoredShards, way
from infra.stack import DeploymentResult
from infra.stack_events import StackEvent
from tests.unit.simulated_aws import NAME, RefusedError, SimulatedAws, Stream, answering
from tests.unit.stubbed_aws import PLACE
from tests.unit.test_stack_operations import deployed, ignore, plan_with
from windrow.aws.clients import client
from windrow.errors import UsageError, WindrowError


def deploy(**parameters: str) -> list[dict[str, str]]:
    """Deploy, and return the updates that were made before the deployment's own."""
    before: list[dict[str, str]] = []
    stack.execute(stack.prepare(plan_with(**parameters), ignore), ignore, lambda update: before.append(dict(update)))
    return before


@pytest.mark.parametrize(
    ("shards", "wanted", "stops"),
    [
        (2, 8, (4, 8)),
        (8, 2, (4, 2)),
        (3, 8, (6, 8)),
        (7, 2, (4, 2)),
        (5, 1, (3, 2, 1)),
        (1, 500, (2, 4, 8, 16, 32, 64, 128, 256, 500)),
        (2, 4, (4,)),
        (4, 4, ()),
    ],
)
def test_the_way_is_known(shards: int, wanted: int, stops: tuple[int, ...]) -> None:
    """Worked out by hand; half of an odd number is rounded up."""
    assert way(shards, wanted) == stops


def test_every_way_is_one_that_kinesis_goes() -> None:
    """Whatever the stream has and wants: each change is taken, and there is no way with fewer changes."""
    most = 40
    for shards in range(1, most):
        reached, changes = {shards}, 0
        fewest = {shards: 0}
        while len(reached) < most - 1:
            changes += 1
            reached = {n for n in range(1, most) if any(n <= 2 * had and 2 * n >= had for had in reached)}
            fewest |= {n: changes for n in reached if n not in fewest}
        for wanted in range(1, most):
            stream = Stream(shards)
            for number, stop in enumerate(way(shards, wanted)):
                stream.update_shard_count(stop, 24.0 * number)
            assert stream.shards == wanted
            assert len(stream.counts) == fewest[wanted]


def test_one_update_for_all_is_refused() -> None:
    """What the simulation is for: the way that CloudFormation alone would go fails, and is rolled back."""
    with answering(deployed()) as aws:
        prepared = stack.prepare(plan_with(ShardCount="8"), ignore)
        assert prepared.change_set is not None
        client("cloudformation", PLACE).execute_change_set(
            ChangeSetName=prepared.change_set.change_set_id, StackName=NAME
        )
        aws.finish()
        assert (aws.status, aws.stream.shards) == ("UPDATE_ROLLBACK_COMPLETE", 2)


@pytest.mark.parametrize(
    ("shards", "wanted", "counts"), [(2, 8, [4, 8]), (8, 1, [4, 2, 1]), (2, 4, [4]), (3, 7, [6, 7])]
)
def test_a_deployment_goes_the_way(shards: int, wanted: int, counts: list[int]) -> None:
    """Up and down; in the end the stack says what the stream has, and everything else is deployed too."""
    aws = deployed(stream=Stream(shards))
    aws.parameters["ShardCount"] = str(shards)
    aws.template = "the one before"
    with answering(aws):
        before = deploy(ShardCount=str(wanted), LogLevel="DEBUG")
    assert aws.stream.counts == counts
    assert [update["ShardCount"] for update in before] == [str(count) for count in counts[:-1]]
    assert (aws.parameters["ShardCount"], aws.parameters["LogLevel"]) == (str(wanted), "DEBUG")
    assert aws.template != "the one before"


def test_steps_change_nothing_but_the_shards() -> None:
    """The new code comes with the last update; parameters of the old template that the new one lacks stay till then."""
    aws = deployed()
    aws.parameters |= {"LogLevel": "INFO", "Forgotten": "1"}
    aws.template = "the one before"
    seen: list[tuple[str, dict[str, str]]] = []

    def look(event: StackEvent) -> None:
        if event.status == "UPDATE_COMPLETE" and event.resource == NAME:
            seen.append((aws.template, dict(aws.parameters)))

    with answering(aws):
        stack.apply(plan_with(ShardCount="8", LogLevel="DEBUG"), look)
    (template, parameters), (_, last) = seen
    assert template == "the one before"
    assert parameters == {"Stage": "prod", "ShardCount": "4", "LogLevel": "INFO", "Forgotten": "1"}
    assert "Forgotten" not in last
    assert {"Key": "windrow-stage", "Value": "prod"} in aws.tags


def test_the_tenth_change_of_a_day_is_the_last() -> None:
    """Nine were made: one step goes through, the next is refused; what is reached stays, and later it goes on."""
    aws = deployed(stream=Stream(2, resharded_at=[990.0] * 9))
    with answering(aws):
        with pytest.raises(WindrowError) as caught:
            deploy(ShardCount="8")
        assert "LimitExceededException" in caught.value.message
        assert "the stream has 4 shards now, and everything runs" in caught.value.hint
        assert "at most 10 times in 24 hours" in caught.value.hint
        assert (aws.stream.shards, aws.parameters["ShardCount"]) == (4, "4")
        aws.now_hours += 24
        assert deploy(ShardCount="8") == []
    assert (aws.stream.shards, aws.parameters["ShardCount"]) == (8, "8")


def test_a_way_that_was_broken_off_goes_on_from_there() -> None:
    """Stack and stream agree wherever the command ended, even while an update was under way."""
    aws = deployed()

    def interrupt(update: object) -> None:
        if aws.stream.counts:
            raise KeyboardInterrupt

    with answering(aws):
        with pytest.raises(KeyboardInterrupt):
            stack.execute(stack.prepare(plan_with(ShardCount="16"), ignore), ignore, interrupt)
        assert (aws.stream.shards, aws.parameters["ShardCount"]) == (4, "4")
        assert deploy(ShardCount="16") == [{"ShardCount": "8"}]
    assert aws.stream.counts == [4, 8, 16]


@pytest.mark.parametrize("had", ["ON_DEMAND", "PROVISIONED"])
def test_a_stream_on_demand_has_no_number_of_shards(had: str) -> None:
    """Whether it is one or is to become one."""
    aws = deployed(stream=Stream(4, mode=had))
    aws.parameters["StreamMode"] = had
    with answering(aws):
        with pytest.raises(UsageError, match="is on demand") as caught:
            deploy(ShardCount="8", **({} if had == "ON_DEMAND" else {"StreamMode": "ON_DEMAND"}))
        assert "StreamMode=PROVISIONED" in caught.value.hint
        assert "create_change_set" not in aws.calls


def test_a_stream_on_demand_becomes_provisioned_with_what_it_has() -> None:
    """It grew to 16 by itself; it keeps them when its mode changes, and only then goes the way to 3."""
    aws = deployed(stream=Stream(16, mode="ON_DEMAND"))
    aws.parameters["StreamMode"] = "ON_DEMAND"
    with answering(aws):
        before = deploy(ShardCount="3", StreamMode="PROVISIONED")
    assert before == [
        {"StreamMode": "PROVISIONED", "ShardCount": "16"},
        {"ShardCount": "8"},
        {"ShardCount": "4"},
    ]
    assert (aws.stream.mode, aws.stream.shards, aws.stream.counts) == ("PROVISIONED", 3, [8, 4, 3])


def test_going_on_demand_needs_no_way() -> None:
    """The parameter stays for the day that it comes back."""
    aws = deployed(stream=Stream(16))
    aws.parameters["ShardCount"] = "16"
    with answering(aws):
        assert deploy(StreamMode="ON_DEMAND") == []
    assert (aws.stream.mode, aws.stream.shards) == ("ON_DEMAND", 16)


def test_shards_changed_by_hand_are_seen() -> None:
    """The stack says 4 and the stream has 2: an update to 4 would change nothing, and the next one would be refused."""
    aws = deployed(stream=Stream(2))
    aws.parameters["ShardCount"] = "4"
    with answering(aws):
        for wanted in ("4", "8"):
            with pytest.raises(WindrowError, match="has 2 shards and its stack says 4") as caught:
                deploy(ShardCount=wanted)
            assert "--target-shard-count 4" in caught.value.hint
        aws.stream = Stream(3)  # not in the way
        deploy(ShardCount="8")
    assert aws.stream.counts == [6, 8]


def test_other_deployments_do_not_ask_for_the_shards() -> None:
    """Whoever may deploy need not be allowed to read the stream."""
    with answering(deployed()) as aws:
        deploy(LogLevel="DEBUG")
    assert "describe_stream_summary" not in aws.calls


def test_the_simulated_stream_refuses_what_kinesis_refuses() -> None:
    """The documented limits, one by one."""
    for stream, target in ((Stream(2), 5), (Stream(7), 3), (Stream(4, mode="ON_DEMAND"), 8), (Stream(9_000), 10_001)):
        with pytest.raises(RefusedError):
            stream.update_shard_count(target, 0.0)
    stream = Stream(2)
    for hour in range(10):
        stream.update_shard_count(4 if stream.shards == 2 else 2, hour)
    with pytest.raises(RefusedError, match="LimitExceeded"):
        stream.update_shard_count(4, 23.9)
    stream.update_shard_count(4, 24.1)
    assert SimulatedAws().stream.shards == 2


def test_more_shards_than_the_template_takes_are_refused_before_anything_is_changed() -> None:
    """The stack could not name them on the way; nothing is asked of CloudFormation."""
    most = int(template.parameters()["ShardCount"]["MaxValue"])
    with answering(deployed()) as aws:
        aws.stream = Stream(most + 1)
        with pytest.raises(WindrowError, match=f"has {most + 1} shards, more than the template takes") as caught:
            deploy(ShardCount="2")
        assert "create_change_set" not in aws.calls
    assert str(most) in caught.value.hint


def scaled(*, shards: int, of_stack: int, **more: Any) -> SimulatedAws:
    """A stage with Scaling=auto, whose stream has other shards than its stack says."""
    aws = deployed(stream=Stream(shards), **more)
    aws.parameters |= {"ShardCount": str(of_stack), "Scaling": "auto", "StreamRetentionHours": "24"}
    return aws


def change_retention() -> DeploymentResult:
    """Deploy a change of the stream that is not about its shards."""
    return stack.apply(plan_with(StreamRetentionHours="48"), ignore)


@pytest.mark.parametrize(("shards", "of_stack"), [(4, 2), (2, 4), (3, 2)])
def test_the_shards_of_a_scaled_stream_are_set_back(shards: int, of_stack: int) -> None:
    """If CloudFormation heeds the stream itself, which is not known; if it heeds its template before, they stay."""
    with answering(scaled(shards=shards, of_stack=of_stack, resets_shards=True)) as aws:
        restored = change_retention().restored_shards
        assert restored == RestoredShards(had=shards, found=of_stack)
        assert (aws.stream.shards, aws.stream.counts) == (shards, [of_stack, shards])
    with answering(scaled(shards=shards, of_stack=of_stack)) as aws:
        assert change_retention().restored_shards is None
        assert (aws.stream.shards, aws.stream.counts, aws.parameters["ShardCount"]) == (shards, [], str(of_stack))


def test_shards_that_cannot_be_set_back_are_told_of() -> None:
    """Ten changes a day are all there are, and the reset was the tenth."""
    aws = scaled(shards=4, of_stack=2, resets_shards=True)
    aws.stream.resharded_at = [990.0] * 9
    with answering(aws):
        restored = change_retention().restored_shards
    assert restored is not None
    assert "more than ten scalings" in restored.refusal
    assert aws.stream.shards == 2


def test_a_stage_that_is_not_scaled_is_left_as_it_is() -> None:
    """Nor is anything set back that was asked for, or that the scaling did meanwhile."""
    aws = scaled(shards=4, of_stack=2, resets_shards=True)
    aws.parameters["Scaling"] = "none"
    with answering(aws):
        assert change_retention().restored_shards is None
        assert aws.stream.shards == 2
    with answering(scaled(shards=4, of_stack=2)) as aws:
        assert stack.apply(plan_with(ShardCount="8"), ignore).restored_shards is None
        assert aws.stream.shards == 8
    with answering(scaled(shards=4, of_stack=2)) as aws:
        aws.on_call = lambda name: setattr(aws.stream, "shards", 8) if name == "execute_change_set" else None
        assert change_retention().restored_shards is None
        assert aws.stream.shards == 8


@pytest.mark.parametrize(
    ("shards", "of_stack", "wanted", "counts"),
    [(4, 2, 2, [3, 2]), (2, 4, 4, [3, 4]), (8, 4, 1, [5, 3, 2, 1]), (2, 4, 8, [3, 6, 8]), (8, 2, 2, [4, 2])],
)
def test_a_number_of_shards_is_reached_though_the_stack_says_it_already(
    shards: int, of_stack: int, wanted: int, counts: list[int]
) -> None:
    """By way of another number, as CloudFormation changes nothing that its template said before."""
    with answering(scaled(shards=shards, of_stack=of_stack)) as aws:
        stack.apply(plan_with(ShardCount=str(wanted)), ignore)
    assert (aws.stream.counts, aws.stream.shards, aws.parameters["ShardCount"]) == (counts, wanted, str(wanted))


def test_one_shard_that_should_be_two_is_told_of() -> None:
    """There is no number in between."""
    with (
        answering(scaled(shards=1, of_stack=2)),
        pytest.raises(WindrowError, match="has 1 shards and its stack says 2"),
    ):
        stack.apply(plan_with(ShardCount="2"), ignore)
