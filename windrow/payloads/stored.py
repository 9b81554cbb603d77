"""The contract that a stage has stored in its lake, named by its digest: a change is another object."""

from contextlib import suppress

from windrow.errors import WindrowError
from windrow.lake.layout import contract_key
from windrow.lake.store import ObjectStore, PreconditionFailed
from windrow.payloads.contract import Contract
from windrow.payloads.load import digest_of, load_stored

_HINT = "deploy the stage again with --payloads"


def store_contract(lake: ObjectStore, stored: bytes) -> str:
    """Write the stored form of a contract, if it is not there yet, and return its digest."""
    digest = digest_of(stored)
    with suppress(PreconditionFailed):  # a key names its content: an earlier deployment wrote it
        lake.put(contract_key(digest), stored, if_absent=True)
    return digest


def contract_of(lake: ObjectStore, digest: str) -> Contract:
    """Read and compile a stored contract; WindrowError if it is not there, or is not what its name says."""
    found = lake.get(contract_key(digest))
    if found is None:
        raise WindrowError(f"the payload contract {digest[:16]} is not in the lake bucket", hint=_HINT)
    if digest_of(found.body) != digest:
        raise WindrowError(f"{contract_key(digest)} holds another contract than its name says", hint=_HINT)
    return load_stored(found.body)
