"""The help is part of the product: it changes on purpose, and every command shows an example."""

import pytest

from tests.golden.cli_help import FOLDER, help_of, names, pages


def test_the_help_is_the_one_on_file() -> None:
    """After a change on purpose: `python -m tests.golden.cli_help`, and look at the diff."""
    assert pages() == {path.name: path.read_text() for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", names())
def test_every_command_shows_an_example(name: str) -> None:
    """Under the description, as one would type it."""
    assert f"\n  windrow {name}" in help_of(name)
