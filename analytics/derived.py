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
# The Arrhenius factor of a window: with a heat of activation of 83.144 kJ/mol over the gas constant of 0.0083144
# kJ/(mol K), so 10,000 K, at the window's time-weighted mean in K.
_ARRHENIUS = f"EXP(-10000 / (273.15 + {TIME_WEIGHTED_MEAN}))"
_MEAN_KINETIC = f"10000 / -LN(SUM(covered_ms * {_ARRHENIUS}) / SUM(covered_ms)) - 273.15"
KINETIC_COLUMNS: ViewColumns = (
    ("dt", "varchar", "dt"),
    ("sensor_id", "varchar", "sensor_id"),
    ("mean_kinetic_c", "double", _MEAN_KINETIC),
    ("time_weighted_mean_c", "double", "CAST(SUM(integral_milli_ms) AS DOUBLE) / (1000 * SUM(covered_ms))"),
    ("min_c", "decimal(10,3)", "CAST(MIN(min_milli) * 0.001 AS DECIMAL(10, 3))"),
    ("max_c", "decimal(10,3)", "CAST(MAX(max_milli) * 0.001 AS DECIMAL(10, 3))"),
    ("windows", "bigint", "COUNT(*)"),
    ("covered_ms", "bigint", "SUM(covered_ms)"),
)
"""Mean kinetic temperature of each sensor and day, over its windows, each weighted by the time its readings cover.

The formula is that of USP <1160>, "Mean Kinetic Temperature", after J. D. Haynes, J. Pharm. Sci. 60 (1971) 927, with
the average temperature of each of n periods. Periods here are windows. What varies within a window is averaged, which
makes the result too low by about 0.05 K times the square of the standard deviation within windows.
"""
VIEWS = {
    "kinetic_1d": "aggregates",
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
    if view == "kinetic_1d":
        return KINETIC_COLUMNS
    return SERIES_COLUMNS if view.startswith("series") else SENSOR_COLUMNS


def view_sql(view: str) -> str:
    """Return the SELECT of one of VIEWS."""
    columns = ", ".join(name if name == sql else f"{sql} AS {name}" for name, _, sql in columns_of(view))
    chosen = "" if view.startswith("series") else " WHERE quantity = 'temperature'"
    grouped = " AND covered_ms > 0 GROUP BY dt, sensor_id" if view == "kinetic_1d" else ""
    return f"SELECT {columns} FROM {VIEWS[view]}{chosen}{grouped}"  # noqa: S608 - our own names
