"""Readings as one Arrow stream: what a block may hold, and a reader that no bytes can harm."""
