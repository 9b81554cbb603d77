SELECT
  window_start,
  sensor_id,
  quantity,
  state,
  last_window,
  missing_windows
FROM silences
WHERE dt BETWEEN ? AND ?
  AND hour BETWEEN ? AND ?
  AND (dt > ? OR hour >= ?)
  AND (dt < ? OR hour <= ?)
  AND window_start >= CAST(? AS TIMESTAMP)
  AND window_start < CAST(? AS TIMESTAMP)
ORDER BY window_start, sensor_id, quantity, unit

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
