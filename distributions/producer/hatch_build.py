"""Chooses the files of windrow-producer: what `producers` can reach, by the rule that packages the functions."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TREE = Path(__file__).resolve().parents[2]
# The first is what programs import; it knows the others by name only.
ENTRIES = ("windrow", "producers")


class ProducerFiles(BuildHookInterface):
    """Adds each of the modules to the wheel, at its place in the tree, and what type checkers read."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Fill `force_include`: path on disk -> path in the wheel."""
        sys.path.insert(0, str(TREE))
        from infra.closure import closure_of  # noqa: PLC0415 - the tree is not installed where this is built

        files = {
            name for entry in ENTRIES for name in closure_of(entry, sources=TREE, packages=frozenset(ENTRIES)).files
        }
        files |= {"windrow/__init__.pyi", *(f"{entry}/py.typed" for entry in ENTRIES)}
        build_data["extra_metadata"][str(TREE / "LICENSE")] = "LICENSE"
        build_data["force_include"] |= {str(TREE / name): name for name in sorted(files)}
