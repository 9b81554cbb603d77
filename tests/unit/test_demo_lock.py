"""What `make demo` installs is a part of what everything is tested with, and no more than the command needs."""

import re
from pathlib import Path

from requirements import derive_demo

ROOT = Path(__file__).parents[2]
NOT_FOR_A_DEMO = {
    "pytest",
    "hypothesis",
    "moto",
    "mypy",
    "ruff",
    "cfn-lint",
    "polars",
    "pyarrow",
    "selenium",
    "matplotlib",
}


def pins(name: str) -> dict[tuple[str, str], frozenset[str]]:
    """Package, and version with its marker -> hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    return {
        (entry.partition("==")[0], entry.partition("==")[2].partition("\\")[0].strip()): frozenset(
            re.findall(r"--hash=(\S+)", entry)
        )
        for entry in entries
    }


def test_the_lock_is_the_derived_one() -> None:
    """Whoever changes the developers' lock derives it again."""
    assert derive_demo.TARGET.read_text() == derive_demo.text()


def test_the_demo_runs_on_what_the_tests_run_on() -> None:
    """The same versions with the same hashes, each with at least one."""
    demo, developers = pins("demo"), pins("dev")

    assert demo.items() <= developers.items()
    assert all(demo.values())


def test_the_demo_has_what_the_command_needs_and_no_tools() -> None:
    """All of the command's lock, and beside it only what installs the tree."""
    demo, command = pins("demo"), pins("windrow")
    builders = {name for name, _ in demo.keys() - command.keys()}

    assert command.items() <= demo.items()
    assert {"hatchling", "editables"} <= builders
    assert builders <= {"hatchling", "editables", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
    assert NOT_FOR_A_DEMO.isdisjoint(name for name, _ in demo)


def test_make_demo_installs_this_lock() -> None:
    """By its hashes, and nothing else but the tree."""
    makefile = (ROOT / "Makefile").read_text()
    [recipe] = re.findall(r"^\$\(DEMO_READY\):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    installs = [line for line in recipe.splitlines() if "pip install" in line]

    assert [line.split()[-1] for line in installs] == ["requirements/demo.txt", "."]
    assert "--require-hashes" in installs[0]
    assert "--no-deps" in installs[1]
    assert "--no-build-isolation" in installs[1]
