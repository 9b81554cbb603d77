WITH ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY rule, sensor_id, quantity, unit, began ORDER BY window_start DESC) AS age
  FROM excursions
  WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
  AND state <> 'pending'
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

-- ExecutionParameters
-- '2026-11-20'
-- '2026-11-20'
-- 10
-- 11
-- '2026-11-20'
-- 10
-- '2026-11-20'
-- 11
-- '2026-11-20 10:00:00.000'
-- '2026-11-20 12:00:00.000'
