"""Waiting with a bound: the first true answer is returned, and nothing waits for ever."""

import itertools

import pytest

from infra.waiting import poll, wait_for
from windrow.errors import WindrowError


def test_the_first_true_answer_is_returned():
    """False, None and empty answers are asked for again."""
    answers = iter([None, "", "ready", "later"])
    assert poll(lambda: next(answers), seconds_max=60, pause_seconds=0) == "ready"
    assert next(answers) == "later"


def test_it_is_asked_once_even_without_time():
    """Something that is already done needs no waiting."""
    assert poll(lambda: "done", seconds_max=0, pause_seconds=60) == "done"


def test_the_time_is_bounded():
    """After the last second the answer is None, or the caller's complaint."""
    asked = itertools.count()
    assert poll(lambda: next(asked) < 0, seconds_max=0.02, pause_seconds=0.001) is None
    assert next(asked) > 1
    with pytest.raises(WindrowError, match="not done"):
        wait_for(lambda: False, seconds_max=0, pause_seconds=0, complaint=WindrowError("not done"))


def test_an_error_ends_the_waiting():
    """What the question raises is raised at once."""
    with pytest.raises(ZeroDivisionError):
        poll(lambda: 1 // 0, seconds_max=60, pause_seconds=60)
