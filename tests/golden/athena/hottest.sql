WITH peaks AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY sensor_id ORDER BY max_milli DESC, window_start) AS peak
  FROM aggregates
  WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
  AND quantity = ?
), ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (ORDER BY max_milli DESC, sensor_id) AS place
  FROM peaks
  WHERE peak = 1
)
SELECT
  place,
  sensor_id,
  CAST(max_milli * 0.001 AS DECIMAL(10, 3)) AS max_c,
  window_start,
  readings,
  CAST(sum_milli AS DOUBLE) / (1000 * readings) AS mean_c
FROM ranked
WHERE place <= ?
ORDER BY place

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
-- 3
