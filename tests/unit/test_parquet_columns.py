"""Some columns of a Parquet file, cut out undecoded, are what readers of the whole file find in them."""

import io
from contextlib import ExitStack

import numpy as np
import polars
import pyarrow
import pyarrow.parquet
import pytest

from dispatcher import rows
from tests.rows_file import encode_rollup
from windrow.columns import arrow, thrift
from windrow.columns.parquet_columns import select_columns
from windrow.columns.strings import Strings
from windrow.quantities import Quantity, series_of
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.rollup import roll
from windrow.rows.rollup_parquet import COLUMNS, UnreadableRows
from windrow.window import Window

WINDOW = Window(1_763_640_300_000)
SENSORS = 300
PLAIN = [name for name, kind in COLUMNS if not kind.startswith("array")]


def _thermometers() -> Strings:
    return Strings.of(f"s{number:04}" for number in range(SENSORS))


def _series() -> Strings:
    """Temperatures, and of every third sensor the humidity too."""
    humidity = Quantity("humidity", "%")
    names = _thermometers().to_list()
    return Strings.of(sorted([*names, *(series_of(name, humidity) for name in names[::3])]))


def _body(series: Strings) -> bytes:
    count = len(series)
    value = np.arange(count, dtype=np.int32)
    times = np.full(count, WINDOW.start_ms + 7)
    readings = Readings(series, np.arange(count, dtype=np.int32), times, np.zeros(count, np.int64), value)
    return encode_rollup(roll(Partial.of(WINDOW, readings)))


def _groups() -> bytes:
    """Nine row groups of at most 50 rows, as our writer makes them, with a dictionary and without."""
    numbers = np.arange(420, dtype=np.int32)
    columns = {
        "first": arrow.column(numbers),
        "word": arrow.string_column(Strings.of(f"w{number % 7}" for number in range(420))),
        "bins": arrow.list_column(np.arange(421), numbers),
        "last": arrow.column(numbers.astype(np.int64) * -3),
    }
    file = io.BytesIO()
    plain = {arrow.path("first"): arrow.PLAIN}
    arrow.write_parquet_batches([columns], file, metadata={"format": 1}, encodings=plain, row_group_rows=50)
    return file.getvalue()


BODY, GROUPS = _body(_series()), _groups()


@pytest.mark.slow
@pytest.mark.parametrize("names", [["sensor_id"], ["quantity", "unit"], ["conflicts", "sum_squares_milli2"], PLAIN])
def test_other_readers_find_the_same_in_the_chosen_columns(names: list[str]) -> None:
    """Parquet readers of three makes, none of which wrote the footer, read the values that the whole file has."""
    some = select_columns(BODY, names)
    whole = pyarrow.parquet.read_table(io.BytesIO(BODY), columns=names)
    order = [name for name in PLAIN if name in names]
    assert pyarrow.parquet.read_table(io.BytesIO(some)).equals(whole.select(order))
    assert polars.read_parquet(io.BytesIO(some)).equals(polars.read_parquet(io.BytesIO(BODY), columns=order))
    ours = arrow.read_parquet(some)[0]
    assert pyarrow.table([pyarrow.array(ours[name]) for name in order], names=order).equals(
        pyarrow.table(whole.select(order).columns, names=order)
    )


@pytest.mark.parametrize(
    ("unless", "left"),
    [
        ({"word": b"w0"}, ["word", "last"]),
        ({"same": b"one"}, ["word", "last"]),
        ({"same": b"on"}, ["word", "same", "last"]),
        ({"same": b"one", "word": b"w0"}, ["word", "same", "last"]),
        ({"same": b"one", "no such": b"w0"}, ["word", "same", "last"]),
        ({"nulls": b"one"}, ["nulls", "word", "same", "last"]),
    ],
)
def test_columns_that_hold_one_value_are_left_out(unless: dict[str, bytes], left: list[str]) -> None:
    """All of them or none; nulls are another value."""
    table = pyarrow.table(
        {"nulls": ["one", None], "word": ["w0", "w1"], "same": ["one", "one"], "first": [1, 2], "last": [1, 2]}
    )
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    wanted = {"word", "last", *unless, *(["same"] if "same" in left else [])}
    some = select_columns(file.getvalue(), wanted, unless=unless)
    assert pyarrow.parquet.read_schema(io.BytesIO(some)).names == left


def test_a_long_value_is_not_taken_for_its_beginning() -> None:
    """Statistics hold only the first 64 bytes of a value, as our writer cuts them."""
    columns = {name: arrow.string_column(Strings.of([name * 100])) for name in "ab"}
    file = io.BytesIO()
    arrow.write_parquet_batches([columns], file, metadata={"format": 1}, encodings={})
    for length in (63, 64, 65):
        some = select_columns(file.getvalue(), ["a", "b"], unless={"a": b"a" * length})
        assert pyarrow.parquet.read_schema(io.BytesIO(some)).names == ["a", "b"]


def test_row_groups_stay() -> None:
    """A column of many row groups is found in each of them, and nothing of the others is copied."""
    for name in ("first", "word", "last"):
        some = select_columns(GROUPS, {name, "no such"})
        file = pyarrow.parquet.ParquetFile(io.BytesIO(some))
        assert [file.metadata.row_group(number).num_rows for number in range(9)] == [*[50] * 8, 20]
        assert file.read().equals(
            pyarrow.parquet.read_table(io.BytesIO(GROUPS), columns=[name]).replace_schema_metadata()
        )
        assert len(some) < len(GROUPS) / 2


@pytest.mark.parametrize("maker", ["pyarrow", "polars", "windrow"])
def test_a_footer_is_written_as_it_was_read(maker: str) -> None:
    """Whatever others put into a footer, Booleans, lists of them and fields we do not know, goes through unchanged."""
    frame = {"text": ["a", None, "b"], "number": [1, 2, None], "truth": [True, False, True], "list": [[1.5], [], [2.0]]}
    file = io.BytesIO()
    if maker == "pyarrow":
        pyarrow.parquet.write_table(pyarrow.table(frame), file, write_page_index=True)
    elif maker == "polars":
        polars.DataFrame(frame).write_parquet(file)
    body = GROUPS if maker == "windrow" else file.getvalue()
    footer = body[-8 - int.from_bytes(body[-8:-4], "little") : -8]
    assert thrift.write_struct(thrift.read_struct(footer)) == footer


def test_columns_of_other_writers_are_cut_out() -> None:
    """Columns with nulls, and a nested one between them."""
    table = pyarrow.table({"text": ["a", None, "b"], "list": [[1], [], [2]], "number": [1, 2, None]})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, store_schema=False)
    some = pyarrow.parquet.read_table(io.BytesIO(select_columns(file.getvalue(), ["number", "text"])))
    assert some.equals(table.select(["text", "number"]))


@pytest.mark.parametrize("names", [[], ["no such"], ["bins"], ["element"]])
def test_no_column_is_no_file(names: list[str]) -> None:
    """Without any column left, or with a list alone, there is nothing to read; lists are not cut out."""
    with pytest.raises(ValueError, match="none of the columns"):
        select_columns(GROUPS, names)


def test_a_damaged_footer_is_refused_or_noticed() -> None:
    """Cut off or with any byte changed, a file is refused as UnreadableRows, or read; nothing else happens."""
    start = len(GROUPS) - 8 - int.from_bytes(GROUPS[-8:-4], "little")
    refused = 0
    for at in range(start, len(GROUPS), 199):
        for octet in (0x00, 0x1C, 0xFF):
            damaged = GROUPS[:at] + bytes([octet]) + GROUPS[at + 1 :]
            try:
                select_columns(damaged, ["first"])
            except ValueError:
                refused += 1
    assert refused
    for end in range(0, len(GROUPS), 307):
        with pytest.raises(ValueError, match="footer"):
            select_columns(GROUPS[:end], ["first"])


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "too early"),
        (b"\x15", "too early"),
        (b"\x18\x05abc", "too early"),
        (b"\x15" + b"\xff" * 11, "too long"),
        (b"\x1b\x00\x00", "kind 11"),
        (b"\x1c" * 40, "too deep"),
        (b"\x19\xfc\xff\xff\xff\xff\x0f", "too early"),
    ],
)
def test_bad_thrift_is_refused(octets: bytes, message: str) -> None:
    """Ends, endless numbers, maps, deep nesting and lists that claim more than there is are told apart."""
    with pytest.raises(ValueError, match=message):
        thrift.read_struct(octets)


@pytest.mark.parametrize("above_bytes", [0, len(BODY)])
def test_ids_are_the_same_whether_they_are_selected_first_or_not(
    above_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large objects give up their ids first; these are those of the rows, quantities and units included."""
    monkeypatch.setattr(rows, "IDS_SELECTED_ABOVE_BYTES", above_bytes)
    with ExitStack() as stack:
        assert Strings.concat(list(rows.read_ids_in_pieces(BODY, stack))).equals(_series())
        with pytest.raises(UnreadableRows):
            list(rows.read_ids_in_pieces(BODY[:-9], stack))


@pytest.mark.parametrize(("quantity", "columns"), [("temperature", 1), ("humidity", 3)])
def test_of_a_large_object_only_the_columns_of_ids_are_decoded(
    quantity: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded has three columns, and of a fleet of thermometers one."""
    decoded: list[int] = []
    read = arrow.arro3.io.read_parquet

    def counted(file: io.BytesIO, *, batch_size: int) -> object:
        reader = read(file, batch_size=batch_size)
        decoded.append(len(reader.schema.names))
        return reader

    monkeypatch.setattr(arrow.arro3.io, "read_parquet", counted)
    monkeypatch.setattr(rows, "IDS_SELECTED_ABOVE_BYTES", 0)
    with ExitStack() as stack:
        list(rows.read_ids_in_pieces(BODY if quantity == "humidity" else _body(_thermometers()), stack))
    assert decoded == [columns]
