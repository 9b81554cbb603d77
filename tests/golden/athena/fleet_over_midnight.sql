SELECT
  window_start,
  COUNT(*) AS sensors,
  SUM(readings) AS readings,
  CAST(SUM(sum_milli) AS DOUBLE) / (1000 * SUM(readings)) AS mean_c,
  CAST(MIN(min_milli) * 0.001 AS DECIMAL(10, 3)) AS min_c,
  CAST(MAX(max_milli) * 0.001 AS DECIMAL(10, 3)) AS max_c,
  SUM(conflicts) AS conflicts
FROM aggregates
WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
  AND quantity = ?
GROUP BY window_start
ORDER BY window_start

-- ExecutionParameters
-- '2026-11-20'
-- '2026-11-21'
-- 0
-- 23
-- '2026-11-20'
-- 22
-- '2026-11-21'
-- 1
-- '2026-11-20 22:05:00.000'
-- '2026-11-21 01:10:00.000'
-- 'temperature'
