"""The contract of a disk, kept by the local one and by the simulated one."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.disk import Disk, LocalDisk
from tests.simulation.simulated_disk import SimulatedFolder

MakeDisk = Callable[[], Disk]


@pytest.fixture(params=["local", "simulated"])
def make_disk(request: pytest.FixtureRequest, tmp_path: Path) -> MakeDisk:
    """A function that makes a further process's view of one folder."""
    return SimulatedFolder().disk if request.param == "simulated" else lambda: LocalDisk(tmp_path / "spool")


@pytest.fixture
def disk(make_disk: MakeDisk) -> Disk:
    """A folder that is held."""
    disk = make_disk()
    disk.lock()
    return disk


def names_and_sizes(disk: Disk) -> dict[str, int]:
    """What is in the folder, but for the lock."""
    return {name: size_bytes for name, size_bytes in disk.sizes().items() if name != "lock"}


def test_what_is_appended_is_read_by_this_process_and_the_next(disk: Disk, make_disk: MakeDisk) -> None:
    """Two files in turn, so that the one which is kept open changes."""
    for name, octets in (("a", b"one"), ("b", b"two"), ("a", b"three"), ("b", b"")):
        assert disk.append(name, octets) == len(octets)
    for reader in (disk, make_disk()):
        assert (reader.read("a"), reader.read("b")) == (b"onethree", b"two")
        assert names_and_sizes(reader) == {"a": 8, "b": 3}


def test_what_is_cut_off_is_gone_and_appending_goes_on_there(disk: Disk) -> None:
    """Of the file that is open and of another one."""
    disk.append("other", b"0123456789")
    disk.append("open", b"0123456789")
    for name in ("open", "other"):
        disk.truncate(name, size_bytes=4)
        disk.append(name, b"x")
        disk.sync(name)
        assert disk.read(name) == b"0123x"


def test_a_renamed_file_has_its_octets_under_the_other_name(disk: Disk) -> None:
    """And what is appended under its old name is another file, though it was open."""
    disk.append("a", b"first")
    disk.rename("a", to="b")
    disk.append("a", b"second")
    disk.sync_folder()
    assert (disk.read("a"), disk.read("b")) == (b"second", b"first")


def test_a_removed_file_is_gone(disk: Disk) -> None:
    """And what is appended under its name is another file, though it was open."""
    disk.append("a", b"first")
    disk.remove("a")
    assert names_and_sizes(disk) == {}
    disk.append("a", b"second")
    assert disk.read("a") == b"second"


@pytest.mark.parametrize(
    "use",
    [
        lambda disk: disk.read("none"),
        lambda disk: disk.remove("none"),
        lambda disk: disk.rename("none", to="other"),
        lambda disk: disk.truncate("none", size_bytes=0),
        lambda disk: disk.sync("none"),
    ],
    ids=["read", "remove", "rename", "truncate", "sync"],
)
def test_a_file_that_is_not_there_is_said_to_be_missing(disk: Disk, use: Callable[[Disk], object]) -> None:
    """FileNotFoundError, whatever is done with it, and nothing is made."""
    with pytest.raises(FileNotFoundError):
        use(disk)
    assert names_and_sizes(disk) == {}


def test_a_folder_is_held_by_one_at_a_time(disk: Disk, make_disk: MakeDisk) -> None:
    """Others are told at once; after it was closed, even twice, it is free; who does not hold it frees nothing."""
    other = make_disk()
    with pytest.raises(BlockingIOError):
        other.lock()
    other.close()
    with pytest.raises(BlockingIOError):
        make_disk().lock()
    disk.close()
    disk.close()
    other.lock()
    with pytest.raises(BlockingIOError):
        disk.lock()


def test_the_local_folder_and_its_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask lets through."""
    before = os.umask(0)
    try:
        disk = LocalDisk(tmp_path / "above" / "spool")
        disk.lock()
        disk.append("a", b"x")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "above").rglob("*")}
    assert modes == {"spool": 0o700, "lock": 0o600, "a": 0o600}
    assert stat.S_IMODE((tmp_path / "above").stat().st_mode) == 0o700


def test_the_mode_of_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Its owner may have let a group read it."""
    tmp_path.chmod(0o750)
    LocalDisk(tmp_path).lock()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_what_is_synced_is_synced_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of the folders that are made; then the file, whether it is open or not; then the folder."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    disk = LocalDisk(tmp_path / "above" / "spool")
    disk.lock()
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "above").stat().st_ino]
    synced.clear()
    for name in ("a", "b"):
        disk.append(name, b"x")
    for name in ("a", "b"):
        disk.sync(name)
    disk.sync_folder()
    assert synced == [(tmp_path / "above" / "spool" / name).stat().st_ino for name in ("a", "b", ".")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nor is anything else read that is no file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="not a file"):
            LocalDisk(tmp_path).read(name)


def test_a_link_is_not_followed_when_writing(tmp_path: Path) -> None:
    """It would write to a file elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a").symlink_to(elsewhere)
    disk = LocalDisk(tmp_path / "spool")
    for use in (lambda: disk.append("a", b"x"), lambda: disk.truncate("a", size_bytes=0)):
        with pytest.raises(OSError, match="symbolic links"):
            use()
    assert elsewhere.read_bytes() == b"precious"


def test_a_child_of_a_fork_does_not_hold_the_folder_beyond_its_parent(tmp_path: Path) -> None:
    """It neither frees the parent's lock by closing, nor keeps it when the parent has closed."""
    parent = LocalDisk(tmp_path)
    parent.lock()
    parent.append("a", b"x")
    asked, told = os.pipe(), os.pipe()
    child = os.fork()
    if not child:  # closes, and stays until it is told to go
        parent.close()
        os.write(told[1], b"closed")
        os.read(asked[0], 1)
        os._exit(0)
    try:
        assert os.read(told[0], 6) == b"closed"
        with pytest.raises(BlockingIOError):
            LocalDisk(tmp_path).lock()
        parent.append("a", b"y")
        assert parent.read("a") == b"xy"
    finally:
        os.write(asked[1], b".")
        os.waitpid(child, 0)
    for end in (*asked, *told):
        os.close(end)


def test_a_killed_parent_leaves_the_folder_though_its_child_lives(tmp_path: Path) -> None:
    """The lock is shared by a fork, so the child closes its copy at once."""
    told, asked = os.pipe(), os.pipe()
    parent = os.fork()
    if not parent:
        disk = LocalDisk(tmp_path)
        disk.lock()
        if not os.fork():
            os.write(told[1], b"forked")
            os.read(asked[0], 1)
            os._exit(0)
        os.read(asked[0], 1)
        os._exit(0)
    try:
        assert os.read(told[0], 6) == b"forked"
        os.kill(parent, 9)
        os.waitpid(parent, 0)
        LocalDisk(tmp_path).lock()
    finally:
        os.write(asked[1], b"..")
        for end in (*asked, *told):
            os.close(end)


def test_a_full_simulated_disk_writes_what_fits_and_then_nothing() -> None:
    """As a real one does: first a short count, then ENOSPC; what is removed makes room."""
    disk = SimulatedFolder(capacity_bytes=5).disk()
    assert (disk.append("a", b"123"), disk.append("b", b"456")) == (3, 2)
    with pytest.raises(OSError, match="No space") as raised:
        disk.append("c", b"7")
    assert raised.value.errno == errno.ENOSPC
    disk.remove("a")
    assert disk.append("c", b"789!") == 3
