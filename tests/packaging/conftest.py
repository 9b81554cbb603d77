"""Wheels for the tests of packaging."""

from pathlib import Path

import pytest

from infra import wheels
from infra.wheels import Platform
from windrow.errors import WindrowError


def fetched(platform: Platform, cache: Path) -> tuple[Path, ...]:
    """The wheels for `platform`; skips the test where pip reaches no index."""
    try:
        return wheels.fetch(platform, cache=cache)
    except WindrowError as error:
        if "from versions: none" in error.message:
            pytest.skip(f"pip reaches no index here: {error.message}")
        raise
