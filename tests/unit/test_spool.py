"""The spool: what it accepted is there after any end of the process, and it never grows beyond its bound."""

import errno
import logging
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.frames import PAGE_BYTES, SEARCHED_BYTES_MAX, Damage, framed, read_frames, read_old_entries
from producers.spool import Spool, SpoolFull
from tests.simulation.simulated_disk import SimulatedFolder
from windrow.errors import WindrowError


def contents(spool: Spool) -> list[bytes]:
    """All intact entries of all segments."""
    return [entry for segment in spool.seal() for entry in spool.entries(segment)]


def old_form(*entries: bytes) -> bytes:
    """A segment as it was written before frames."""
    return b"".join(struct.pack("<II", len(entry), zlib.crc32(entry)) + entry for entry in entries)


def files(folder: Path) -> dict[str, bytes]:
    """What is in the folder, but for the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def test_a_segment_is_written_as_it_is_documented(tmp_path: Path) -> None:
    """Octet by octet, so that a later version knows what it has to read."""
    spool = Spool(tmp_path)
    spool.append(b"20 \x93wsp \x93ws")
    spool.append(b"")
    spool.close()
    head = b"\x02\x0b\x00\x00\x00"
    first = head + struct.pack("<I", zlib.crc32(head + b"20 \x93wsp \x93ws")) + b"20 \x93ws\0p \x93ws\0"
    second = b"\x02\x00\x00\x00\x00" + struct.pack("<I", zlib.crc32(b"\x02\x00\x00\x00\x00"))
    assert files(tmp_path) == {"00000001.segment": b"\x93wsp" + first + b"\x93wsp" + second}


def test_entries_come_back_in_order_in_the_next_process(tmp_path: Path) -> None:
    """Segment by segment, what was appended first comes first."""
    first = Spool(tmp_path)
    for entry in (b"one", b"", b"three" * 1000):
        first.append(entry)
        first.seal()
    first.close()
    assert contents(Spool(tmp_path)) == [b"one", b"", b"three" * 1000]


@pytest.mark.slow
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


def test_a_segment_ends_by_itself_when_it_is_full(tmp_path: Path) -> None:
    """So that what the stream has can be removed while more is appended."""
    spool = Spool(tmp_path, segment_bytes=36)
    for _ in range(5):
        spool.append(b"12345")  # 18 with its frame
    assert sorted(files(tmp_path)) == ["00000001.segment", "00000002.segment", "00000003.segment"]
    assert [len(list(spool.entries(segment))) for segment in spool.seal()] == [2, 2, 1]


@pytest.mark.parametrize("zeros", [1, 7, 8, 9, 4_096, 100_000])
@pytest.mark.parametrize("form", ["segment", "spool"])
def test_zeros_behind_the_last_entry_are_damage_and_no_entries(tmp_path: Path, form: str, zeros: int) -> None:
    """As a file system leaves them that lost power; eight of them were an entry of length zero."""
    whole = old_form(b"one", b"two") if form == "spool" else framed(b"one") + framed(b"two")
    (tmp_path / f"00000007.{form}").write_bytes(whole + bytes(zeros))
    spool = Spool(tmp_path)
    assert contents(spool) == [b"one", b"two"]
    assert spool.damaged == 1
    spool.remove(7)
    assert files(tmp_path) == {"00000007.damaged": whole + bytes(zeros)}


@pytest.mark.parametrize("kept_bytes", [1, 3, 4, 9, 13, 14, 700])
@pytest.mark.parametrize("is_page", [True, False])
def test_the_end_that_a_kill_tears_off_was_never_accepted(tmp_path: Path, kept_bytes: int, is_page: bool) -> None:
    """A write that ends with a page is told as damage, but as nothing that is lost; one that ends elsewhere may be."""
    room_bytes = PAGE_BYTES - kept_bytes - (0 if is_page else 1)
    first = framed(b"x" * (room_bytes - len(framed(b""))))
    (tmp_path / "00000001.segment").write_bytes(first + framed(b"y" * 1_000)[:kept_bytes])
    spool = Spool(tmp_path)
    assert len(contents(spool)) == 1
    assert (spool.damaged, spool.lost) == (1, 0 if is_page else 1)
    spool.remove(1)
    assert list(files(tmp_path)) == ["00000001.damaged"]


@pytest.mark.parametrize(
    "tail", [bytes(700), b"\x93wsp" + bytes(696), b"\x93wsq" + b"\x02\xff\xff" * 232, framed(b"z" * 688)[1:]]
)
def test_another_end_of_a_page_may_have_been_accepted(tmp_path: Path, tail: bytes) -> None:
    """Zeros, or what does not begin as a frame that is longer than the file."""
    tail = tail[:700].ljust(700, b"\0")
    first = framed(b"x" * (PAGE_BYTES - 700 - len(framed(b""))))
    (tmp_path / "00000001.segment").write_bytes(first + tail)
    spool = Spool(tmp_path)
    assert len(contents(spool)) == 1
    assert (spool.damaged, spool.lost) == (1, 1)


def test_a_frame_of_another_version_is_kept_and_not_guessed_at(tmp_path: Path) -> None:
    """Its checksum is right, but what its octets mean only a later version knows."""
    body = struct.pack("<BI", 3, 5)
    later = b"\x93wsp" + body + struct.pack("<I", zlib.crc32(body + b"later")) + b"later"
    (tmp_path / "00000001.segment").write_bytes(framed(b"ours") + later)
    spool = Spool(tmp_path)
    assert (contents(spool), spool.damaged) == ([b"ours"], 1)


@pytest.mark.parametrize("form", ["segment", "spool"])
def test_one_flipped_bit_costs_one_entry(tmp_path: Path, form: str) -> None:
    """Of a thousand; and the segment is kept beside."""
    entries = [b'{"sensor_id": "a", "sequence": %d}' % number for number in range(1_000)]
    octets = bytearray(old_form(*entries) if form == "spool" else b"".join(map(framed, entries)))
    octets[len(octets) // 4] ^= 4
    (tmp_path / f"00000001.{form}").write_bytes(octets)
    spool = Spool(tmp_path)
    found = contents(spool)
    assert len(found) == 999
    assert set(found) < set(entries)
    assert spool.damaged == 1
    spool.remove(1)
    assert files(tmp_path) == {"00000001.damaged": bytes(octets)}


def test_a_damaged_segment_is_told_once_with_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the file is, at which octets, how much; once, though it was read twice."""
    whole = framed(b"one") + b"?" * 10 + framed(b"two") + b"!"
    (tmp_path / "00000003.segment").write_bytes(whole)
    spool = Spool(tmp_path)
    assert contents(spool) == contents(spool) == [b"one", b"two"]
    assert spool.damaged == 2
    spool.remove(3)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("windrow.producers.spool", logging.ERROR)
    assert record.getMessage() == (
        f"00000003.segment in {tmp_path} is damaged: 11 of 43 bytes cannot be read (offsets 16 to 26, 42 to 43); "
        "it is kept as 00000003.damaged"
    )


def test_damage_of_a_segment_that_is_not_sent_yet_is_told_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With no more than five places, however many there are."""
    (tmp_path / "00000003.segment").write_bytes(b"?".join([framed(b"x")] * 8))
    spool = Spool(tmp_path)
    assert len(contents(spool)) == 8
    spool.close()
    (record,) = caplog.records
    assert "7 of 119 bytes" in record.getMessage()
    assert "2 more places" in record.getMessage()
    assert list(files(tmp_path)) == ["00000003.segment"]


def test_a_segment_with_a_refused_entry_is_kept_beside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each refused entry counts once, though the segment is read and refused again."""
    spool = Spool(tmp_path)
    for entry in (b"good", b"strange", b"stranger"):
        spool.append(entry)
    (segment,) = spool.seal()
    for _ in range(2):
        for entry in spool.entries(segment):
            if entry.startswith(b"strange"):
                spool.refuse(segment, "no reading")
    assert spool.damaged == 2
    spool.remove(segment)
    assert list(files(tmp_path)) == ["00000001.damaged"]
    assert "2 intact entries make no sense (no reading)" in caplog.text


@pytest.mark.slow
def test_noise_is_read_through_with_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four MiB of it, of what looks most like entries of the old form, and of zeros: a few seconds of checksums."""
    checked_bytes, crc32 = 0, zlib.crc32

    def counted(octets: bytes, value: int = 0) -> int:
        nonlocal checked_bytes
        checked_bytes += len(octets)
        assert checked_bytes <= SEARCHED_BYTES_MAX + (4 << 20)
        return crc32(octets, value)

    monkeypatch.setattr("producers.frames.zlib.crc32", counted)
    for noise in (random.Random(1).randbytes(4 << 20), struct.pack("<I", 0x00100010) * (1 << 20), bytes(4 << 20)):
        for read in (read_frames, read_old_entries):
            checked_bytes = 0
            assert list(read(noise)) == [Damage(0, 4 << 20)]


def test_the_next_number_is_above_all_that_are_there(tmp_path: Path) -> None:
    """After the older ones are gone, over names of both forms and those set beside."""
    spool = Spool(tmp_path)
    for _ in range(3):
        spool.append(b"x")
        spool.seal()
    spool.remove(1)
    spool.remove(2)
    spool.close()
    again = Spool(tmp_path)
    again.append(b"y")
    assert again.seal() == [3, 4]
    again.close()
    (tmp_path / "00000009.spool").write_bytes(old_form(b"old"))
    (tmp_path / "00000011.damaged").write_bytes(b"?")
    last = Spool(tmp_path)
    last.append(b"z")
    assert last.seal() == [3, 4, 9, 12]
    assert contents(last) == [b"x", b"y", b"old", b"z"]


def test_two_files_of_one_number_are_both_read_and_both_kept(tmp_path: Path) -> None:
    """An older version that ran in between numbers by its own files alone; nothing is renamed over anything."""
    whole = {"00000004.segment": b"?" + framed(b"new"), "00000004.spool": old_form(b"old") + b"?"}
    for name, octets in whole.items():
        (tmp_path / name).write_bytes(octets)
    (tmp_path / "00000004.damaged").write_bytes(b"before")
    spool = Spool(tmp_path)
    assert sorted(contents(spool)) == [b"new", b"old"]
    for segment in spool.seal():
        spool.remove(segment)
    assert sorted(files(tmp_path).values()) == sorted([b"before", *whole.values()])


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """Notes, copies, folders, names that almost are ours."""
    foreign = ("README", "1.segment", "00000001.segment.bak", "x0000001.segment", "00000001.spool~", "٠٠٠٠٠٠٠١.segment")
    for name in foreign:
        (tmp_path / name).write_bytes(b"?" * 100)
    (tmp_path / "old").mkdir()
    spool = Spool(tmp_path, bytes_max=100)
    assert (contents(spool), spool.size_bytes) == ([], 0)
    spool.append(b"x")
    assert contents(spool) == [b"x"]
    spool.remove(1)
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, "old", "lock"}


def test_a_segment_that_is_no_file_is_set_beside(tmp_path: Path) -> None:
    """A folder, a pipe and a link into nowhere, under names of ours: the rest is read, and appending goes on."""
    (tmp_path / "00000001.segment").mkdir()
    os.mkfifo(tmp_path / "00000002.segment")
    (tmp_path / "00000003.segment").symlink_to("nowhere")
    (tmp_path / "00000004.segment").write_bytes(framed(b"x"))
    spool = Spool(tmp_path)
    spool.append(b"y")
    assert contents(spool) == [b"x", b"y"]
    assert spool.damaged == 3
    for segment in spool.seal():
        spool.remove(segment)
    assert {path.name for path in tmp_path.iterdir()} == {"lock", *(f"0000000{number}.damaged" for number in (1, 2, 3))}


@pytest.mark.parametrize("is_renamed", [True, False], ids=["renamed", "not renamed"])
def test_a_segment_that_cannot_be_read_stops_nothing(is_renamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It is set beside; where that fails as well, this process passes over it and the next one tries again."""
    folder = SimulatedFolder()
    spool = Spool(folder.disk())
    spool.append(b"x")
    (segment,) = spool.seal()
    folder.broken = {"read": errno.EIO} if is_renamed else {"read": errno.EIO, "rename": errno.EROFS}
    assert list(spool.entries(segment)) == []
    spool.remove(segment)
    assert (spool.seal(), spool.damaged, len(caplog.records)) == ([], 1, 1)
    assert "14 of 14 bytes cannot be read" in caplog.text
    assert "Input/output error" in caplog.text
    folder.broken = {}
    spool.append(b"y")
    assert contents(spool) == [b"y"]
    folder.kill()
    assert list(folder.names) == ["00000001.damaged" if is_renamed else "00000001.segment", "00000002.segment"]
    assert contents(Spool(folder.disk())) == ([b"y"] if is_renamed else [b"x", b"y"])


def test_a_segment_that_cannot_be_deleted_is_not_sent_again_by_this_process(caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and counts toward the bound."""
    folder = SimulatedFolder()
    spool = Spool(folder.disk())
    spool.append(b"x")
    (segment,) = spool.seal()
    folder.broken = {"remove": errno.EROFS}
    spool.remove(segment)
    assert (spool.seal(), spool.size_bytes, spool.damaged) == ([], 14, 0)
    assert "could not be deleted" in caplog.text


def test_the_bound_holds_to_the_byte(tmp_path: Path) -> None:
    """An entry that fits exactly is taken, one byte more is refused, and removing makes room."""
    spool = Spool(tmp_path, bytes_max=2 * (13 + 10))
    spool.append(b"x" * 10)
    (segment,) = spool.seal()
    with pytest.raises(SpoolFull, match="full"):
        spool.append(b"x" * 11)
    spool.append(b"y" * 10)
    assert spool.size_bytes == 46
    with pytest.raises(SpoolFull):
        spool.append(b"")
    spool.remove(segment)
    spool.append(b"z" * 10)
    assert contents(spool) == [b"y" * 10, b"z" * 10]


def test_damaged_files_count_toward_the_bound_until_someone_deletes_them(tmp_path: Path) -> None:
    """The folder is bounded whatever happens; deleting them makes room without a restart, as the message says."""
    (tmp_path / "00000001.segment").write_bytes(b"?" * 30)
    spool = Spool(tmp_path, bytes_max=40)
    assert contents(spool) == []
    spool.remove(1)
    assert spool.size_bytes == 30
    with pytest.raises(SpoolFull) as raised:
        spool.append(b"x")
    assert "*.damaged" in raised.value.hint
    (tmp_path / "00000001.damaged").unlink()
    spool.append(b"x")
    assert spool.size_bytes == 14


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


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Here there is a file in its place; the error says what to do."""
    (tmp_path / "spool").write_bytes(b"")
    with pytest.raises(WindrowError, match="cannot be used") as raised:
        Spool(tmp_path / "spool")
    assert raised.value.hint


def test_a_closed_spool_takes_nothing(tmp_path: Path) -> None:
    """Its folder may be another's by now."""
    spool = Spool(tmp_path)
    spool.close()
    spool.close()
    with pytest.raises(WindrowError, match="closed"):
        spool.append(b"x")
    assert files(tmp_path) == {}


def test_a_child_of_a_fork_is_refused_and_takes_nothing_from_its_parent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its lock nor its segments; it writes nothing between its entries; it may close, and says nothing."""
    (tmp_path / "00000001.segment").write_bytes(b"?")
    spool = Spool(tmp_path)
    spool.append(b"before")
    assert list(spool.entries(1)) == []
    told, telling = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(telling, "\n".join([*_refusals(spool), *caplog.messages]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    refusals = os.read(told, 10_000).decode().splitlines()
    os.close(told)
    os.close(telling)
    assert refusals == [f"the spool in {tmp_path} was used after a fork, and belongs to the parent process"] * 3
    with pytest.raises(WindrowError, match="another process"):
        Spool(tmp_path)
    spool.append(b"after")
    assert contents(spool) == [b"before", b"after"]
    assert sorted(files(tmp_path)) == ["00000001.segment", "00000002.segment"]


def _refusals(spool: Spool) -> Iterator[str]:
    for use in (lambda: spool.append(b"child"), spool.seal, lambda: spool.remove(1)):
        try:
            use()
        except WindrowError as error:
            yield error.message
    spool.close()


def test_a_write_that_fails_is_told_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """Cut short, refused, not synced: what was accepted before and after is there, and nothing is damaged."""
    for operation in ("append", "sync", "sync_folder"):
        folder = SimulatedFolder()
        spool = Spool(folder.disk(), is_synced=True)
        folder.broken = {operation: errno.EIO}
        with pytest.raises(WindrowError, match="Input/output error") as raised:
            spool.append(b"refused")
        assert raised.value.hint
        folder.broken = {}
        spool.append(b"accepted")
        assert (contents(spool), spool.damaged) == ([b"accepted"], 0)


@pytest.mark.parametrize("room_bytes", [0, 5])
def test_a_tail_that_cannot_be_cut_off_ends_the_segment(room_bytes: int) -> None:
    """The next entry goes to a new one, so that it stands behind no damage; what fits is counted as it is."""
    folder = SimulatedFolder(capacity_bytes=14 + room_bytes)
    spool = Spool(folder.disk())
    spool.append(b"x")
    folder.broken = {"truncate": errno.EIO}
    with pytest.raises(WindrowError):
        spool.append(b"refused")
    assert spool.size_bytes == 14 + room_bytes
    folder.broken, folder.capacity_bytes = {}, None
    spool.append(b"y")
    assert contents(spool) == [b"x", b"y"]
    assert spool.damaged == bool(room_bytes)


def test_a_signal_within_a_write_costs_nothing_that_was_accepted() -> None:
    """An exception that is raised at any moment leaves the segment as it is: nothing is cut off of it later."""
    folder = SimulatedFolder()
    disk = folder.disk()
    spool = Spool(disk)
    spool.append(b"first")
    append = disk.append

    def interrupted(name: str, octets: bytes) -> int:
        append(name, octets)
        raise KeyboardInterrupt

    disk.append = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        spool.append(b"told as interrupted, but written")
    disk.append = append  # type: ignore[method-assign]
    spool.append(b"second")
    folder.capacity_bytes = spool.size_bytes + 3
    with pytest.raises(WindrowError):
        spool.append(b"third")
    assert contents(spool) == [b"first", b"told as interrupted, but written", b"second"]
    assert spool.damaged == 0
