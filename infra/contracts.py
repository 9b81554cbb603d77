"""The payload contract of a deployment: a file or a ready-made one, checked before anything is deployed."""

from pathlib import Path

from windrow.errors import UsageError
from windrow.payloads.load import stored_form
from windrow.payloads.readymade import READY_MADE

PARAMETER = "PayloadContract"
"""The parameter that names the stored contract by its digest; empty for the default form."""
DEFAULT_FORM = "windrow"
"""The ready-made contract that is what functions read without one."""
FILE_BYTES_MAX = 262_144


def contract_to_store(choice: str) -> bytes:
    """Return the stored form of the contract in the file `choice`, or of the ready-made one of this name.

    Empty for DEFAULT_FORM. UsageError if there is neither; ContractError names the line of what cannot be used.
    """
    if choice == DEFAULT_FORM:
        return b""
    if choice in READY_MADE:
        return stored_form(f'use = "{choice}"', name=choice)
    try:
        body = Path(choice).read_bytes()
        if len(body) > FILE_BYTES_MAX:
            raise UsageError(f"{choice} has {len(body):,} bytes, a contract at most {FILE_BYTES_MAX:,}")
        text = body.decode()
    except (OSError, UnicodeDecodeError) as error:
        hint = f"give a file, or one of {', '.join(READY_MADE)}"
        raise UsageError(f"the payload contract {choice} cannot be read: {error}", hint=hint) from error
    return stored_form(text, name=choice)
