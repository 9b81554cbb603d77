"""The way of a reading from the stream to a row is short, and docs/architecture.md names what is on it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENED_MAX = 20
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.fixture(scope="module")
def opened() -> list[str]:
    """The modules that one opens, by a trace in a process of its own."""
    command = [sys.executable, "-m", "tests.readings_way"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    print(run.stdout)  # noqa: T201 - shown when a test fails
    return re.findall(r"^open +(\S+)$", run.stdout, re.MULTILINE)


@pytest.mark.slow
def test_few_modules_are_opened_to_follow_a_reading(opened: list[str]) -> None:
    """From the consumer's handler to the stored row."""
    assert len(opened) <= OPENED_MAX


@pytest.mark.slow
def test_the_page_names_each_of_them(opened: list[str]) -> None:
    """In its table of steps, and no module that a reading does not pass."""
    steps = PAGE.split("\n## The way of a reading\n")[1].split("\n## ")[0]
    named = re.findall(r"^\| .*? \| `([\w/]+)\.py` \|", steps, re.MULTILINE)
    assert sorted(name.replace("/", ".") for name in named) == sorted(opened)
