"""The import rules: kept here, and broken when somebody plants a violation."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "windrow",
    "windrow_cli",
    "windrow_operations",
    "producers",
    "processors",
    "dispatcher",
    "analytics",
    "infra",
)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("producers/__init__.py", "import analytics", "the command, the operations, the stages"),
        ("windrow/window.py", "import dispatcher", "the command, the operations, the stages"),
        ("dispatcher/tick.py", "import windrow_cli", "the command, the operations, the stages"),
        ("processors/replay.py", "import windrow_operations", "the command, the operations, the stages"),
        ("windrow_cli/demo.py", "import windrow_cli.verify", "no command imports another"),
        ("windrow_cli/gateways.py", "import windrow_cli.users", "no command imports another"),
        ("windrow/cold_start.py", "import windrow.settings", "the wings of the domain stand side by side"),
        ("windrow_cli/fresh.py", "", "no command imports another"),
        ("windrow/reading.py", "import windrow.rows", "the wings of the domain stand side by side"),
        ("windrow/lake/s3.py", "import windrow.aws", "the wings of the domain stand side by side"),
        ("windrow/rows/partial.py", "import boto3", "the core imports no AWS client"),
        ("windrow/rows/rollup.py", "import time", "the core imports no AWS client"),
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, module: str, line: str, contract: str) -> None:
    """Each contract names the import that breaks it, or the module that it does not know."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / module
    with planted.open("a") as module_file:
        module_file.write(f"\n{line}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    told = " ".join(result.stdout.split())  # long names are wrapped
    assert re.search(rf"{contract}[^.]* BROKEN", told), told
