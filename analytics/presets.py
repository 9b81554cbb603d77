"""Presets: ready-made queries in Trino SQL, each about one quantity.

Temperatures are returned in degrees Celsius, in columns that end in `_c`; of any other quantity the columns have no
such ending, and there is a column `unit`. Exact values stay exact: a column in thousandths becomes a DECIMAL with three
places; means are doubles. Every preset restricts not only the windows but also the partitions (dt, hour), so Athena
reads no others.
"""

from collections.abc import Sequence

from analytics.derived import MEAN, TIME_WEIGHTED_MEAN
from analytics.query import Parameter, Query
from windrow.timerange import TimeRange

HOTTEST_SENSORS = 10
SENSOR_IDS_MAX = 20_000
"""The most ids that a misspelled one is compared with: about a second."""
TABLES_BY_WINDOW = {"5m": "aggregates", "1h": "aggregates_1h", "1d": "aggregates_1d"}
"""Length of the rows -> table. Hours and days have the same columns as windows, so presets work on each."""

TEMPERATURE = "temperature"
"""The quantity that presets are about unless they are told another."""

IN_RANGE = """dt BETWEEN :first_dt AND :last_dt
  AND hour BETWEEN :hour_min AND :hour_max
  AND (dt > :first_dt OR hour >= :first_hour)
  AND (dt < :last_dt OR hour <= :last_hour)
  AND window_start >= CAST(:start AS TIMESTAMP)
  AND window_start < CAST(:end AS TIMESTAMP)"""
"""The condition on partitions and windows of a range; its parameters are those of `range_values`."""

_SENSORS = """
SELECT
  window_start,
  sensor_id,
  {unit}readings,
  {mean_c},
  {min_c},
  {p50_c},
  {p95_c},
  {max_c},
  {last_c},
  conflicts
FROM {table}
WHERE {in_range}
  AND quantity = :quantity
ORDER BY window_start, sensor_id{then_unit}
"""

_SENSOR = """
SELECT
  {sensor_id}window_start,
  {unit}readings,
  {mean_c},
  {time_weighted_mean_c},
  {min_c},
  {p05_c},
  {p25_c},
  {p50_c},
  {p75_c},
  {p95_c},
  {p99_c},
  {max_c},
  {first_c},
  first_time,
  {last_c},
  last_time,
  conflicts
FROM {table}
WHERE {in_range}
  AND quantity = :quantity
  AND {is_wanted}
ORDER BY {sensor_id}window_start{then_unit}
"""

_FLEET = """
SELECT
  window_start,
  {unit}COUNT(*) AS sensors,
  SUM(readings) AS readings,
  CAST(SUM(sum_milli) AS DOUBLE) / (1000 * SUM(readings)) AS mean{ending},
  CAST(MIN(min_milli) * 0.001 AS DECIMAL(10, 3)) AS min{ending},
  CAST(MAX(max_milli) * 0.001 AS DECIMAL(10, 3)) AS max{ending},
  SUM(conflicts) AS conflicts
FROM {table}
WHERE {in_range}
  AND quantity = :quantity
GROUP BY window_start{then_unit}
ORDER BY window_start{then_unit}
"""

_LATEST = """
WITH ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY sensor_id{then_unit} ORDER BY window_start DESC) AS age
  FROM {table}
  WHERE {in_range}
  AND quantity = :quantity{is_wanted}
)
SELECT
  sensor_id,
  {unit}last_time,
  {last_c},
  window_start,
  readings,
  {mean_c}
FROM ranked
WHERE age = 1
ORDER BY sensor_id{then_unit}
"""

_HOTTEST = """
WITH peaks AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY sensor_id{then_unit} ORDER BY max_milli DESC, window_start) AS peak
  FROM {table}
  WHERE {in_range}
  AND quantity = :quantity
), ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER ({by_unit}ORDER BY max_milli DESC, sensor_id) AS place
  FROM peaks
  WHERE peak = 1
)
SELECT
  place,
  sensor_id,
  {unit}{max_c},
  window_start,
  readings,
  {mean_c}
FROM ranked
WHERE place <= :sensors
ORDER BY place{then_unit}
"""


_COMPLETENESS = """
SELECT
  window_start,
  sensors,
  sensors_expected,
  completeness,
  silent,
  readings,
  late,
  duplicates_removed,
  conflicts,
  quarantined,
  CARDINALITY(shards) AS shards,
  revision,
  is_final,
  scheduled_time
FROM windows
WHERE {in_range}
ORDER BY window_start
"""

_SILENCES = """
SELECT
  window_start,
  sensor_id,
  quantity,
  state,
  last_window,
  missing_windows
FROM silences
WHERE {in_range}{is_wanted}
ORDER BY window_start, sensor_id, quantity, unit
"""

_EXCURSIONS = """
WITH ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY rule, sensor_id, quantity, unit, began ORDER BY window_start DESC) AS age
  FROM excursions
  WHERE {in_range}
  AND state <> 'pending'{is_wanted}
)
SELECT
  rule,
  severity,
  sensor_id,
  quantity,
  unit,
  began,
  rang,
  CASE WHEN state <> 'lasts' THEN until END AS ended,
  state,
  CAST(extreme_milli * 0.001 AS DECIMAL(20, 3)) AS extreme,
  CAST(beyond_milli_ms AS DOUBLE) / 60000000 AS beyond_unit_minutes,
  CASE WHEN held_ms > 0 THEN CAST(held_ms AS DOUBLE) / 60000 END AS held_minutes,
  windows,
  revision
FROM ranked
WHERE age = 1
ORDER BY rang, rule, sensor_id, quantity, unit
"""


def sensors(time_range: TimeRange, *, window: str = "5m", quantity: str = TEMPERATURE) -> Query:
    """Return one row per window and sensor, sorted by window, then sensor id."""
    return _bind(_SENSORS, time_range, window=window, quantity=quantity)


def sensor(sensor_id: str, time_range: TimeRange, *, window: str = "5m", quantity: str = TEMPERATURE) -> Query:
    """Return all columns of one sensor, a row per window."""
    text = _SENSOR.replace("{sensor_id}", "").replace("{is_wanted}", "sensor_id = :sensor_id")
    return _bind(text, time_range, window=window, quantity=quantity, sensor_id=sensor_id)


def histories(sensor_ids: Sequence[str], time_range: TimeRange, *, quantity: str = TEMPERATURE) -> Query:
    """Return the columns of `sensor` for several sensors at once, with `sensor_id`, sorted by sensor, then window."""
    wanted, values = _one_of(sensor_ids)
    text = _SENSOR.replace("{sensor_id}", "sensor_id, ").replace("{is_wanted}", wanted)
    return _bind(text, time_range, quantity=quantity, **values)


def fleet(time_range: TimeRange, *, window: str = "5m", quantity: str = TEMPERATURE) -> Query:
    """Return one row per window over all sensors; in the mean every reading has the same weight."""
    return _bind(_FLEET, time_range, window=window, quantity=quantity)


def latest(time_range: TimeRange, *, window: str = "5m", quantity: str = TEMPERATURE) -> Query:
    """Return the newest row of each sensor in the range, sorted by sensor id."""
    return _bind(_LATEST.replace("{is_wanted}", ""), time_range, window=window, quantity=quantity)


def latest_of(
    sensor_ids: Sequence[str], time_range: TimeRange, *, window: str = "5m", quantity: str = TEMPERATURE
) -> Query:
    """Return the newest row of each of `sensor_ids`, at least one, as `latest` does."""
    wanted, values = _one_of(sensor_ids)
    text = _LATEST.replace("{is_wanted}", f"\n  AND {wanted}")
    return _bind(text, time_range, window=window, quantity=quantity, **values)


def hottest(
    time_range: TimeRange, *, sensors: int = HOTTEST_SENSORS, window: str = "5m", quantity: str = TEMPERATURE
) -> Query:
    """Return the sensors with the highest readings, each with its first such window; ties go to the smaller id.

    Of each unit, if the quantity comes in several.
    """
    return _bind(_HOTTEST, time_range, window=window, quantity=quantity, sensors=sensors)


def completeness(time_range: TimeRange) -> Query:
    """Return the lineage of each rolled window: sensors heard, and readings that came late or twice."""
    return _bind(_COMPLETENESS, time_range)


def silences(time_range: TimeRange, *, quantity: str | None = None) -> Query:
    """Return one row per window, sensor and quantity that is silent in it, or was until then; None: of every quantity.

    So nothing that fell silent is hidden, unless one asks for a single quantity.
    """
    wanted = "" if quantity is None else "\n  AND quantity = :quantity"
    return _bind(_SILENCES.replace("{is_wanted}", wanted), time_range, quantity=quantity)


def excursions(time_range: TimeRange, *, quantity: str | None = None) -> Query:
    """Return one row per excursion that was under way in a range, as it stood at its end, by the time it rang."""
    wanted = "" if quantity is None else "\n  AND quantity = :quantity"
    return _bind(_EXCURSIONS.replace("{is_wanted}", wanted), time_range, quantity=quantity)


def sensor_ids(time_range: TimeRange) -> Query:
    """Return the ids of at most SENSOR_IDS_MAX sensors that have rows: what a misspelled one is compared with."""
    return Query.bind(
        f"SELECT DISTINCT sensor_id FROM aggregates WHERE {IN_RANGE} LIMIT {SENSOR_IDS_MAX}",  # noqa: S608
        range_values(time_range),
    )


def quantities(time_range: TimeRange) -> Query:
    """Return the names of the quantities that have rows, ascending."""
    return Query.bind(
        f"SELECT DISTINCT quantity FROM aggregates WHERE {IN_RANGE} ORDER BY quantity",  # noqa: S608 - our own text
        range_values(time_range),
    )


def units(time_range: TimeRange) -> Query:
    """Return the quantities and units that have rows, ascending."""
    return Query.bind(
        f"SELECT DISTINCT quantity, unit FROM aggregates WHERE {IN_RANGE} ORDER BY quantity, unit",  # noqa: S608
        range_values(time_range),
    )


def _one_of(sensor_ids: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the condition that a row is of one of the sensors, and its parameters."""
    values = {f"sensor_{place}": sensor_id for place, sensor_id in enumerate(sensor_ids)}
    return f"sensor_id IN ({', '.join(f':{name}' for name in values)})", values


def _bind(
    sql: str, time_range: TimeRange, *, window: str = "5m", quantity: str | None = None, **values: Parameter
) -> Query:
    """Fill in the columns of the quantity and the values; without a quantity the query is about all, or about none."""
    is_other = quantity not in {None, TEMPERATURE}
    text = sql.format(
        in_range=IN_RANGE,
        table=TABLES_BY_WINDOW[window],
        ending="" if is_other else "_c",
        unit="unit,\n  " if is_other else "",
        then_unit=", unit" if is_other else "",
        by_unit="PARTITION BY unit " if is_other else "",
        **(_COLUMNS if is_other else _COLUMNS_C),
    ).strip()
    of_quantity = {} if quantity is None else {"quantity": quantity}
    return Query.bind(text, range_values(time_range) | of_quantity | values)


def range_values(time_range: TimeRange) -> dict[str, Parameter]:
    """Return the parameters that restrict partitions and windows to `time_range`.

    `hour_min` and `hour_max` look redundant, but a planner can prune by them even if it cannot use the conditions on
    the first and the last day.
    """
    (first_dt, first_hour), (last_dt, last_hour) = time_range.first_partition, time_range.last_partition
    hour_min, hour_max = (first_hour, last_hour) if first_dt == last_dt else (0, 23)
    return {
        "first_dt": first_dt,
        "last_dt": last_dt,
        "hour_min": hour_min,
        "hour_max": hour_max,
        "first_hour": first_hour,
        "last_hour": last_hour,
        "start": time_range.start_sql,
        "end": time_range.end_sql,
    }


def _columns(ending: str) -> dict[str, str]:
    """Return the columns of the templates above; `ending` ends their names."""
    names = ("min", "max", "first", "last", "p05", "p25", "p50", "p75", "p95", "p99")
    return {f"{name}_c": f"CAST({name}_milli * 0.001 AS DECIMAL(10, 3)) AS {name}{ending}" for name in names} | {
        "mean_c": f"{MEAN} AS mean{ending}",
        "time_weighted_mean_c": f"{TIME_WEIGHTED_MEAN} AS time_weighted_mean{ending}",
    }


_COLUMNS_C = _columns("_c")
_COLUMNS = _columns("")
