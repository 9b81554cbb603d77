"""The laws of the spool: what it accepted comes back, whatever happens to its folder, and nothing else does."""

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.frames import Damage, framed, read_frames, read_old_entries
from producers.spool import Spool, SpoolFull
from tests.simulation.simulated_disk import ProcessEnded, SimulatedFolder
from windrow.errors import WindrowError

SEGMENT_BYTES = 120
# Contents that look like what stands around them, and such as a gateway has.
CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", bytes(8), b"\x93", b"\x93w", b"\x93ws", b"\x93wsp", b"\x93ws\0", b"\x93ws\0p", framed(b"fake")]
    ),
    st.lists(st.sampled_from([b"\x93", b"w", b"s", b"p", b"\0", b"\x02"]), max_size=12).map(b"".join),
)
ENTRIES = st.lists(CONTENTS, max_size=8)


def old_frame(entry: bytes) -> bytes:
    """An entry as it was written before frames."""
    return struct.pack("<II", len(entry), zlib.crc32(entry)) + entry


def contents(spool: Spool) -> list[bytes]:
    """All intact entries of all segments."""
    return [entry for segment in spool.seal() for entry in spool.entries(segment)]


def append_all(spool: Spool, entries: Iterable[bytes]) -> None:
    """Append each."""
    for entry in entries:
        spool.append(entry)


def is_subsequence(some: Iterable[bytes], of: Iterable[bytes]) -> bool:
    """Whether `some` are among `of`, in the same order."""
    rest = iter(of)
    return all(entry in rest for entry in some)


# --- (1) without damage, it is a queue ---


@given(
    actions=st.lists(st.one_of(CONTENTS, st.sampled_from(["seal", "remove", "reopen", "kill", "read"])), max_size=30),
    is_synced=st.booleans(),
)
def test_what_was_appended_and_not_removed_comes_back(actions: list[bytes | str], is_synced: bool) -> None:
    """In order, after any sequence of appends, seals, removals, ends and killings; nothing is damaged."""
    folder = SimulatedFolder()

    def opened() -> Spool:
        return Spool(folder.disk(), segment_bytes=SEGMENT_BYTES, is_synced=is_synced)

    spool, expected = opened(), list[bytes]()
    for action in actions:
        if isinstance(action, bytes):
            spool.append(action)
            expected.append(action)
        elif action == "remove":
            for segment in spool.seal()[:1]:
                del expected[: len(list(spool.entries(segment)))]
                spool.remove(segment)
        elif action == "read":
            assert contents(spool) == expected
        elif action == "seal":
            spool.seal()
        else:
            _ = folder.kill() if action == "kill" else spool.close()
            spool = opened()
        assert spool.size_bytes == sum(len(file.octets) for file in folder.names.values())
    assert contents(spool) == expected
    assert spool.damaged == 0
    for segment in spool.seal():
        spool.remove(segment)
    assert not any(file.octets for file in folder.names.values())


@given(entries=st.lists(st.binary(max_size=300), max_size=20))
def test_the_local_disk_gives_back_the_same(tmp_path_factory: pytest.TempPathFactory, entries: list[bytes]) -> None:
    """Over several segments and two processes; and a folder of the old form."""
    folder = tmp_path_factory.mktemp("spool")
    (folder / "00000001.spool").write_bytes(b"".join(old_frame(entry) for entry in entries if entry))
    spool = Spool(folder, segment_bytes=500)
    for entry in entries:
        spool.append(entry)
    spool.close()
    again = Spool(folder)
    assert contents(again) == [entry for entry in entries if entry] + entries
    assert again.damaged == 0


# --- (2) damage at every octet ---


@dataclass(frozen=True)
class DamagedSegment:
    """The octets of a segment to which something happened since `entries` were written to it."""

    is_old: bool
    entries: list[bytes]
    octets: bytes

    @property
    def frames(self) -> list[bytes]:
        """The entries as they were written."""
        return list(map(old_frame if self.is_old else framed, self.entries))

    @property
    def untouched(self) -> list[bytes]:
        """The entries whose octets are as they were, and where they were, unless some were put in front of them."""
        found, last = [], 0
        shifts = {0, max(0, len(self.octets) - len(b"".join(self.frames)))}
        for entry, frame in zip(self.entries, self.frames, strict=True):
            place, last = last, last + len(frame)
            if any(self.octets[place + shift :].startswith(frame) for shift in shifts):
                found.append(entry)
        return found


@st.composite
def damaged_segments(draw: st.DrawFn) -> DamagedSegment:
    """A segment of either form with a change anywhere, often where an entry begins or ends."""
    is_old = draw(st.booleans())
    entries = draw(ENTRIES)
    if is_old:  # the old form has no empty entries, and cannot tell an entry from one within another
        entries = [b"x" + entry.replace(b"\0", b"y") for entry in entries]
    frames = list(map(old_frame if is_old else framed, entries))
    whole = b"".join(frames)
    borders = list(accumulate(map(len, frames), initial=0))
    first = draw(st.one_of(st.integers(0, len(whole)), st.sampled_from(borders)))
    end = min(len(whole), first + draw(st.integers(1, 60)))
    noise = draw(st.binary(min_size=1, max_size=60))
    kind = draw(st.sampled_from(["flip", "zero", "garbage", "truncate", "insert"]))
    if kind == "truncate":
        end, put = len(whole), b""
    elif kind == "insert" or first == end:
        end, put = first, noise
    elif kind == "flip":
        end, put = first + 1, bytes([whole[first] ^ noise[0]])
    else:
        put = bytes(end - first) if kind == "zero" else (noise * 60)[: end - first]
    return DamagedSegment(is_old, entries, whole[:first] + put + whole[end:])


@given(segment=damaged_segments())
def test_damage_costs_the_entries_that_it_touched(segment: DamagedSegment) -> None:
    """Every other one is read, in order; what was never appended is not; all octets are kept where any is damaged."""
    name = "00000005.spool" if segment.is_old else "00000005.segment"
    folder = SimulatedFolder()
    folder.disk().append(name, segment.octets)
    spool = Spool(folder.disk())
    assert contents(spool) == segment.untouched
    # Cut off between two entries, or not changed at all, a segment looks like any other.
    looks_whole = segment.octets == b"".join(segment.frames[: len(segment.untouched)])
    assert spool.damaged == (0 if looks_whole else 1)
    for number in spool.seal():
        spool.remove(number)
    kept = {kept_name: bytes(file.octets) for kept_name, file in folder.names.items()}
    assert kept == ({} if looks_whole else {"00000005.damaged": segment.octets})


@pytest.mark.parametrize("frame", [framed, old_frame], ids=["frames", "old form"])
def test_every_octet_of_a_segment_may_be_damaged(frame: Callable[[bytes], bytes]) -> None:
    """Each in turn: inverted, one bit of it flipped, zeroed; one of three entries is lost, and one place is told."""
    entries = [b"first \x93ws\0 entry", b"second \x93wsp entry", b"third"]
    whole = b"".join(map(frame, entries))
    read = read_frames if frame is framed else read_old_entries
    for at, octet in enumerate(whole):
        for other in {octet ^ 0xFF, octet ^ 0x10, 0} - {octet}:
            parts = list(read(whole[:at] + bytes([other]) + whole[at + 1 :]))
            lost = [entry for entry in entries if entry not in parts]
            assert len(lost) == 1
            place = whole.index(frame(lost[0]))
            assert [part for part in parts if isinstance(part, Damage)] == [Damage(place, place + len(frame(lost[0])))]
            assert [part for part in parts if part in entries] == [entry for entry in entries if entry not in lost]


@given(pieces=st.lists(st.one_of(CONTENTS.map(framed), CONTENTS, st.binary(max_size=30)), max_size=8))
@example(pieces=[framed(b"outer " + framed(b"inner"))[:-1], b"?"])
def test_all_octets_of_a_segment_are_accounted_for(pieces: list[bytes]) -> None:
    """Entries and damage together are the segment again, octet for octet, and no two damaged places touch."""
    octets = b"".join(pieces)
    parts = list(read_frames(octets))
    again = [octets[part.first : part.end] if isinstance(part, Damage) else framed(part) for part in parts]
    assert b"".join(again) == octets
    kinds = [isinstance(part, Damage) for part in parts]
    assert (True, True) not in set(pairwise(kinds))


# --- (3) loss of power at every write ---


def lived(folder: SimulatedFolder, entries: list[bytes], *, is_synced: bool, removed: list[bytes]) -> list[bytes]:
    """What a process accepts before it ends; it removes its oldest segment from time to time."""
    accepted: list[bytes] = []
    try:
        spool = Spool(folder.disk(), segment_bytes=SEGMENT_BYTES, is_synced=is_synced)
        for entry in entries:
            spool.append(entry)
            accepted.append(entry)
            sealed = spool.seal() if len(accepted) % 7 == 0 else []
            for segment in sealed[:1]:
                removed += spool.entries(segment)
                spool.remove(segment)
    except ProcessEnded:
        pass
    return accepted


@given(seed=st.integers(0, 2**32), entries=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=12))
def test_a_synced_spool_loses_nothing_to_a_loss_of_power(seed: int, entries: list[bytes]) -> None:
    """At every moment of a life, in any way: what was accepted and not removed is there, what was not appended is not.

    Whoever comes next can append, and loses nothing either when the power goes again.
    """
    entries = [b"%d " % number + entry for number, entry in enumerate(entries)]  # told apart
    random = Random(seed)
    for moment in range(6 * len(entries)):
        folder = SimulatedFolder()
        folder.ends_in = moment
        removed: list[bytes] = []
        accepted = lived(folder, entries, is_synced=True, removed=removed)
        for generation in range(2):
            folder.lose_power(random)
            spool = Spool(folder.disk(), is_synced=True)
            found = contents(spool)
            assert set(accepted) - set(removed) <= set(found) <= {*entries, b"next"}
            assert is_subsequence([entry for entry in accepted if entry not in removed], found)
            if not generation:
                spool.append(b"next")
                accepted.append(b"next")


@given(
    seed=st.integers(0, 2**32),
    before=st.lists(st.binary(max_size=60), max_size=8),
    after=st.lists(st.binary(max_size=60), min_size=1, max_size=8),
)
def test_a_spool_that_is_not_synced_loses_what_the_system_had_not_written(
    seed: int, before: list[bytes], after: list[bytes]
) -> None:
    """What was accepted before the system last wrote everything is there; of the rest some may be, and no more."""
    before = [b"before %d " % number + entry for number, entry in enumerate(before)]
    after = [b"after %d " % number + entry for number, entry in enumerate(after)]
    random = Random(seed)
    for moment in range(3 * len(after)):
        folder = SimulatedFolder()
        spool = Spool(folder.disk(), segment_bytes=SEGMENT_BYTES)
        for entry in before:
            spool.append(entry)
        folder.write_back()
        folder.ends_in = moment
        with pytest.raises(ProcessEnded):
            append_all(spool, after * 3)
        folder.lose_power(random)
        again = Spool(folder.disk())
        found = contents(again)
        assert found[: len(before)] == before
        assert is_subsequence(found[len(before) :], after * 3)
        for segment in again.seal():
            again.remove(segment)
        again.append(b"next")
        assert contents(again) == [b"next"]


@given(entries=st.lists(st.binary(max_size=60), min_size=1, max_size=12), is_synced=st.booleans())
def test_a_process_that_is_killed_loses_nothing(entries: list[bytes], is_synced: bool) -> None:
    """Within any of its writes: at most the one entry that was not accepted yet is there in addition, or torn."""
    entries = [b"%d " % number + entry for number, entry in enumerate(entries)]
    for moment in range(5 * len(entries)):
        folder = SimulatedFolder()
        folder.ends_in = moment
        removed: list[bytes] = []
        accepted = lived(folder, entries, is_synced=is_synced, removed=removed)
        folder.kill()
        spool = Spool(folder.disk())
        found = [entry for entry in contents(spool) if entry not in removed]
        kept = [entry for entry in accepted if entry not in removed]
        assert found in (kept, entries[len(accepted) - len(kept) : len(accepted) + 1])
        assert spool.damaged <= 1


# --- (4) a full disk ---


@given(entries=st.lists(st.binary(max_size=60), min_size=1, max_size=10), is_synced=st.booleans())
def test_a_full_disk_costs_nothing_that_was_accepted(entries: list[bytes], is_synced: bool) -> None:
    """Whatever it has room for, to the octet: what fails is told and not kept, and with more room it goes on."""
    for capacity_bytes in range(0, sum(len(framed(entry)) for entry in entries) + 1, 3):
        folder = SimulatedFolder(capacity_bytes=capacity_bytes)
        spool = Spool(folder.disk(), segment_bytes=SEGMENT_BYTES, is_synced=is_synced)
        accepted = [entry for entry in entries if _is_accepted(spool, entry)]
        assert folder.room_bytes() == capacity_bytes - spool.size_bytes
        folder.capacity_bytes = None
        spool.append(b"later")
        assert (contents(spool), spool.damaged) == ([*accepted, b"later"], 0)
        folder.kill()
        again = Spool(folder.disk())
        assert (contents(again), again.damaged) == ([*accepted, b"later"], 0)


@given(entries=st.lists(st.binary(max_size=60), max_size=10), bytes_max=st.integers(0, 400))
def test_the_folder_never_grows_beyond_its_bound(entries: list[bytes], bytes_max: int) -> None:
    """With damaged segments in it as well; an entry is refused exactly if it does not fit."""
    folder = SimulatedFolder()
    folder.disk().append("00000001.segment", b"?" * 50)
    spool = Spool(folder.disk(), bytes_max=bytes_max, segment_bytes=SEGMENT_BYTES)
    assert contents(spool) == []
    spool.remove(1)
    for entry in entries:
        fits = spool.size_bytes + len(framed(entry)) <= bytes_max
        assert _is_accepted(spool, entry) == fits
        held_bytes = sum(len(file.octets) for file in folder.names.values())
        assert held_bytes == spool.size_bytes <= max(50, bytes_max)


def _is_accepted(spool: Spool, entry: bytes) -> bool:
    try:
        spool.append(entry)
    except (SpoolFull, WindrowError):
        return False
    return True
