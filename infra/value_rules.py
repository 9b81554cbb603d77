"""The rules on values of a deployment: a file, checked before anything is deployed."""

from infra.given_file import text_of
from windrow.rules.load import load_rules

PARAMETER = "ValueRules"
"""The parameter that names the stored rules by their digest; empty for none."""
NONE = "none"
"""What is given in place of a file for a stage without rules."""


def rules_to_store(choice: str) -> bytes:
    """Return the text of the file `choice` as a stage stores it, empty for NONE.

    UsageError if it cannot be read; ContractError names the line of what cannot be used.
    """
    if choice == NONE:
        return b""
    text = text_of(choice, "rules", hint=f"give a file, or {NONE} for a stage without rules")
    load_rules(text, name=choice)
    return text.encode()
