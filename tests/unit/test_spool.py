"""The spool: what it accepted is there after any end of the process, and it never grows beyond its bound."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.spool import Spool, SpoolFull
from windrow.errors import WindrowError


def contents(spool: Spool) -> list[bytes]:
    return [entry for segment in spool.seal() for entry in spool.entries(segment)]


def test_entries_come_back_in_order_in_the_next_process(tmp_path: Path) -> None:
    """Segment by segment, what was appended first comes first."""
    first = Spool(tmp_path)
    for entry in (b"one", b"", b"three" * 1000):
        first.append(entry)
        first.seal()
    first.close()
    assert contents(Spool(tmp_path)) == [b"one", b"", b"three" * 1000]


def test_a_killed_process_leaves_what_it_appended(tmp_path: Path) -> None:
    """Killed with no chance to close anything; a child that ends by a signal to itself."""
    script = (
        "import os, pathlib, signal, sys\n"
        "from producers.spool import Spool\n"
        "spool = Spool(pathlib.Path(sys.argv[1]))\n"
        "for number in range(100): spool.append(b'%d' % number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert contents(Spool(tmp_path)) == [b"%d" % number for number in range(100)]


@given(lost=st.integers(1, 40), entries=st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_a_half_written_entry_is_not_read_and_those_before_it_are(
    tmp_path_factory: pytest.TempPathFactory, lost: int, entries: list[bytes]
) -> None:
    """However many bytes of the end are missing."""
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    for entry in entries:
        spool.append(entry)
    (segment,) = spool.seal()
    spool.close()
    path = folder / f"{segment:08}.spool"
    path.write_bytes(path.read_bytes()[:-lost])
    found = contents(Spool(folder))
    assert found == entries[: len(found)]
    kept_bytes = sum(8 + len(entry) for entry in entries) - lost
    assert sum(8 + len(entry) for entry in found) <= max(0, kept_bytes)
    assert len(found) == len(entries) or sum(8 + len(entry) for entry in entries[: len(found) + 1]) > kept_bytes


def test_a_damaged_entry_ends_its_segment(tmp_path: Path) -> None:
    """What follows it cannot be trusted to begin where it seems to."""
    spool = Spool(tmp_path)
    for entry in (b"first", b"second", b"third"):
        spool.append(entry)
    (segment,) = spool.seal()
    path = tmp_path / f"{segment:08}.spool"
    path.write_bytes(path.read_bytes().replace(b"second", b"sEcond"))
    assert list(spool.entries(segment)) == [b"first"]


def test_the_bound_holds_to_the_byte(tmp_path: Path) -> None:
    """An entry that fits exactly is taken, one byte more is refused, and removing makes room."""
    spool = Spool(tmp_path, bytes_max=2 * (8 + 10))
    spool.append(b"x" * 10)
    (segment,) = spool.seal()
    with pytest.raises(SpoolFull, match="full"):
        spool.append(b"x" * 11)
    spool.append(b"y" * 10)
    assert spool.size_bytes == 36
    with pytest.raises(SpoolFull):
        spool.append(b"")
    spool.remove(segment)
    spool.append(b"z" * 10)
    assert contents(spool) == [b"y" * 10, b"z" * 10]


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    """Two would remove each other's segments; after the first is done the second may have it."""
    spool = Spool(tmp_path)
    with pytest.raises(WindrowError, match="another process"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_sealing_nothing_makes_no_segment(tmp_path: Path) -> None:
    """An idle producer leaves no files behind."""
    spool = Spool(tmp_path)
    assert spool.seal() == []
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
