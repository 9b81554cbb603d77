"""What a day of a fleet looks like, as DataFrames. Run by a test; run it yourself on a stage that has results:

python docs/example.py                                                                # the embedded stack
WINDROW_TARGET=aws AWS_REGION=eu-central-1 WINDROW_STAGE=prod python docs/example.py  # AWS
"""
# ruff: noqa: T201 - a script that prints

from windrow import connect

windrow = connect()

# The fleet over time: one row per window, indexed by its start in UTC.
fleet = windrow.fleet("-1d")
print(fleet[["sensors", "readings", "mean_c", "min_c", "max_c"]].tail(3).to_string())
print(
    f"from {fleet.index.min():%Y-%m-%d %H:%M} to {fleet.index.max():%H:%M} UTC, {fleet['readings'].sum():,} readings\n"
)

# pandas does the rest: hourly means that weigh every reading alike, not every window.
weighted = (fleet["mean_c"] * fleet["readings"]).resample("1h").sum() / fleet["readings"].resample("1h").sum()
print(weighted.round(3).tail(3).to_string(), "\n")

# One sensor with all its percentiles.
hottest = windrow.hottest("-1d", sensors=1)["sensor_id"].iloc[0]
history = windrow.sensor(hottest, "-1d")
print(f"{hottest}: 95 % of its readings were below {history['p95_c'].max():.2f} °C at most\n")

# Anything else is SQL, the same as in Athena. Values go beside the text, not into it.
sites = windrow.sql(
    """
    SELECT split_part(sensor_id, '/', 1) AS site, COUNT(DISTINCT sensor_id) AS sensors,
           SUM(sum_milli) / (1e3 * SUM(readings)) AS mean_c
    FROM aggregates WHERE dt >= :day GROUP BY 1 ORDER BY 3 DESC LIMIT 3
    """,
    day=f"{fleet.index.min():%Y-%m-%d}",
)
print(sites.round(3).to_string(index=False))
