"""Readings as JSON: a strict reader, a fast reader of whole columns that must agree with it, and a writer."""
