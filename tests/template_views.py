"""The views and saved queries of the template, as Athena and Trino will get them."""

import base64
import json
from typing import Any

from infra import template

_RESOURCES = template.load()["Resources"]
VIEWS: dict[str, dict[str, Any]] = {
    one["Properties"]["TableInput"]["Name"]: one["Properties"]["TableInput"]
    for one in _RESOURCES.values()
    if one["Type"] == "AWS::Glue::Table" and one["Properties"]["TableInput"]["TableType"] == "VIRTUAL_VIEW"
}
"""Name of a view -> its TableInput."""
QUERIES: dict[str, str] = {
    one["Properties"]["Name"]: one["Properties"]["QueryString"]
    for one in _RESOURCES.values()
    if one["Type"] == "AWS::Athena::NamedQuery"
}
"""Name of a saved query -> its SQL."""


def document(view: dict[str, Any]) -> dict[str, Any]:
    """Return Presto's document of a view of the stage dev, as CloudFormation will encode it."""
    text, variables = view["ViewOriginalText"]["Fn::Sub"]
    body = variables["View"]["Fn::Base64"]["Fn::Sub"].replace("${Stage}", "dev")
    encoded = base64.b64encode(body.encode()).decode()
    stored = text.replace("${View}", encoded)
    assert stored.startswith("/* Presto View: ")
    assert stored.endswith(" */")
    parsed: dict[str, Any] = json.loads(base64.b64decode(stored[16:-3]))
    return parsed
