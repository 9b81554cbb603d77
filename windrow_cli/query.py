"""`windrow query`: ask the results a ready-made question, or one in SQL."""

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError
from windrow_cli.choices import OneOf
from windrow_cli.console import err
from windrow_cli.questions import PRESETS, WINDOWS, good_news, nothing_there, query_of_preset, query_of_sql
from windrow_cli.stage import home_folder, open_stage, stage_option

if TYPE_CHECKING:
    import pandas as pd

    from analytics.query import Query
    from analytics.result import PlainResult, QueryProgress, Result
    from windrow_cli.formats import Rows

    Page = Result | PlainResult

CAPTION_CHARACTERS_MAX = 100
FORMATS = ("table", "lines", "csv", "json", "parquet")


@click.command()
@click.argument("preset", type=OneOf(PRESETS, noun="preset"), required=False)
@click.argument("sensor_id", required=False)
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help="First window start: RFC 3339, or -2h.  [default: 2 h before --to, with --window 2 or 30 d]",
)
@click.option("--to", "end", metavar="TIME", help="End of the range, exclusive: RFC 3339, or -30m.  [default: now]")
@click.option("--window", type=OneOf(WINDOWS), help="Windows, hours or days.  [default: 5m]")
@click.option(
    "--quantity",
    metavar="NAME",
    help="What was measured.  [default: temperature; of silences and excursions, everything]",
)
@click.option("--sql", metavar="SQL", help="Trino SQL of your own: a file, - for standard input, or the text itself.")
@click.option("--limit", type=click.IntRange(min=1), metavar="ROWS", help="The most rows to print.")
@click.option("--format", "form", type=OneOf(FORMATS), default="table", show_default=True)
@click.option("--plot", "plotted", metavar="FILE", help="Also draw the rows, to a .png or .svg file.")
@stage_option
def query(
    *,
    preset: str | None,
    sensor_id: str | None,
    start: str | None,
    end: str | None,
    window: str | None,
    quantity: str | None,
    sql: str | None,
    limit: int | None,
    form: str,
    plotted: str | None,
    stage_name: str,
) -> None:
    """Query the results. Rows go to standard output; the engine, bytes scanned, time and price to standard error.

    \b
    fleet         one row per window over all sensors
    sensors       one row per window and sensor
    sensor ID     everything about one sensor, a row per window
    latest        the newest row of each sensor
    hottest       the ten sensors with the highest reading (--limit for another number)
    completeness  one row per window: who was heard, what came late or twice, and whether it can still change
    silences      one row per window and sensor that fell silent
    excursions    one row per excursion beyond the limits of a rule

    Temperatures are in degrees C; rows of another --quantity say their unit. The tables for --sql are aggregates,
    aggregates_1h, aggregates_1d, windows, silences, excursions, partials and quarantine; with a condition on dt and
    hour, only those partitions are read. docs/query.md describes them all.

    \b
    windrow query fleet --from -2h
    windrow query sensor site-03/sensor-000003 --from 2026-11-20T10:00:00Z --to 2026-11-20T12:00:00Z
    windrow query hottest --limit 3 --format json
    windrow query fleet --quantity humidity --from -2h
    windrow query fleet --window 1h --from -7d --plot week.png
    windrow query sensors --from -1d --format parquet > sensors.parquet
    windrow query --sql "SELECT COUNT(*) FROM aggregates WHERE dt = '2026-11-20'"
    """
    from analytics.engine import engine_of
    from windrow.aws.clients import readable_errors

    if sql is not None:
        question = query_of_sql(sql, preset=preset, start=start, end=end, window=window, quantity=quantity)
        time_range = None
        caption = " ".join(question.sql.split())[:CAPTION_CHARACTERS_MAX]
    else:
        question, time_range = query_of_preset(
            preset, sensor_id, start=start, end=end, window=window, limit=limit, quantity=quantity
        )
        caption = f"{sensor_id or preset}{f' {quantity}' if quantity else ''}, {time_range}"
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("a terminal cannot show a Parquet file", hint="add: > rows.parquet")
    picture = _picture(plotted)
    stage = open_stage(stage_name)
    with readable_errors(stage.place):
        engine = engine_of(stage, home=home_folder())
        pages_of = engine.pages if form == "parquet" or picture is not None else engine.plain_pages
        with closing(ask(engine.name, pages_of, question, rows_max=limit)) as pages:
            first = next(pages)
            if time_range is not None and not len(first):
                with err.status("looking where there are rows"):
                    sentence = good_news(engine, preset, time_range)
                    if not sentence:
                        raise nothing_there(engine, stage.results, time_range, sensor_id=sensor_id, quantity=quantity)
                _print_good_news(sentence, first, form=form)
                return
            answer = print_pages(itertools.chain([first], pages), form=form, picture=picture, title=caption)
    err.print(answer, markup=False)


def _picture(path: str | None) -> Path | None:
    if path is None:
        return None
    from analytics.plot import plot_path

    return plot_path(path)


def _print_good_news(sentence: str, empty: "Page", *, form: str) -> None:
    """Print the sentence: for people as the result, for programs beside a result without rows."""
    if form in ("table", "lines"):
        click.echo(sentence)
        return
    print_pages(iter([empty]), form=form, picture=None, title="")
    err.print(sentence, markup=False)


def ask(
    name: str, pages_of: "Callable[..., Generator[Page, None, None]]", question: "Query", *, rows_max: int | None
) -> "Generator[Page, None, None]":
    """Yield the answer page by page, its first `rows_max` rows or all; on a terminal, show progress until the first.

    `pages_of` is the method of the engine `name` to ask. The query is cancelled when the iterator is closed, and on
    Ctrl-C.
    """
    with closing(_asked(name, pages_of, question)) as pages:
        rows = 0
        for page in pages:
            taken = page if rows_max is None else page.first(rows_max - rows)
            rows += len(page)
            yield taken
            if taken.is_truncated:
                return


def _asked(
    name: str, pages_of: "Callable[..., Generator[Page, None, None]]", question: "Query"
) -> "Generator[Page, None, None]":
    with err.status(f"asking {name}") as status:

        def show(progress: "QueryProgress") -> None:
            seen = f", {spelled_bytes(progress.bytes_scanned)}" if progress.bytes_scanned else ""
            status.update(f"{name}: {progress.state}, {progress.seconds:.0f} s{seen}")

        pages = pages_of(question, on_progress=show)
        first = next(pages)
    yield first
    yield from pages


def print_pages(pages: "Iterator[Page]", *, form: str, picture: Path | None, title: str) -> str:
    """Print every page to standard output, draw them to `picture` if given, and return a line about what it took.

    Pages are frames where there is a picture or the form is parquet.
    """
    counted = PageCounter(pages)
    if form == "parquet" or picture is not None:
        _print_frames(counted.pages(), form=form, picture=picture, title=title)
    else:
        _print_text((_rows(page) for page in counted.pages()), form)
    return about(counted.whole()) + (f"; drawn to {picture}" if picture is not None else "")


def _print_frames(pages: "Iterator[Any]", *, form: str, picture: Path | None, title: str) -> None:
    from analytics.result import ROWS_MAX, collect

    frames: Iterator[pd.DataFrame] = (page.frame for page in pages)
    if picture is not None:
        from analytics.plot import plot

        whole = collect(pages, limit=ROWS_MAX, is_asked_for=False).frame
        plot(whole, picture, title=title)
        frames = iter([whole])
    if form == "parquet":
        _print_parquet(frames)
    else:
        _print_text(frames, form)


def _print_text(pages: "Iterator[Rows]", form: str) -> None:
    from windrow_cli.formats import TEXTS

    for text in TEXTS[form](pages):
        click.echo(text)


def _rows(page: "Page") -> "Rows":
    from analytics.result import PlainResult

    return page.rows if isinstance(page, PlainResult) else page.frame


class PageCounter:
    """Passes pages on, and counts their rows."""

    def __init__(self, pages: "Iterator[Page]") -> None:
        self._pages = pages
        self._last: Page | None = None
        self._rows = 0

    def pages(self) -> "Generator[Page, None, None]":
        """Yield each page, and count it."""
        for page in self._pages:
            self._rows += len(page)
            self._last = page
            yield page

    def whole(self) -> "tuple[int, Page]":
        """Return the number of rows, and the last page."""
        if self._last is None:
            raise ValueError("no page has passed")
        return self._rows, self._last


def _print_parquet(frames: "Iterator[pd.DataFrame]") -> None:
    """Print one Parquet file; its footer is written last, so it is assembled on disk first."""
    from analytics.parquet import write_parquet

    with tempfile.TemporaryDirectory(prefix="windrow-query-") as folder:
        path = Path(folder) / "rows.parquet"
        write_parquet(frames, path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


def about(whole: "tuple[int, Page]") -> str:
    """Return one line: rows, engine, bytes scanned, seconds, and the price if any."""
    rows, last = whole
    more = " (there are more)" if last.is_truncated else ""
    took = f"{spelled_bytes(last.bytes_scanned)} scanned, {last.seconds:.2f} s"
    price = f", about ${last.dollars:.5f}" if last.dollars else ""
    return f"{rows:,} row{'' if rows == 1 else 's'}{more} from {last.engine}: {took}{price}"


def spelled_bytes(count: int) -> str:
    """Return `count` in the largest unit in which it is at least 1."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"
