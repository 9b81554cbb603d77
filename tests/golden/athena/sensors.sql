SELECT
  window_start,
  sensor_id,
  readings,
  CAST(sum_milli AS DOUBLE) / (1000 * readings) AS mean_c,
  CAST(min_milli * 0.001 AS DECIMAL(10, 3)) AS min_c,
  CAST(p50_milli * 0.001 AS DECIMAL(10, 3)) AS p50_c,
  CAST(p95_milli * 0.001 AS DECIMAL(10, 3)) AS p95_c,
  CAST(max_milli * 0.001 AS DECIMAL(10, 3)) AS max_c,
  CAST(last_milli * 0.001 AS DECIMAL(10, 3)) AS last_c,
  conflicts
FROM aggregates
WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
  AND quantity = ?
ORDER BY window_start, sensor_id

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
