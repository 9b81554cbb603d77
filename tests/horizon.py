"""The lateness horizon of a deployment whose template parameters are the defaults."""

LATENESS_HORIZON_MS = 7 * 24 * 3_600_000
"""Measured against the arrival of the record that carries a reading, never against a clock."""
