"""The template with its parameters filled in: conditions, references, and values that it refuses."""

import pytest

from infra import template
from infra.shape import Shape
from windrow.errors import UsageError

FUNCTIONS = "AWS::Serverless::Function"
ALARMS = "AWS::CloudWatch::Alarm"


def test_defaults_are_those_of_the_template() -> None:
    """Read, not repeated."""
    parameters = template.load()["Parameters"]
    shape = Shape()
    for name, one in parameters.items():
        assert shape.parameters[name] == str(one.get("Default", "")), name


def test_every_condition_can_be_decided() -> None:
    """In both modes and at every level of operations, so no condition of the template is beyond it."""
    names = template.load()["Conditions"]
    for mode in ("direct", "fanout"):
        for level in ("full", "simple", "none"):
            shape = Shape({"ProcessingMode": mode, "Operations": level})
            decided = {name: shape.is_true(name) for name in names}
            assert decided["IsFanout"] == (mode == "fanout")
            assert decided["HasOperations"] == (level != "none")
            assert decided["HasExpressions"] == (level == "full")
            assert decided["HasFanoutOperations"] == (mode == "fanout" and level != "none")


def test_only_the_resources_of_the_stage_are_returned() -> None:
    """What a condition leaves out is not there, and what it chooses is chosen."""
    assert set(Shape().resources(FUNCTIONS)) == {"ConsumerFunction", "DispatcherFunction"}
    assert "FanoutFunction" in Shape({"ProcessingMode": "fanout"}).resources(FUNCTIONS)
    assert Shape({"Operations": "none"}).resources(ALARMS) == {}
    stream = Shape({"ShardCount": "7"}).resources("AWS::Kinesis::Stream")["Stream"]
    assert (stream["ShardCount"], stream["Name"]) == ("7", "windrow-dev")
    assert "ShardCount" not in Shape({"StreamMode": "ON_DEMAND"}).resources("AWS::Kinesis::Stream")["Stream"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Shards", "2", "is not a parameter"),
        ("Operations", "some", "cannot be 'some'"),
        ("ShardCount", "many", "must be a number"),
        ("ShardCount", "0", "outside its limits"),
        ("ShardCount", "501", "outside its limits"),
    ],
)
def test_what_the_template_refuses_is_refused(name: str, value: str, message: str) -> None:
    """A price for a stage that cannot be deployed would mislead."""
    with pytest.raises(UsageError, match=message):
        Shape({name: value})
