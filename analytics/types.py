"""Trino's types and DuckDB's: what one calls the other's, and what fits into a double."""

import re

DECIMAL_DIGITS_OF_DOUBLE = 15  # DBL_DIG: this many decimal digits survive conversion to a double and back
_TRINO_NAMES = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "UTINYINT": "smallint",
    "INTEGER": "integer",
    "USMALLINT": "integer",
    "BIGINT": "bigint",
    "UINTEGER": "bigint",
    "UBIGINT": "bigint",
    "HUGEINT": "bigint",  # DuckDB's type of SUM(bigint)
    "UHUGEINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double",
    "VARCHAR": "varchar",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_ARRAY = re.compile(r"array\((.+)\)")
_TIMESTAMP = re.compile(r"TIMESTAMP(_S|_MS|_NS|\(\d+\))?")


def decimal_digits(sql_type: str) -> int | None:
    """Return the precision of a decimal type, None for other types."""
    match = _DECIMAL.fullmatch(sql_type)
    return int(match[1]) if match else None


def duckdb_type(trino_type: str) -> str:
    """Return DuckDB's name of the type of a table's column; Trino's own, but for arrays."""
    array = _ARRAY.fullmatch(trino_type)
    return f"{duckdb_type(array[1])}[]" if array else trino_type


def trino_type_of_duckdb(duckdb_name: str) -> str:
    """Return Trino's name of a type of DuckDB; for an unknown type, its own name in lower case."""
    if _TIMESTAMP.fullmatch(duckdb_name):
        return "timestamp"
    return _TRINO_NAMES.get(duckdb_name, duckdb_name.lower())
