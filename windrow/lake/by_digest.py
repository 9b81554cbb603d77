"""Objects in the lake that are named by the digest of their content: another content is another object."""

import hashlib

from windrow.errors import WindrowError
from windrow.lake.store import ObjectStore


def digest_of(body: bytes) -> str:
    """Return the digest by which `body` is named, in 64 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def store_by_digest(lake: ObjectStore, key: str, body: bytes) -> None:
    """Write `body` under a `key` with its digest in it: over the same, or over what is damaged.

    Whoever deploys may write these objects, and read none.
    """
    lake.put(key, body)


def content_of(lake: ObjectStore, key: str, digest: str, *, hint: str) -> bytes:
    """Return the content named by `digest`; WindrowError with `hint` if it is not there, or is another."""
    found = lake.get(key)
    if found is None:
        raise WindrowError(f"{key} is not in the lake bucket", hint=hint)
    if digest_of(found.body) != digest:
        raise WindrowError(f"{key} does not hold what its name says", hint=hint)
    return found.body
