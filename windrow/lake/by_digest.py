"""Objects in the lake that are named by the digest of their content: another content is another object."""

import hashlib

from windrow.errors import WindrowError
from windrow.lake.store import ObjectStore, PreconditionFailed


def digest_of(body: bytes) -> str:
    """Return the digest by which `body` is named, in 64 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def store_once(lake: ObjectStore, key: str, body: bytes) -> None:
    """Write `body` under a `key` with its digest in it, unless it is there already; what is damaged is replaced."""
    try:
        lake.put(key, body, if_absent=True)
    except PreconditionFailed:
        found = lake.get(key)
        if found is None or found.body != body:
            lake.put(key, body)


def content_of(lake: ObjectStore, key: str, digest: str, *, hint: str) -> bytes:
    """Return the content named by `digest`; WindrowError with `hint` if it is not there, or is another."""
    found = lake.get(key)
    if found is None:
        raise WindrowError(f"{key} is not in the lake bucket", hint=hint)
    if digest_of(found.body) != digest:
        raise WindrowError(f"{key} does not hold what its name says", hint=hint)
    return found.body
