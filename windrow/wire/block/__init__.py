"""Blocks: many readings in one payload, as an Arrow stream, with a reader that hostile bytes cannot harm."""
