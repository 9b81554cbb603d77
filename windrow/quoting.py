"""Quoting of values and names for SQL, in Trino and in DuckDB alike."""


def quoted_text(value: object) -> str:
    """Return `value` as a string literal: in single quotes, with quotes inside doubled."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted_name(name: object) -> str:
    """Return `name` as an identifier: in double quotes, with quotes inside doubled."""
    return '"' + str(name).replace('"', '""') + '"'
