"""The rules on values of a deployment: a file, checked before anything is deployed."""

from pathlib import Path

from infra.contracts import FILE_BYTES_MAX
from windrow.errors import UsageError
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
    try:
        body = Path(choice).read_bytes()
        if len(body) > FILE_BYTES_MAX:
            raise UsageError(f"{choice} has {len(body):,} bytes, a file of rules at most {FILE_BYTES_MAX:,}")
        text = body.decode()
    except (OSError, UnicodeDecodeError) as error:
        hint = f"give a file, or {NONE} for a stage without rules"
        raise UsageError(f"the rules {choice} cannot be read: {error}", hint=hint) from error
    load_rules(text, name=choice)
    return body
