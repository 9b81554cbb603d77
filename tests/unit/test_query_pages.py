"""Answers page by page: any number of rows, cut where asked, printed and stored as they come."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analytics.parquet import write_parquet
from analytics.plot import plot, plot_path
from analytics.query import Query
from analytics.relation import PAGE_ROWS
from analytics.result import ROWS_MAX, QueryProgress, Result
from tests.unit.stored_results import StoredResults
from windrow.errors import UsageError
from windrow_cli.formats import TEXTS
from windrow_cli.query import about, ask

MANY = PAGE_ROWS * 2 + 5
SERIES = f"SELECT x FROM UNNEST(sequence(1, {MANY})) AS t(x) ORDER BY x"


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    return StoredResults(tmp_path)


def test_pages_hold_every_row_in_order(stored: StoredResults) -> None:
    """Bounded pages, and nothing lost between them."""
    pages = list(stored.engine.pages(Query(SERIES)))
    assert len(pages) == 3
    assert max(len(page.frame) for page in pages) <= PAGE_ROWS
    assert [x for page in pages for x in page.frame["x"]] == list(range(1, MANY + 1))


@pytest.mark.slow
def test_more_rows_than_a_frame_may_have_come_in_pages(stored: StoredResults) -> None:
    """What `run` refuses can be streamed."""
    sql = f"SELECT x FROM UNNEST(sequence(1, {ROWS_MAX + 1})) AS t(x)"
    assert sum(len(page.frame) for page in stored.engine.pages(Query(sql))) == ROWS_MAX + 1


def test_an_empty_answer_is_one_page_with_its_columns(stored: StoredResults) -> None:
    """So that a header can be printed."""
    (page,) = stored.engine.pages(Query("SELECT sensor_id, readings FROM aggregates"))
    assert list(page.frame.columns) == ["sensor_id", "readings"]


@pytest.mark.slow
def test_a_limit_cuts_within_a_page_and_says_so(stored: StoredResults) -> None:
    """The rest is not read."""
    for pages_of in (stored.engine.pages, stored.engine.plain_pages):
        pages = list(ask("scripted", pages_of, Query(SERIES), rows_max=PAGE_ROWS + 1))
        assert [len(page) for page in pages] == [PAGE_ROWS, 1]
        assert [page.is_truncated for page in pages] == [False, True]
        (whole,) = ask("scripted", pages_of, Query("SELECT 1"), rows_max=1)
        assert not whole.is_truncated


def test_an_iterator_that_is_closed_ends_the_query(stored: StoredResults) -> None:
    """Ctrl-C between two pages leaves nothing running."""
    closed: list[str] = []

    def pages_of(_: Query, **__: object) -> Generator[Result, None, None]:
        try:
            while True:
                yield Result(pd.DataFrame({"x": [1]}), engine="scripted", bytes_scanned=0, seconds=0.0)
        finally:
            closed.append("query")

    pages = ask("scripted", pages_of, Query("SELECT 1"), rows_max=None)
    next(pages)
    pages.close()
    assert closed == ["query"]


FRAMES = [
    pd.DataFrame({"sensor_id": pd.Series(["a", "b"], dtype="str"), "n": pd.Series([1, None], dtype="Int64")}),
    pd.DataFrame({"sensor_id": pd.Series(["c"], dtype="str"), "n": pd.Series([3], dtype="Int64")}),
]


def test_pages_print_as_one_result() -> None:
    """One header in CSV, one array in JSON, one table."""
    texts = {form: "\n".join(write(iter(FRAMES))) for form, write in TEXTS.items()}
    assert list(csv.reader(io.StringIO(texts["csv"]))) == [["sensor_id", "n"], ["a", "1"], ["b", ""], ["c", "3"]]
    assert [row["sensor_id"] for row in json.loads(texts["json"])] == ["a", "b", "c"]
    assert texts["table"].split("\n")[0].split() == ["sensor_id", "n"]
    assert len(texts["table"].split("\n")) == 4


def test_no_rows_print_as_an_empty_result() -> None:
    """A header, or an empty array."""
    empty = [FRAMES[0].iloc[:0]]
    assert list(TEXTS["json"](empty)) == ["[]"]
    assert list(TEXTS["csv"](empty)) == ["sensor_id,n"]


def test_parquet_keeps_types_and_values(tmp_path: Path) -> None:
    """Read by another library: times in UTC, exact decimals, lists, NULL; and no rows at all."""
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime([0, 300_000], unit="ms", utc=True).astype("datetime64[ms, UTC]"),
            "n": pd.Series([1, None], dtype="Int64"),
            "is": pd.Series([True, None], dtype="boolean"),
            "c": [1.5, float("nan")],
            "squares": pd.Series([Decimal(10**30), None], dtype="object"),
            "bins": pd.Series([[1, 2], None], dtype="object"),
            'a "name"': pd.Series(["x", None], dtype="str"),
        }
    )
    path = tmp_path / "o'brien.parquet"
    assert write_parquet(iter([frame, frame]), path) == 4
    table = pq.read_table(path)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["at"] == "timestamp[us, tz=UTC]"
    assert kinds["squares"] == "decimal128(38, 0)"
    first, second, *_ = table.to_pylist()
    assert first["squares"] == 10**30
    assert (first["n"], first["is"], first["c"], first["bins"], first['a "name"']) == (1, True, 1.5, [1, 2], "x")
    assert {value for name, value in second.items() if name != "at"} == {None}
    assert write_parquet(iter([frame.iloc[:0]]), path) == 0
    assert pq.read_table(path).column_names == list(frame.columns)


FLEET = pd.DataFrame(
    {
        "window_start": pd.to_datetime([0, 300_000, 600_000], unit="ms", utc=True).astype("datetime64[ms, UTC]"),
        "sensors": pd.Series([2, 2, 2], dtype="Int64"),
        "mean_c": [20.0, 21.0, 22.0],
        "min_c": [18.0, 19.0, 20.0],
        "max_c": [22.0, 23.0, 24.0],
    }
)
HOTTEST = pd.DataFrame({"place": [1, 2], "sensor_id": pd.Series(["a$b", "b"], dtype="str"), "max_c": [30.0, 29.0]})


@pytest.mark.slow
@pytest.mark.parametrize("frame", [FLEET, HOTTEST, FLEET[["window_start", "sensors"]], FLEET[["mean_c"]]])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_results_become_pictures(tmp_path: Path, frame: pd.DataFrame, suffix: str) -> None:
    """Bands over time, bars by name; an SVG of the same rows is the same file."""
    path = plot_path(str(tmp_path / f"x.{suffix}"))
    plot(frame, path, title="title")
    body = path.read_bytes()
    assert body.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg":
        plot(frame, path, title="title")
        assert path.read_bytes() == body
        assert "sensor_id" not in frame or b"a$b" in body


@pytest.mark.parametrize(
    ("text", "message"),
    [("x.gif", "not a PNG or SVG"), ("x", "not a PNG or SVG"), ("/nowhere/at/all/x.png", "no folder")],
)
def test_a_picture_needs_a_place_and_a_kind(text: str, message: str) -> None:
    """Found before anything is asked."""
    with pytest.raises(UsageError, match=message):
        plot_path(text)


@pytest.mark.slow
def test_a_result_without_numbers_cannot_be_drawn(tmp_path: Path) -> None:
    """One line, not a traceback of the library."""
    with pytest.raises(UsageError, match="nothing to draw"):
        plot(HOTTEST[["sensor_id"]], tmp_path / "x.png", title="")


@pytest.mark.slow
def test_the_command_does_without_matplotlib_until_it_draws() -> None:
    """It is an optional extra."""
    script = "import sys, analytics.plot, analytics.engine, windrow_cli.query; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_price_is_told_where_there_is_one() -> None:
    """Athena's, about; the local engine costs nothing."""
    frame = pd.DataFrame({"x": [1]})
    paid = Result(frame, engine="Athena", bytes_scanned=53_515, seconds=1.0, dollars=0.00005)
    assert about((1, paid)) == "1 row from Athena: 53.5 kB scanned, 1.00 s, about $0.00005"
    assert "$" not in about((1, Result(frame, engine="DuckDB", bytes_scanned=53_515, seconds=1.0)))


def test_progress_reaches_whoever_asks(stored: StoredResults) -> None:
    """Before the first page."""
    told: list[QueryProgress] = []
    next(stored.engine.pages(Query("SELECT 1"), on_progress=told.append))
    assert [progress.state for progress in told] == ["listing", "fetching", "running"]
