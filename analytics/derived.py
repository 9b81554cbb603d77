"""The SQL views over the aggregates, and the one place where means and deviations are defined.

They are computed from exact integers, in doubles, whenever a query asks for them. The template declares the same views
to Glue, so the SQL is Trino's.
"""

ViewColumns = tuple[tuple[str, str, str], ...]

# n * sum of squares - (sum)^2, exact: 38 digits are enough for any day of one series.
_SPREAD = (
    "CAST(readings * sum_squares_milli2 - CAST(sum_milli AS DECIMAL(38, 0)) * CAST(sum_milli AS DECIMAL(38, 0))"
    " AS DOUBLE)"
)
MEAN = "CAST(sum_milli AS DOUBLE) / (1000 * readings)"
# NULL if no value was held for any time. BIGINT, because 1000 times the milliseconds of a day overflow an INTEGER.
TIME_WEIGHTED_MEAN = "CAST(integral_milli_ms AS DOUBLE) / (1000 * NULLIF(CAST(covered_ms AS BIGINT), 0))"


def _columns(quantity: ViewColumns, suffix: str) -> ViewColumns:
    """Return (name, Trino type, expression over a row of aggregates), in the order of the views.

    `suffix` ends the names of values, whose unit it is: none where a column of `quantity` says the unit.
    """
    sample = f"SQRT({_SPREAD} / NULLIF(CAST(readings AS DOUBLE) * (readings - 1), 0)) / 1000"
    # BIGINT, because a range of 32-bit values takes 33 bits.
    value_range = "CAST((CAST(max_milli AS BIGINT) - min_milli) * 0.001 AS DECIMAL(10, 3))"
    return (
        ("dt", "varchar", "dt"),
        ("hour", "integer", "hour"),
        ("window_start", "timestamp(3)", "window_start"),
        ("sensor_id", "varchar", "sensor_id"),
        *quantity,
        ("readings", "bigint", "readings"),
        (f"mean{suffix}", "double", MEAN),
        (f"time_weighted_mean{suffix}", "double", TIME_WEIGHTED_MEAN),
        (f"sd_population{suffix}", "double", f"SQRT({_SPREAD}) / (1000 * readings)"),
        (f"sd_sample{suffix}", "double", sample),
        (f"range{suffix}", "decimal(10,3)", value_range),
        *(
            (f"{name}{suffix}", "decimal(10,3)", f"CAST({name}_milli * 0.001 AS DECIMAL(10, 3))")
            for name in ("min", "max", "first", "last", "p05", "p25", "p50", "p75", "p95", "p99")
        ),
        ("first_time", "timestamp(3)", "first_time"),
        ("last_time", "timestamp(3)", "last_time"),
        ("covered_ms", "integer", "covered_ms"),
        ("conflicts", "bigint", "conflicts"),
    )


SENSOR_COLUMNS = _columns((), "_c")
"""Temperatures in degrees Celsius; of a fleet of thermometers, all there is."""
SERIES_COLUMNS = _columns((("quantity", "varchar", "quantity"), ("unit", "varchar", "unit")), "")
"""Every quantity in its own unit."""
VIEWS = {
    "sensors_5m": "aggregates",
    "sensors_1h": "aggregates_1h",
    "sensors_1d": "aggregates_1d",
    "series_5m": "aggregates",
    "series_1h": "aggregates_1h",
    "series_1d": "aggregates_1d",
}
"""View -> the table it reads."""


def columns_of(view: str) -> ViewColumns:
    """Return the columns of one of VIEWS."""
    return SERIES_COLUMNS if view.startswith("series") else SENSOR_COLUMNS


def view_sql(view: str) -> str:
    """Return the SELECT of one of VIEWS."""
    columns = ", ".join(name if name == sql else f"{sql} AS {name}" for name, _, sql in columns_of(view))
    chosen = "" if view.startswith("series") else " WHERE quantity = 'temperature'"
    return f"SELECT {columns} FROM {VIEWS[view]}{chosen}"  # noqa: S608 - our own names
