"""The files for Docker and GitHub against their schemas, and against each other."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = ROOT / "docker-compose.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "check.yml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
STANDS_IN = {name: one for name, one in SERVICES.items() if name != "windrow"}


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "path"), [("compose-spec", COMPOSE), ("github-workflows", WORKFLOW)])
def test_file_keeps_its_schema(schema: str, path: Path) -> None:
    """The Compose specification's own schema, and that of GitHub's workflows."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_schema_is_no_rubber_stamp(tmp_path: Path) -> None:
    """A misspelt key is refused."""
    spoiled = yaml.safe_load(COMPOSE.read_text())
    spoiled["services"]["windrow"]["comand"] = ["true"]
    (tmp_path / "compose.json").write_text(json.dumps(spoiled))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ended = subprocess.run([*command, str(tmp_path / "compose.json")], capture_output=True, check=False, timeout=60)
    assert ended.returncode == 1


@pytest.mark.parametrize("name", STANDS_IN)
def test_stand_in_is_healthy_before_it_is_used_and_open_to_this_machine_alone(name: str) -> None:
    """A health check, ports on loopback, and the name that the deploying container asks for."""
    service = STANDS_IN[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["networks"]["default"]["aliases"] == ["stack"]
    assert SERVICES["windrow"]["environment"]["AWS_ENDPOINT_URL"] == "http://stack:4566"
    assert SERVICES["windrow"]["depends_on"][name] == {"condition": "service_healthy", "required": False}
    assert set(service["profiles"]) <= set(SERVICES["windrow"]["profiles"])


def test_localstack_is_the_last_image_without_a_token() -> None:
    """Pinned by its tag, with the reason beside it."""
    assert SERVICES["localstack"]["image"] == "localstack/localstack:4.14.0"
    assert "account's token" in COMPOSE.read_text()


def test_workflow_runs_what_people_run() -> None:
    """Every `make x` of the workflow is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = set(re.findall(r"run: make ([a-z]+)", WORKFLOW.read_text()))
    assert {"check", "test"} <= run <= targets
