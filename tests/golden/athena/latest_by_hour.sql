WITH ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY sensor_id ORDER BY window_start DESC) AS age
  FROM aggregates_1h
  WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
  AND quantity = ?
)
SELECT
  sensor_id,
  last_time,
  CAST(last_milli * 0.001 AS DECIMAL(10, 3)) AS last_c,
  window_start,
  readings,
  CAST(sum_milli AS DOUBLE) / (1000 * readings) AS mean_c
FROM ranked
WHERE age = 1
ORDER BY sensor_id

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
-- 'temperature'
