SELECT
  window_start,
  readings,
  CAST(sum_milli AS DOUBLE) / (1000 * readings) AS mean_c,
  CAST(integral_milli_ms AS DOUBLE) / (1000 * NULLIF(CAST(covered_ms AS BIGINT), 0)) AS time_weighted_mean_c,
  CAST(min_milli * 0.001 AS DECIMAL(10, 3)) AS min_c,
  CAST(p05_milli * 0.001 AS DECIMAL(10, 3)) AS p05_c,
  CAST(p25_milli * 0.001 AS DECIMAL(10, 3)) AS p25_c,
  CAST(p50_milli * 0.001 AS DECIMAL(10, 3)) AS p50_c,
  CAST(p75_milli * 0.001 AS DECIMAL(10, 3)) AS p75_c,
  CAST(p95_milli * 0.001 AS DECIMAL(10, 3)) AS p95_c,
  CAST(p99_milli * 0.001 AS DECIMAL(10, 3)) AS p99_c,
  CAST(max_milli * 0.001 AS DECIMAL(10, 3)) AS max_c,
  CAST(first_milli * 0.001 AS DECIMAL(10, 3)) AS first_c,
  first_time,
  CAST(last_milli * 0.001 AS DECIMAL(10, 3)) AS last_c,
  last_time,
  conflicts
FROM aggregates
WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
  AND quantity = ?
  AND sensor_id = ?
ORDER BY window_start

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
-- 'o''brien''s'
