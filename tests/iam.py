"""What an IAM policy allows, as far as windrow's policies go: `Allow` statements with wildcards and two conditions.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. A condition on a key
that the request does not have is not fulfilled.
"""

import re
from collections.abc import Mapping
from typing import Any

Context = Mapping[str, str]


def allows(policy: Mapping[str, Any], action: str, resource: str, context: Context | None = None) -> bool:
    """Whether a statement of `policy` allows `action` on `resource`, an ARN or `*`."""
    assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])
    return any(
        any(_like(action.lower(), pattern.lower()) for pattern in statement["Action"])
        and any(_like(resource, pattern) for pattern in statement["Resource"])
        and _fulfilled(statement.get("Condition", {}), context or {})
        for statement in policy["Statement"]
    )


def _like(value: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value) is not None


def _fulfilled(conditions: Mapping[str, Mapping[str, str]], context: Context) -> bool:
    assert conditions.keys() <= {"StringEquals", "ForAnyValue:StringEquals"}
    wanted = [one for operands in conditions.values() for one in operands.items()]
    return all(context.get(key) == value for key, value in wanted)
