"""Zips: what is written can be read by others, and bytes follow from content alone."""

import io
import zipfile
import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infra import zips

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00\\:"), min_size=1, max_size=30).filter(
    lambda name: not name.startswith("/") and not name.endswith("/")
)
files = st.dictionaries(names, st.binary(max_size=200), max_size=8)


@given(files)
def test_zipfile_reads_what_is_written(contents: dict[str, bytes]):
    """Python's own reader finds every file, whole, in the order of the names."""
    body = zips.write({name: zips.stored(name, content) for name, content in contents.items()})
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert [one.filename for one in archive.infolist()] == sorted(contents)
        assert {one.filename: archive.read(one) for one in archive.infolist()} == contents


@given(files)
def test_order_does_not_reach_the_bytes(contents: dict[str, bytes]):
    """The same files in another order are the same zip."""
    entries = {name: zips.stored(name, content) for name, content in contents.items()}
    assert zips.write(dict(reversed(entries.items()))) == zips.write(entries)


def test_packed_bytes_of_a_wheel_are_kept(tmp_path: Path):
    """A deflated file is taken over as its author packed it, whatever this machine's zlib would make of it."""
    content = b"windrow " * 1000
    squeezer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = squeezer.compress(content) + squeezer.flush()
    with zipfile.ZipFile(tmp_path / "a.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/b.py", content)
    (entry,) = zips.read_entries(tmp_path / "a.whl")
    assert (entry.packed, entry.size) == (packed, len(content))
    again = zips.write({"c/d.py": entry})
    assert packed in again
    with zipfile.ZipFile(io.BytesIO(again)) as archive:
        assert archive.read("c/d.py") == content
