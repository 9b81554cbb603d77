"""The laws of a backfill's parts: wherever files are cut, the parts' rows together are the files' rows, once each."""

import csv
import io
from itertools import pairwise
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.cutting import UncuttableFile, cut_lines, group
from windrow.columns.parquet_columns import TAIL_OCTETS, cut_groups, footer_octets, row_groups

small = st.integers(1, 12)
bodies = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"", b"\n\n", b"dddddd", b"\xc3\xa9"])).map(b"".join)
cells = st.text(alphabet='ab,"\n\r é', max_size=6)


def chunks(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def rows_of(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))


@given(body=bodies, size=small, bytes_max=small, lines_max=small)
def test_parts_of_lines_are_the_file_and_end_with_its_lines(
    body: bytes, size: int, bytes_max: int, lines_max: int
) -> None:
    """Each byte once, in order; within the bounds but for a line that is longer by itself; and no part is empty."""
    spans = list(cut_lines(chunks(body, size), bytes_max=bytes_max, lines_max=lines_max))
    parts = [body[start:end] for start, end in spans]
    assert b"".join(parts) == body
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    assert all(part.endswith(b"\n") for part in parts[:-1])
    for part in parts:
        lines = part.count(b"\n") + (not part.endswith(b"\n"))
        assert 1 <= lines <= lines_max
        assert len(part) <= bytes_max or lines == 1


@given(body=bodies, size=small, bytes_max=small, lines_max=small)
def test_parts_do_not_hang_on_how_a_file_is_read(body: bytes, size: int, bytes_max: int, lines_max: int) -> None:
    """A plan made twice is the same, whatever the size of a read."""
    found = [
        list(cut_lines(read, bytes_max=bytes_max, lines_max=lines_max))
        for read in (chunks(body, size), [body] if body else [])
    ]
    assert found[0] == found[1]


@given(
    rows=st.lists(st.lists(cells, min_size=2, max_size=3), min_size=1, max_size=8),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.sampled_from(["", "\ufeff"]),
    size=st.integers(4, 12),
    bytes_max=small,
)
def test_parts_of_csv_have_whole_rows(
    rows: list[list[str]], quoting: int, mark: str, size: int, bytes_max: int
) -> None:
    """Also where fields have line feeds, quotes and delimiters in them: the parts' rows are the file's."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    body = (mark + text.getvalue()).encode()
    spans = cut_lines(chunks(body, size), bytes_max=bytes_max, lines_max=100, delimiter=",")
    assert [row for start, end in spans for row in rows_of(body[start:end])] == rows_of(body)


def test_a_quote_that_opens_nothing_is_told() -> None:
    """Behind it nobody knows which line feeds are within quotes; a quote in a quoted field is written twice."""
    for body in (b'a,5" pipe\n', b'a\n1,x"\n"y\nz"\n'):
        with pytest.raises(UncuttableFile):
            list(cut_lines([body], bytes_max=100, lines_max=9, delimiter=","))
    assert list(cut_lines([b'"a","5"" pipe\n"\n'], bytes_max=3, lines_max=9, delimiter=",")) == [(0, 16)]


@given(sizes=st.lists(st.integers(0, 9), max_size=9), size_max=small, count_max=small)
def test_groups_are_all_things_in_their_order(sizes: list[int], size_max: int, count_max: int) -> None:
    """Within the bounds, but for one thing that is too large by itself; and as full as that allows."""
    spans = list(group(sizes, size_max=size_max, count_max=count_max))
    assert [place for first, last in spans for place in range(first, last)] == list(range(len(sizes)))
    for first, last in spans:
        assert 1 <= last - first <= count_max
        assert sum(sizes[first:last]) <= size_max or last - first == 1
    for (first, last), (_, end) in pairwise(spans):
        assert end > last
        assert last - first == count_max or sum(sizes[first : last + 1]) > size_max


@given(cut=st.sets(st.integers(1, 6)))
def test_row_groups_together_are_the_file(parquet_file: tuple[bytes, pyarrow.Table], cut: set[int]) -> None:
    """Of a file that another writer made, with dictionaries, nulls, lists and page indexes, read by that one."""
    body, table = parquet_file
    footer = body[-footer_octets(body[-TAIL_OCTETS:]) :]
    groups = row_groups(footer)
    assert len(groups) == 7
    parts = []
    for first, last in pairwise([0, *sorted(cut), len(groups)]):
        start, end = groups[first].start, groups[last - 1].end
        part = pyarrow.parquet.read_table(io.BytesIO(cut_groups(footer, first, last, body[start:end])))
        assert part.num_rows == sum(one.rows for one in groups[first:last])
        parts.append(part)
    assert pyarrow.concat_tables(parts).equals(table)


@pytest.fixture(scope="module")
def parquet_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, pyarrow.Table]:
    count = 65
    table = pyarrow.table(
        {
            "sensor_id": pyarrow.array([f"s{n % 5}" for n in range(count)]).dictionary_encode(),
            "event_time": pyarrow.array(range(count), pyarrow.timestamp("ms", "UTC")),
            "temperature": pyarrow.array([None if n % 7 == 0 else n / 8 for n in range(count)]),
            "tags": pyarrow.array([[str(n)] * (n % 3) for n in range(count)]),
        }
    )
    path = Path(tmp_path_factory.mktemp("parquet")) / "rows.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=10, write_page_index=True)
    return path.read_bytes(), pyarrow.parquet.read_table(path)
