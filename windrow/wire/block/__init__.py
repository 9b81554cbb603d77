"""Blocks: many readings in one payload, as an Arrow stream, with a reader that hostile bytes cannot harm."""

BLOCK_MAGIC = b"\x93windrow"
"""What every block begins with, and no JSON and no KPL aggregate."""


def is_block(payload: bytes) -> bool:
    """Return whether `payload` begins like a block."""
    return payload.startswith(BLOCK_MAGIC)
