"""What the SAM transform makes of the template, as kept in sam.json: every resource that it adds or changes.

.venv/bin/python -m tests.golden.sam_template     writes it anew, to be reviewed as a diff
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from samtranslator.translator.transform import transform

from infra import template

FILE = Path(__file__).parent / "sam.json"

VALUES = {
    "Release": "0123456789abcdef",
    "FanoutCodeKey": "functions/fanout.zip",
    "UploadsCodeKey": "functions/uploads.zip",
    "ScalingCodeKey": "functions/scaling.zip",
    "LiveCodeKey": "functions/live.zip",
    "ApiCodeKey": "functions/api.zip",
    "AuditCodeKey": "functions/audit.zip",
}
"""Parameters that the transform writes into what it makes, as a deployment gives them."""


class _NoManagedPolicies:
    """The template names no managed policy, so there is nothing to look up."""

    def load(self) -> dict[str, str]:
        return {}


def translated(values: Mapping[str, str] = VALUES) -> dict[str, Any]:
    """The whole template after the transform, which is told these parameters."""
    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": "us-east-1"}):
        return dict(transform(template.load(), dict(values), _NoManagedPolicies()))


def made() -> dict[str, Any]:
    """The resources that differ from the template's, by name."""
    before = template.load()["Resources"]
    after = translated()["Resources"]
    return {name: one for name, one in sorted(after.items()) if one != before.get(name)}


def text() -> str:
    """The golden file's content."""
    return json.dumps(made(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
