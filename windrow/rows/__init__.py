"""Partials and everything computed from them: rows of windows, hours and days, silences, lineages, and their files."""
