"""The matrix of docs/exactness.md names tests that exist."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
LINK = re.compile(r"\[([^\]]+)\]\((\.\./tests/[^)]+)\)")


def test_every_link_of_the_matrix_leads_to_its_test() -> None:
    """Each file is there, and each test is a function in it."""
    links = LINK.findall((DOCS / "exactness.md").read_text())
    tests = [(name, path) for name, path in links if name.startswith("test_")]
    assert len(tests) > 50
    for _, path in links:
        assert (DOCS / path).exists(), path
    for name, path in tests:
        assert f"def {name}(" in (DOCS / path).read_text(), f"{path} has no {name}"


def test_every_scenario_is_in_the_matrix_or_beside_one_that_is() -> None:
    """No file of scenarios is left out."""
    linked = {Path(path).name for _, path in LINK.findall((DOCS / "exactness.md").read_text())}
    assert {path.name for path in Path(__file__).parent.glob("test_scenarios_*.py")} <= linked
