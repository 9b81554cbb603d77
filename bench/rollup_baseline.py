"""The roll of a window as it is usually written: flat Parquet files in, one row per sensor out.

Every way makes the union, the same aggregates and a Parquet file. The histogram stays a table of its own here, because
lists of lists are what these tools are slowest at.
"""

from pathlib import Path

WINDOW_MS = 300_000
HOLD_MS_MAX = 60_000
BIN_MILLI = 500
PERCENTILES = (5, 25, 50, 75, 95, 99)


def with_pandas(folder: Path, out: Path) -> None:
    """concat, drop_duplicates, groupby; categorical ids and no `apply`."""
    import numpy as np  # noqa: PLC0415 - each way pays for its own imports
    import pandas as pd  # noqa: PLC0415

    frame = pd.concat([pd.read_parquet(path) for path in sorted((folder / "flat").glob("*.parquet"))])
    frame["sensor_id"] = frame["sensor_id"].astype("category")
    frame = frame.drop_duplicates()
    identity = ["sensor_id", "event_time_ms", "sequence"]
    frame = frame.sort_values([*identity, "milli"])
    delivered = frame.groupby("sensor_id", observed=True).size()
    frame = frame.drop_duplicates(identity, keep="last")
    window_end = frame["event_time_ms"].iloc[0] // WINDOW_MS * WINDOW_MS + WINDOW_MS
    until = frame.groupby("sensor_id", observed=True)["event_time_ms"].shift(-1).fillna(window_end).astype("int64")
    frame["held_ms"] = (until - frame["event_time_ms"]).clip(upper=HOLD_MS_MAX)
    frame["integral"] = frame["milli"].astype("int64") * frame["held_ms"]
    frame["square"] = frame["milli"].astype("int64") ** 2
    groups = frame.groupby("sensor_id", observed=True)
    rows = groups.agg(
        readings=("milli", "size"),
        sum_milli=("milli", "sum"),
        sum_squares=("square", "sum"),
        min_milli=("milli", "min"),
        max_milli=("milli", "max"),
        first_milli=("milli", "first"),
        first_time=("event_time_ms", "first"),
        last_milli=("milli", "last"),
        last_time=("event_time_ms", "last"),
        integral=("integral", "sum"),
        covered_ms=("held_ms", "sum"),
    )
    fractions = np.array(PERCENTILES) / 100
    quantiles = groups["milli"].quantile(fractions, interpolation="higher")
    rows[[f"p{percent:02}" for percent in PERCENTILES]] = quantiles.unstack().to_numpy()
    rows["conflicts"] = delivered - rows["readings"]
    histogram = frame.groupby(["sensor_id", frame["milli"] // BIN_MILLI], observed=True).size()
    rows.to_parquet(out, compression="zstd")
    histogram.to_frame("readings").to_parquet(f"{out}.histogram", compression="zstd")


def with_duckdb(folder: Path, out: Path) -> None:
    """One statement; all cores, as it comes."""
    import duckdb  # noqa: PLC0415

    percentiles = ", ".join(f"quantile_disc(milli, {percent / 100}) AS p{percent:02}" for percent in PERCENTILES)
    connection = duckdb.connect(":memory:")
    connection.execute(
        f"""
        CREATE TABLE winners AS
        SELECT sensor_id, event_time_ms, sequence, max(milli) AS milli, count(*) - 1 AS conflicts
        FROM (SELECT DISTINCT * FROM read_parquet('{folder}/flat/*.parquet'))
        GROUP BY ALL
        """  # noqa: S608 - our own path
    )
    connection.execute(
        f"""
        COPY (
            SELECT sensor_id, count(*) AS readings, sum(milli) AS sum_milli,
                sum(milli::BIGINT * milli) AS sum_squares, min(milli) AS min_milli, max(milli) AS max_milli,
                arg_min(milli, (event_time_ms, sequence)) AS first_milli, min(event_time_ms) AS first_time,
                arg_max(milli, (event_time_ms, sequence)) AS last_milli, max(event_time_ms) AS last_time,
                {percentiles}, sum(milli * held_ms) AS integral, sum(held_ms) AS covered_ms,
                map_entries(histogram(milli // {BIN_MILLI})) AS histogram, sum(conflicts) AS conflicts
            FROM (
                SELECT *, least({HOLD_MS_MAX}, coalesce(lead(event_time_ms) OVER (
                    PARTITION BY sensor_id ORDER BY event_time_ms, sequence),
                    (event_time_ms // {WINDOW_MS} + 1) * {WINDOW_MS}) - event_time_ms) AS held_ms
                FROM winners)
            GROUP BY sensor_id ORDER BY sensor_id
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
        """  # noqa: S608 - our own path
    )


def with_polars(folder: Path, out: Path) -> None:
    """Lazy, all cores, as it comes."""
    import polars as pl  # noqa: PLC0415 - perhaps not installed

    identity = ["sensor_id", "event_time_ms", "sequence"]
    value = pl.col("milli")
    end = (pl.col("event_time_ms") // WINDOW_MS + 1) * WINDOW_MS
    held = pl.min_horizontal(
        pl.lit(HOLD_MS_MAX),
        pl.col("event_time_ms").shift(-1).over("sensor_id").fill_null(end) - pl.col("event_time_ms"),
    )
    winners = (
        pl.scan_parquet(f"{folder}/flat/*.parquet")
        .unique()
        .group_by(identity)
        .agg(value.max(), conflicts=pl.len() - 1)
        .sort(identity)
        .with_columns(held_ms=held)
    )
    winners.group_by("sensor_id").agg(
        readings=pl.len(),
        sum_milli=value.cast(pl.Int64).sum(),
        sum_squares=(value.cast(pl.Int64) ** 2).sum(),
        min_milli=value.min(),
        max_milli=value.max(),
        first_milli=value.first(),
        first_time=pl.col("event_time_ms").first(),
        last_milli=value.last(),
        last_time=pl.col("event_time_ms").last(),
        **{f"p{p:02}": value.quantile(p / 100, interpolation="higher") for p in PERCENTILES},
        integral=(value.cast(pl.Int64) * pl.col("held_ms")).sum(),
        covered_ms=pl.col("held_ms").sum(),
        histogram=(value // BIN_MILLI).value_counts(),
        conflicts=pl.col("conflicts").sum(),
    ).sort("sensor_id").collect().write_parquet(out, compression="zstd")
