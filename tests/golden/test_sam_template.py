"""What CloudFormation is given after the SAM transform is what was reviewed."""

import pytest

from infra import template
from tests.golden.sam_template import FILE, made, text


@pytest.mark.slow
def test_the_transform_makes_what_is_on_file() -> None:
    """After a change on purpose: `python -m tests.golden.sam_template`, and look at the diff."""
    assert text() == FILE.read_text()


@pytest.mark.slow
def test_the_transform_adds_nothing_unexpected() -> None:
    """Only functions with their versions and aliases, and what belongs to the schedule; no role, no policy, no API."""
    before = template.load()["Resources"]
    kinds = {one["Type"] for name, one in made().items() if name not in before or "Serverless" in before[name]["Type"]}
    assert kinds == {
        "AWS::Events::Rule",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
    }
