"""The SQL views over the aggregates, and the one place where means and deviations are defined.

They are computed from exact integers, in doubles, whenever a query asks for them. The template declares the same views
to Glue, so the SQL is Trino's.
"""

from sqlglot import exp, parse_one

from analytics.query import DIALECT

ViewColumns = tuple[tuple[str, str, str], ...]

# n * sum of squares - (sum)^2, exact: 38 digits are enough for any day of one sensor.
_SPREAD = (
    "CAST(readings * sum_squares_milli2 - CAST(sum_milli AS DECIMAL(38, 0)) * CAST(sum_milli AS DECIMAL(38, 0))"
    " AS DOUBLE)"
)
MEAN_C = "CAST(sum_milli AS DOUBLE) / (1000 * readings)"
# NULL if no value was held for any time. BIGINT, because 1000 times the milliseconds of a day overflow an INTEGER.
TIME_WEIGHTED_MEAN_C = "CAST(integral_milli_ms AS DOUBLE) / (1000 * NULLIF(CAST(covered_ms AS BIGINT), 0))"

# (name, Trino type, expression over a row of aggregates), in the order of the views.
COLUMNS: ViewColumns = (
    ("dt", "varchar", "dt"),
    ("hour", "integer", "hour"),
    ("window_start", "timestamp(3)", "window_start"),
    ("sensor_id", "varchar", "sensor_id"),
    ("readings", "bigint", "readings"),
    ("mean_c", "double", MEAN_C),
    ("time_weighted_mean_c", "double", TIME_WEIGHTED_MEAN_C),
    ("sd_population_c", "double", f"SQRT({_SPREAD}) / (1000 * readings)"),
    (
        "sd_sample_c",
        "double",
        f"SQRT({_SPREAD} / NULLIF(CAST(readings AS DOUBLE) * (readings - 1), 0)) / 1000",
    ),
    ("range_c", "decimal(10,3)", "CAST((max_milli - min_milli) * 0.001 AS DECIMAL(10, 3))"),
    *(
        (f"{name}_c", "decimal(10,3)", f"CAST({name}_milli * 0.001 AS DECIMAL(10, 3))")
        for name in ("min", "max", "first", "last", "p05", "p25", "p50", "p75", "p95", "p99")
    ),
    ("first_time", "timestamp(3)", "first_time"),
    ("last_time", "timestamp(3)", "last_time"),
    ("covered_ms", "integer", "covered_ms"),
    ("conflicts", "bigint", "conflicts"),
)
VIEWS = {"sensors_5m": "aggregates", "sensors_1h": "aggregates_1h", "sensors_1d": "aggregates_1d"}
"""View -> the table it reads."""


def view_sql(view: str) -> str:
    """Return the SELECT of one of VIEWS."""
    columns = ", ".join(name if name == sql else f"{sql} AS {name}" for name, _, sql in COLUMNS)
    return f"SELECT {columns} FROM {VIEWS[view]}"  # noqa: S608 - our own names


def expand_views(select: exp.Query) -> tuple[exp.Query, bool]:
    """Return a copy of `select` with views replaced by their SELECTs, and whether there were any."""
    select = select.copy()
    found = [table for table in select.find_all(exp.Table) if table.name.lower() in VIEWS and not _is_local(table)]
    for table in found:
        body = parse_one(view_sql(table.name.lower()), dialect=DIALECT)
        assert isinstance(body, exp.Select)  # noqa: S101 - our own SQL
        table.replace(body.subquery(table.alias_or_name))
    return select, bool(found)


def _is_local(table: exp.Table) -> bool:
    """Return whether the query itself defines this name, in a WITH clause."""
    select: exp.Expr | None = table
    while select is not None:
        with_ = select.args.get("with_") or select.args.get("with")
        if with_ is not None and table.name.lower() in {cte.alias.lower() for cte in with_.expressions}:
            return True
        select = select.parent
    return False
