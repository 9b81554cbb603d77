"""The names that `windrow` itself offers: all there, loaded on first use, and nothing before."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import windrow
from infra.closure import closure_of

ROOT = Path(__file__).parents[2]
# Modules beside those that Python itself loads at its start.
LOADED = """
import json, sys
before = set(sys.modules)
import windrow
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_windrow_loads_nothing_else() -> None:
    """Every function imports it at its cold start."""
    ended = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(ended.stdout) == ["windrow"]


def test_a_module_of_windrow_reaches_no_stage() -> None:
    """What packaging follows from a module ends below the stages, though `windrow` offers names of two of them."""
    files = closure_of("windrow.reading", sources=ROOT).files

    assert "windrow/__init__.py" in files
    assert {name.split("/")[0] for name in files} == {"windrow"}


@pytest.mark.parametrize("name", windrow.__all__)
def test_every_name_is_that_of_its_home(name: str) -> None:
    """One class under both names, so that `except windrow.WindrowError` catches what the stages raise."""
    found = getattr(windrow, name)

    assert found is getattr(sys.modules[found.__module__], name)


def test_type_checkers_are_told_the_same_names_from_the_same_homes() -> None:
    """The stub is what they read; a name that only one of the two has, or has from elsewhere, would mislead."""
    stub = ast.parse((ROOT / "windrow" / "__init__.pyi").read_text())
    imported = {
        alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    (exported,) = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]

    assert imported == windrow._HOMES
    assert exported == sorted(windrow.__all__)


def test_another_name_is_refused() -> None:
    """As of any module; a submodule is still found by `from windrow import`."""
    with pytest.raises(AttributeError, match="module 'windrow' has no attribute 'Consumer'"):
        _ = windrow.Consumer  # type: ignore[attr-defined]
    from windrow import timerange  # noqa: PLC0415 - the case that is tested

    assert timerange.__name__ == "windrow.timerange"
