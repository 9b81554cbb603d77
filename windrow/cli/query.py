"""`windrow query`: questions about the results, ready-made or in SQL."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.cli.console import err
from windrow.cli.stage import clock_ms, deployment_of, home_folder, stage_option
from windrow.errors import UsageError, WindrowError
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

if TYPE_CHECKING:
    from analytics.query import Query
    from analytics.result import Engine, Progress, Result
    from windrow.store import ObjectStore
    from windrow.timerange import TimeRange

PRESETS = ("fleet", "sensors", "sensor", "latest", "hottest")
SQL_BYTES_MAX = 1024**2


@click.command()
@click.argument("preset", type=click.Choice(PRESETS), required=False)
@click.argument("sensor_id", required=False)
@click.option(
    "--from", "start", metavar="TIME", help="First window start: RFC 3339, or -2h.  [default: 2 h before --to]"
)
@click.option("--to", "end", metavar="TIME", help="End of the range, exclusive: RFC 3339, or -30m.  [default: now]")
@click.option("--sql", metavar="SQL", help="Trino SQL of your own: a file, - for standard input, or the text itself.")
@click.option("--limit", type=click.IntRange(min=1), metavar="ROWS", help="At most so many rows.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@stage_option
def query(
    *,
    preset: str | None,
    sensor_id: str | None,
    start: str | None,
    end: str | None,
    sql: str | None,
    limit: int | None,
    form: str,
    stage: str,
) -> None:
    """Ask the results. Rows go to standard output; who answered, and what it took, to standard error.

    \b
    fleet       one row per window over all sensors
    sensors     one row per window and sensor
    sensor ID   everything about one sensor, a row per window
    latest      the newest row of each sensor
    hottest     the ten sensors with the highest reading (--limit for another number)

    Temperatures are in degrees C. The tables for --sql are aggregates, windows, partials and quarantine; with a
    condition on dt and hour, only those partitions are read.

    \b
    windrow query fleet --from -2h
    windrow query sensor site-03/sensor-000003 --from 2026-11-20T10:00:00Z --to 2026-11-20T12:00:00Z
    windrow query hottest --limit 3 --format json
    windrow query --sql "SELECT COUNT(*) FROM aggregates WHERE dt = '2026-11-20'"
    """
    from analytics.engine import engine_of
    from windrow.aws import client, readable_errors
    from windrow.cli.formats import FORMATS
    from windrow.s3 import S3Store

    if sql is not None:
        question, time_range = query_of_sql(sql, preset=preset, start=start, end=end), None
    else:
        question, time_range = query_of_preset(preset, sensor_id, start=start, end=end, limit=limit)
    deployment, home = deployment_of(stage), home_folder()
    with readable_errors(deployment.place):
        engine = engine_of(deployment, home=home)
        result = ask(engine, question, rows_max=limit)
        if time_range is not None and result.frame.empty:
            results = S3Store(client("s3", deployment.place), deployment.results_bucket)
            raise nothing_there(engine, results, time_range, sensor_id=sensor_id)
    click.echo(FORMATS[form](result.frame))
    err.print(about(result), markup=False)


def query_of_sql(sql: str, *, preset: str | None, start: str | None, end: str | None) -> "Query":
    """The query of `--sql`, which brings its own range."""
    from analytics.query import Query, parse_select

    if preset is not None:
        raise UsageError("both a preset and --sql", hint="give one of them")
    if start is not None or end is not None:
        raise UsageError("--from and --to do not apply to --sql", hint="write the range into its WHERE clause")
    question = Query(_read_sql(sql))
    parse_select(question)  # bad SQL is found before anything is looked up
    return question


def _read_sql(sql: str) -> str:
    """SQL from standard input, from a file, or as it stands."""
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
    preset: str | None, sensor_id: str | None, *, start: str | None, end: str | None, limit: int | None
) -> tuple["Query", "TimeRange"]:
    """The query of a preset, and its range."""
    from analytics import presets
    from windrow.timerange import parse_range

    if preset is None:
        raise UsageError("nothing is asked", hint=f"give --sql, or one of {', '.join(PRESETS)}")
    if (preset == "sensor") != (sensor_id is not None):
        wrong = "'sensor' needs a sensor id" if preset == "sensor" else f"{preset!r} takes no sensor id"
        raise UsageError(wrong, hint="windrow query sensor site-03/sensor-000003")
    time_range = parse_range(start, end, now_ms=clock_ms())
    if sensor_id is not None:
        return presets.sensor(sensor_id, time_range), time_range
    if preset == "hottest":
        return presets.hottest(time_range, sensors=limit or presets.HOTTEST_SENSORS), time_range
    plain: dict[str, Callable[[TimeRange], Query]] = {
        "fleet": presets.fleet,
        "sensors": presets.sensors,
        "latest": presets.latest,
    }
    return plain[preset](time_range), time_range


def ask(engine: "Engine", question: "Query", *, rows_max: int | None) -> "Result":
    """Run the query and show how far it is, on a terminal."""
    with err.status(f"asking {engine.name}") as status:

        def show(progress: "Progress") -> None:
            seen = f", {_bytes(progress.bytes_scanned)}" if progress.bytes_scanned else ""
            status.update(f"{engine.name}: {progress.state}, {progress.seconds:.0f} s{seen}")

        return engine.run(question, rows_max=rows_max, on_progress=show)


def nothing_there(
    engine: "Engine", results: "ObjectStore", time_range: "TimeRange", *, sensor_id: str | None
) -> WindrowError:
    """Why a preset has no rows in a range, and where there are some."""
    from analytics import presets
    from analytics.objects import newest_window

    if sensor_id is not None and not engine.run(presets.fleet(time_range)).frame.empty:
        bounds = f"--from {format_rfc3339(time_range.start_ms)} --to {format_rfc3339(time_range.end_ms)}"
        message = f"no sensor {sensor_id!r} from {time_range}"
        return WindrowError(message, hint=f"who is there: windrow query latest {bounds}")
    newest = newest_window(results)
    if newest is None:
        return WindrowError(f"no rows from {time_range}, nor at any other time", hint="run: windrow tick")
    around = f"--from {format_rfc3339(newest.end_ms - 12 * WINDOW_MS)} --to {format_rfc3339(newest.end_ms)}"
    return WindrowError(f"no rows from {time_range}", hint=f"the newest are there with {around}")


def about(result: "Result") -> str:
    """Who answered and what it took, in one line."""
    rows = len(result.frame)
    more = " (there are more)" if result.is_truncated else ""
    took = f"{_bytes(result.bytes_scanned)} scanned, {result.seconds:.2f} s"
    return f"{rows:,} row{'' if rows == 1 else 's'}{more} from {result.engine}: {took}"


def _bytes(count: int) -> str:
    """`count` in the largest unit that leaves a number of at least 1."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"
