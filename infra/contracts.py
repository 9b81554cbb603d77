"""The payload contract of a deployment: a file or a ready-made one, checked before anything is deployed."""

from infra.given_file import text_of
from windrow.payloads.load import stored_form
from windrow.payloads.readymade import READY_MADE

PARAMETER = "PayloadContract"
"""The parameter that names the stored contract by its digest; empty for the default form."""
DEFAULT_FORM = "windrow"
"""The ready-made contract that is what functions read without one."""


def contract_to_store(choice: str) -> bytes:
    """Return the stored form of the contract in the file `choice`, or of the ready-made one of this name.

    Empty for DEFAULT_FORM. UsageError if there is neither; ContractError names the line of what cannot be used.
    """
    if choice == DEFAULT_FORM:
        return b""
    if choice in READY_MADE:
        return stored_form(f'use = "{choice}"', name=choice)
    text = text_of(choice, "payload contract", hint=f"give a file, or one of {', '.join(READY_MADE)}")
    return stored_form(text, name=choice)
