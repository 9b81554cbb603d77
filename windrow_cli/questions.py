"""The question of `windrow query`: the user's SQL, or a preset with its range."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from windrow.errors import UsageError, WindrowError
from windrow.likely import did_you_mean, likely
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS
from windrow_cli.ago import ago
from windrow_cli.stage import clock_ms

if TYPE_CHECKING:
    from analytics.query import Query
    from analytics.result import Engine
    from windrow.lake.store import ObjectStore
    from windrow.timerange import TimeRange

PRESETS = ("fleet", "sensors", "sensor", "latest", "hottest", "completeness", "silences", "excursions")
WINDOWS = ("5m", "1h", "1d")
# The range of a preset when no --from is given: a few dozen rows of the fleet.
_DEFAULT_FROM_MS = {"5m": 2 * 3_600_000, "1h": 2 * 86_400_000, "1d": 30 * 86_400_000}
_ABOUT_WINDOWS = ("completeness", "silences", "excursions")
SQL_BYTES_MAX = 1024**2


def query_of_sql(
    sql: str,
    *,
    preset: str | None,
    start: str | None,
    end: str | None,
    window: str | None = None,
    quantity: str | None = None,
) -> "Query":
    """Return the query of `--sql`, which has its own range."""
    from analytics.query import Query
    from analytics.select import parse_select

    if preset is not None:
        raise UsageError("both a preset and --sql", hint="give one of them")
    if start is not None or end is not None:
        raise UsageError("--from and --to do not apply to --sql", hint="write the range into its WHERE clause")
    if window is not None:
        raise UsageError("--window does not apply to --sql", hint="name the table: aggregates, aggregates_1h, ...")
    if quantity is not None:
        raise UsageError("--quantity does not apply to --sql", hint="write it into its WHERE clause: quantity = '...'")
    question = Query(_read_sql(sql))
    parse_select(question)  # bad SQL is found before anything is looked up
    return question


def _read_sql(sql: str) -> str:
    """Read SQL from standard input or a file, or return it as it is."""
    if sql == "-":
        return sys.stdin.read(SQL_BYTES_MAX)
    try:
        is_file = Path(sql).is_file()
    except OSError:  # longer than a file name may be
        is_file = False
    if not is_file:
        return sql
    try:
        with Path(sql).open(encoding="utf-8") as file:
            return file.read(SQL_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {sql}: {error}", hint="give a text file with SQL") from error


def query_of_preset(
    preset: str | None,
    sensor_id: str | None,
    *,
    start: str | None,
    end: str | None,
    limit: int | None,
    window: str | None = None,
    quantity: str | None = None,
) -> tuple["Query", "TimeRange"]:
    """Return the query of a preset, and its range."""
    from analytics import presets
    from windrow.timerange import parse_range

    if preset is None:
        raise UsageError("no question", hint=f"give --sql, or one of {', '.join(PRESETS)}")
    if (preset == "sensor") != (sensor_id is not None):
        wrong = "'sensor' needs a sensor id" if preset == "sensor" else f"{preset!r} takes no sensor id"
        raise UsageError(wrong, hint="windrow query sensor site-03/sensor-000003")
    length = window or WINDOWS[0]
    time_range = parse_range(start, end, now_ms=clock_ms(), length_ms=_DEFAULT_FROM_MS[length])
    if preset in _ABOUT_WINDOWS:
        if length != WINDOWS[0]:
            raise UsageError(f"{preset} has a row per five-minute window only", hint="leave out --window")
        return _about_windows(preset, time_range, quantity), time_range
    measured = quantity or presets.TEMPERATURE
    if sensor_id is not None:
        return presets.sensor(sensor_id, time_range, window=length, quantity=measured), time_range
    if preset == "hottest":
        sensors = limit or presets.HOTTEST_SENSORS
        return presets.hottest(time_range, sensors=sensors, window=length, quantity=measured), time_range
    plain = {"fleet": presets.fleet, "sensors": presets.sensors, "latest": presets.latest}
    return plain[preset](time_range, window=length, quantity=measured), time_range


def _about_windows(preset: str, time_range: "TimeRange", quantity: str | None) -> "Query":
    from analytics import presets

    if preset == "silences":
        return presets.silences(time_range, quantity=quantity)
    if preset == "excursions":
        return presets.excursions(time_range, quantity=quantity)
    if quantity is not None:
        raise UsageError("completeness counts every quantity", hint="leave out --quantity")
    return presets.completeness(time_range)


def good_news(engine: "Engine", preset: str | None, time_range: "TimeRange") -> str:
    """Return what it means that `preset` has no rows from a range of closed windows; empty where that is an error.

    In an outage no sensor is called silent (windrow.rows.silence), which is no good news, so that is said.
    """
    if preset not in ("silences", "excursions"):
        return ""
    from analytics import presets

    windows = engine.run(presets.completeness(time_range)).frame
    if windows.empty:
        return ""
    closed = "the one closed window" if len(windows) == 1 else f"any of {len(windows):,} closed windows"
    if preset == "excursions":
        return f"nothing rang in {closed} from {time_range}; windrow status shows whether there are rules"
    outages = windows[2 * windows["sensors"] < windows["sensors_expected"]]
    if outages.empty:
        return f"no sensor was silent in {closed} from {time_range}"
    newest = outages.iloc[-1]
    count = "1 window is an outage" if len(outages) == 1 else f"{len(outages):,} windows are outages"
    return (
        f"no sensor is named in {closed} from {time_range}, but {count}, in which most are missing and none is named;"
        f" the newest, {newest['window_start']:%Y-%m-%dT%H:%M:%SZ}, has {newest['sensors']:,} of"
        f" {newest['sensors_expected']:,} sensors: windrow query completeness"
    )


def nothing_there(
    engine: "Engine",
    results: "ObjectStore",
    time_range: "TimeRange",
    *,
    sensor_id: str | None,
    quantity: str | None = None,
) -> WindrowError:
    """Return the error that says why a preset has no rows in a range, and where there are some."""
    from analytics import presets
    from analytics.objects import newest_window

    measured = quantity or presets.TEMPERATURE
    others = engine.run(presets.quantities(time_range)).frame["quantity"].dropna().tolist()
    if others and measured not in others:
        hint = did_you_mean([f"--quantity {one}" for one in likely(measured, others) or others[:3]])
        return WindrowError(f"no {measured} from {time_range}", hint=hint)
    if sensor_id is not None and not engine.run(presets.fleet(time_range, quantity=measured)).frame.empty:
        bounds = f"--from {format_rfc3339(time_range.start_ms)} --to {format_rfc3339(time_range.end_ms)}"
        message = f"no sensor {sensor_id!r} from {time_range}"
        known = engine.run(presets.sensor_ids(time_range)).frame["sensor_id"].tolist()
        hint = did_you_mean([repr(one) for one in likely(sensor_id, known)])
        return WindrowError(message, hint=hint or f"see which sensors there are: windrow query latest {bounds}")
    newest = newest_window(results)
    if newest is None:
        return WindrowError(f"no rows from {time_range}, nor at any other time", hint="run: windrow tick")
    around = f"--from {format_rfc3339(newest.end_ms - 12 * WINDOW_MS)} --to {format_rfc3339(newest.end_ms)}"
    return WindrowError(
        f"no rows from {time_range}",
        hint=f"the newest, {ago(newest.end_ms, now_ms=clock_ms())}, are there with {around}",
    )
