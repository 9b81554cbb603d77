"""Functions of Trino that DuckDB has not, as macros for it."""

MACROS = (
    # The digits after the point of a DECIMAL; 0 for integers, NULL for DOUBLE, where nothing is rounded.
    "CREATE MACRO trino_scale(kind) AS CASE WHEN kind IN ('DOUBLE', 'FLOAT') THEN NULL "
    "ELSE COALESCE(TRY_CAST(regexp_extract(kind, '^DECIMAL\\(\\d+,(\\d+)\\)$', 1) AS INTEGER), 0) END",
    "CREATE MACRO trino_is_integer(kind) AS kind IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', "
    "'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT', 'UHUGEINT')",
    # Trino cuts the quotient of integers, and rounds that of decimals to the greater scale of the two: 1 / 3.0 is 0.3.
    "CREATE MACRO trino_divide(a, b) AS CASE "
    "WHEN trino_is_integer(typeof(a)) AND trino_is_integer(typeof(b)) THEN a // b "
    "WHEN trino_scale(typeof(a)) + trino_scale(typeof(b)) IS NULL THEN a / b "
    "ELSE round(a / b, greatest(trino_scale(typeof(a)), trino_scale(typeof(b)))) END",
)
"""Macros that the SQL from `rewrite_for_duckdb` uses; run these in DuckDB first."""
