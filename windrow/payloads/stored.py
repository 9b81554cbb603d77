"""The contract that a stage has stored in its lake, named by its digest."""

from windrow.lake.by_digest import content_of, digest_of, store_by_digest
from windrow.lake.layout import contract_key
from windrow.lake.store import ObjectStore
from windrow.payloads.contract import Contract
from windrow.payloads.load import load_stored

_HINT = "deploy the stage again with --payloads"


def store_contract(lake: ObjectStore, stored: bytes) -> str:
    """Write the stored form of a contract, and return its digest."""
    digest = digest_of(stored)
    store_by_digest(lake, contract_key(digest), stored)
    return digest


def contract_of(lake: ObjectStore, digest: str) -> Contract:
    """Read and compile a stored contract; WindrowError if it is not there, or is not what its name says."""
    return load_stored(content_of(lake, contract_key(digest), digest, hint=_HINT))
