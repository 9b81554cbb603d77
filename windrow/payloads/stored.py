"""The contract that a stage has stored in its lake, named by its digest, and since when it is the one in force."""

import json

from windrow.errors import WindrowError
from windrow.lake.by_digest import content_of, digest_of, store_by_digest
from windrow.lake.layout import CONTRACT_SINCE, contract_key
from windrow.lake.store import ObjectStore
from windrow.payloads.contract import Contract
from windrow.payloads.load import load_stored
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms

_HINT = "deploy the stage again with --payloads"


def store_contract(lake: ObjectStore, stored: bytes) -> str:
    """Write the stored form of a contract, and return its digest."""
    digest = digest_of(stored)
    store_by_digest(lake, contract_key(digest), stored)
    return digest


def contract_of(lake: ObjectStore, digest: str) -> Contract:
    """Read and compile a stored contract; WindrowError if it is not there, or is not what its name says."""
    return load_stored(content_of(lake, contract_key(digest), digest, hint=_HINT))


def store_contract_since(lake: ObjectStore, digest: str, *, since_ms: int) -> None:
    """Write down that functions read under the contract named by `digest`, empty for the default form, since then."""
    fields = {"digest": digest, "since": format_rfc3339(since_ms)}
    lake.put(CONTRACT_SINCE, json.dumps(fields, indent=1).encode() + b"\n")


def contract_since(lake: ObjectStore, digest: str) -> int | None:
    """Return since when a stage has read under the contract named by `digest`, in epoch ms; None if nobody knows.

    0 if it never had another one. A deployment that was cut off may leave the name of another contract, whose time is
    not the answer. WindrowError if what is written is no time.
    """
    found = lake.get(CONTRACT_SINCE)
    if found is None:
        return None if digest else 0
    try:
        fields = json.loads(found.body)
        since_ms = parse_rfc3339_ms(fields["since"])
        return since_ms if fields["digest"] == digest else None
    except (KeyError, TypeError, ValueError) as error:
        raise WindrowError(f"{CONTRACT_SINCE} does not say since when a contract is in force: {error}") from error
