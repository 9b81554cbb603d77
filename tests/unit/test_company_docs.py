"""The example of a deployment from GitHub: it parses, is pinned, and trusts one branch of one repository."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from windrow_cli.main import windrow

DOCS = Path(__file__).parents[2] / "docs"
WORKFLOW: dict[Any, Any] = yaml.safe_load((DOCS / "github/deploy.yaml").read_text())
TRUST = json.loads((DOCS / "github/trust.json").read_text())
PAGE = (DOCS / "company.md").read_text()
TOKENS = "token.actions.githubusercontent.com"


def steps() -> list[dict[str, Any]]:
    (job,) = WORKFLOW["jobs"].values()
    return list(job["steps"])


def test_every_action_is_pinned_to_a_commit() -> None:
    """A tag or a branch can be moved to other code, which would run with the role."""
    actions = [step["uses"] for step in steps() if "uses" in step]
    assert len(actions) == 3
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in actions)


def test_the_workflow_has_no_key_and_no_more_rights_than_the_token() -> None:
    """It reads the repository and asks for a token; no secret is named."""
    assert WORKFLOW["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in (DOCS / "github/deploy.yaml").read_text()


def test_the_workflow_deploys_from_the_branch_that_the_role_trusts() -> None:
    """Trust is for one branch of one repository, without a wildcard, and for tokens meant for AWS."""
    (statement,) = TRUST["Statement"]
    assert list(statement["Condition"]) == ["StringEquals"]
    claims = statement["Condition"]["StringEquals"]
    assert claims[f"{TOKENS}:aud"] == "sts.amazonaws.com"
    (branch,) = WORKFLOW[True]["push"]["branches"]  # YAML 1.1 reads `on` as true
    assert re.fullmatch(rf"repo:[\w-]+/[\w-]+:ref:refs/heads/{branch}", claims[f"{TOKENS}:sub"])
    assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{TOKENS}")


def test_the_role_is_the_one_that_gets_the_printed_policy() -> None:
    """The page prints the policy for the stage that the workflow deploys, and puts it into the role it assumes."""
    (role,) = (step["with"]["role-to-assume"] for step in steps() if "role-to-assume" in step.get("with", {}))
    name, stage = role.rpartition("/")[2], WORKFLOW["env"]["WINDROW_STAGE"]
    assert f"windrow policy deploy --target aws --stage {stage} > deploy.json" in PAGE
    assert f"put-role-policy --role-name {name} " in PAGE
    assert f"create-role --role-name {name} --assume-role-policy-document file://docs/github/trust.json" in PAGE


@pytest.mark.parametrize("command", re.findall(r"^windrow (\w+) (.*)$", PAGE.replace("\\\n", ""), re.MULTILINE))
def test_every_command_of_the_page_has_its_options(command: tuple[str, str]) -> None:
    """What the page tells to type is taken by the command."""
    name, rest = command
    found = windrow.get_command(None, name)  # type: ignore[arg-type]
    assert found is not None
    known = {option for parameter in found.params for option in parameter.opts}
    assert set(re.findall(r"--[\w-]+", rest)) <= known
