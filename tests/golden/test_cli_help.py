"""The help is part of the product: it changes on purpose, and every command shows an example."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.cli_help import FOLDER, help_of, names


def test_the_help_is_the_one_on_file(tmp_path: Path) -> None:
    """After a change on purpose: `python -m tests.golden.cli_help`, and look at the diff.

    In a process of its own, because click keeps what an earlier call of a command made of its options.
    """
    command = [sys.executable, "-m", "tests.golden.cli_help", str(tmp_path)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=120)
    assert pages(tmp_path) == pages(FOLDER)


def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("name", names())
def test_every_command_shows_an_example(name: str) -> None:
    """Under the description, as one would type it."""
    assert f"\n  windrow {name}" in help_of(name)
