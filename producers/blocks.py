"""Blocks as a producer writes and reads them, loaded when they are first needed.

Gateways send JSON, and the libraries behind blocks are most of what a producer would take on disk and load at start.
In the distribution windrow-producer they are an extra.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from windrow.errors import PermanentError
from windrow.reading import Readings


def encode(readings: Readings) -> bytes:
    """Encode readings as `encode_block` does; PermanentError where the libraries are missing."""
    with _explained("blocks cannot be written"):
        from windrow.wire.block.block import encode_block  # noqa: PLC0415 - see above
    return encode_block(readings)


def decode(payload: bytes) -> Readings:
    """Decode a block as `decode_block` does; PermanentError where the libraries are missing."""
    with _explained("a block cannot be read"):
        from windrow.wire.block.block import decode_block  # noqa: PLC0415 - see above
    return decode_block(payload)


def require(what: str) -> None:
    """Load the libraries; PermanentError, beginning with `what`, where they are missing."""
    with _explained(what):
        import windrow.wire.block.block  # noqa: F401, PLC0415 - see above


@functools.cache
def are_available() -> bool:
    """Whether the libraries are there; asked once, because an import that fails is tried anew each time."""
    try:
        require("")
    except PermanentError:
        return False
    return True


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        hint = "install what blocks need: pip install 'windrow-producer[blocks]'"
        raise PermanentError(f"{what}: the module {error.name} is not installed", hint=hint) from error
