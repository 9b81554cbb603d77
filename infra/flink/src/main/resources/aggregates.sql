-- Rows of five minutes by Flink: of each identity the first reading to arrive, in tumbling windows of event time.
--
-- A statement ends with a semicolon at the end of a line; SET goes to the configuration of the tables; ${...} are
-- properties of the application. What differs from windrow's own rows is in docs/flink.md.

SET 'table.local-time-zone' = 'UTC';
SET 'table.exec.source.idle-timeout' = '60 s';
SET 'table.exec.state.ttl' = '${duplicates_known_for}';

CREATE TEMPORARY FUNCTION event_ms AS 'windrow.flink.EventMs';
CREATE TEMPORARY FUNCTION milli AS 'windrow.flink.Milli';
CREATE TEMPORARY FUNCTION statistics AS 'windrow.flink.Statistics';

-- A time that is none, or more than five minutes ahead, counts as 1970, which is late for every window. As it came it
-- would carry the watermark along, and all other readings would be late instead.
CREATE TEMPORARY TABLE payloads (
  sensor_id STRING,
  event_time STRING,
  temperature DECIMAL(20, 9),
  quantity STRING,
  `value` DECIMAL(20, 9),
  unit STRING,
  sequence BIGINT,
  event_at AS TO_TIMESTAMP_LTZ(
    CASE WHEN event_ms(event_time) <= UNIX_TIMESTAMP() * 1000 + 300000 THEN event_ms(event_time) ELSE 0 END, 3),
  arrived_at AS PROCTIME(),
  WATERMARK FOR event_at AS event_at - INTERVAL '${late_minutes}' MINUTE
) WITH (${source});

-- What is a reading, near enough to windrow/wire/json/strict.py. Null, if a field is missing.
CREATE TEMPORARY VIEW readings AS
SELECT
  sensor_id,
  CASE WHEN temperature IS NOT NULL THEN 'temperature' ELSE COALESCE(quantity, 'temperature') END AS quantity,
  CASE WHEN temperature IS NOT NULL OR COALESCE(quantity, 'temperature') = 'temperature' THEN 'C' ELSE unit END AS unit,
  event_at,
  event_ms(event_time) AS event_ms,
  COALESCE(sequence, 0) AS sequence,
  CASE
    WHEN temperature IS NOT NULL THEN milli(temperature, COALESCE(unit, 'C'), TRUE)
    WHEN quantity = 'temperature' THEN milli(`value`, COALESCE(unit, 'C'), TRUE)
    WHEN quantity IS NOT NULL THEN milli(`value`, unit, FALSE)
  END AS milli,
  arrived_at
FROM payloads;

CREATE TEMPORARY VIEW first_readings AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (
    PARTITION BY sensor_id, quantity, unit, event_ms, sequence ORDER BY arrived_at) AS delivery
  FROM readings
  WHERE sensor_id IS NOT NULL AND CHAR_LENGTH(sensor_id) BETWEEN 1 AND 128 AND milli IS NOT NULL AND sequence >= 0
    AND (quantity <> 'temperature' OR milli BETWEEN -273150 AND 10000000)
) WHERE delivery = 1;

CREATE TEMPORARY TABLE aggregates_flink (
  window_start TIMESTAMP(3),
  sensor_id STRING,
  quantity STRING,
  unit STRING,
  readings BIGINT,
  sum_milli BIGINT,
  sum_squares_milli2 DECIMAL(38, 0),
  min_milli INT,
  max_milli INT,
  first_milli INT,
  first_time TIMESTAMP(3),
  last_milli INT,
  last_time TIMESTAMP(3),
  p05_milli INT,
  p25_milli INT,
  p50_milli INT,
  p75_milli INT,
  p95_milli INT,
  p99_milli INT,
  integral_milli_ms BIGINT,
  covered_ms INT,
  histogram_bins ARRAY<INT>,
  histogram_counts ARRAY<INT>,
  dt STRING,
  `hour` STRING
) PARTITIONED BY (dt, `hour`) WITH (
  'connector' = 'filesystem',
  'path' = '${results}',
  'format' = 'parquet',
  'parquet.utc-timezone' = 'true',
  'parquet.write.int64.timestamp' = 'true',
  'parquet.timestamp.time.unit' = 'millis'
);

INSERT INTO aggregates_flink
SELECT
  window_start, sensor_id, quantity, unit, readings, sum_milli, sum_squares_milli2,
  min_milli, max_milli,
  s.first_milli, CAST(TO_TIMESTAMP_LTZ(s.first_ms, 3) AS TIMESTAMP(3)),
  s.last_milli, CAST(TO_TIMESTAMP_LTZ(s.last_ms, 3) AS TIMESTAMP(3)),
  s.percentiles[1], s.percentiles[2], s.percentiles[3], s.percentiles[4], s.percentiles[5], s.percentiles[6],
  s.integral_milli_ms, s.covered_ms, s.bins, s.counts,
  DATE_FORMAT(window_start, 'yyyy-MM-dd'), DATE_FORMAT(window_start, 'HH')
FROM (
  SELECT
    window_start, sensor_id, quantity, unit,
    COUNT(*) AS readings,
    SUM(CAST(milli AS BIGINT)) AS sum_milli,
    SUM(CAST(CAST(milli AS BIGINT) * milli AS DECIMAL(38, 0))) AS sum_squares_milli2,
    MIN(milli) AS min_milli,
    MAX(milli) AS max_milli,
    statistics(ARRAY_AGG(ROW(event_ms, sequence, milli))) AS s
  FROM TABLE(TUMBLE(TABLE first_readings, DESCRIPTOR(event_at), INTERVAL '5' MINUTES))
  GROUP BY window_start, window_end, sensor_id, quantity, unit
);
