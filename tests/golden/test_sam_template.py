"""What CloudFormation is given after the SAM transform is what was reviewed."""

import pytest

from tests.golden.sam_template import FILE, made, text


@pytest.mark.slow
def test_the_transform_makes_what_is_on_file() -> None:
    """After a change on purpose: `python -m tests.golden.sam_template`, and look at the diff."""
    assert text() == FILE.read_text()


@pytest.mark.slow
def test_the_transform_adds_nothing_unexpected() -> None:
    """Only functions and what belongs to the schedule; no role, no policy, no API."""
    kinds = {one["Type"] for one in made().values()}
    assert kinds == {
        "AWS::Events::Rule",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
    }
