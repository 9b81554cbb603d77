"""Readings as JSON: the strict reader, the fast one for columns that must agree with it, and the writer."""
