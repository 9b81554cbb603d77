"""Excursions as rows: what the next window goes on from survives the file; revisions; what is told."""

import io
from dataclasses import replace

import pyarrow.parquet
import pytest

from windrow.quantities import Quantity
from windrow.rules.changes import Change, ChangeKind, changes
from windrow.rules.excursion import Excursion, ExcursionState, Track
from windrow.rules.messages import fields_of
from windrow.rules.rows import (
    COLUMNS,
    ExcursionRow,
    RowState,
    UnreadableExcursions,
    decode_excursions,
    encode_excursions,
    rows_after,
    state_hash,
    tracks_of,
    with_revisions,
)
from windrow.rules.rule import Band, Condition, Rule, Severity
from windrow.window import WINDOW_MS

START_MS = 1_763_640_300_000
RULE = Rule("warm", Condition.ABOVE, limits=Band(high_milli=8_000), severity=Severity.CRITICAL)
LASTING = ExcursionRow(
    rule="warm", severity="critical", series="f/1", state=RowState.LASTS, began_ms=START_MS,
    rang_ms=START_MS + WINDOW_MS, until_ms=START_MS + 2 * WINDOW_MS, extreme_milli=9_000, beyond_milli_ms=7, windows=2,
)  # fmt: skip


def at(window: int) -> int:
    return START_MS + window * WINDOW_MS


def lasting(*, began: int = 0, until: int = 2, **others: int) -> ExcursionRow:
    return replace(LASTING, began_ms=at(began), until_ms=at(until), **others)


def ended(*, began: int = 0, until: int = 4, **others: int) -> ExcursionRow:
    return replace(lasting(began=began, until=until, **others), state=RowState.CLEARED)


def test_a_message_says_how_long_it_was_beyond_if_its_rule_counts_minutes() -> None:
    """In minutes, to a thousandth; other rules have no such field."""
    minutes = replace(RULE, held_ms=1_200_000, hold_ms_max=600_000)
    change = Change(ChangeKind.RANG, lasting(held_ms=1_200_060))
    assert fields_of(minutes, change)["held_minutes"] == 20.001
    assert "held_minutes" not in fields_of(RULE, Change(ChangeKind.RANG, LASTING))


def test_what_the_next_window_goes_on_from_survives_the_file() -> None:
    """Tracks that wait to ring and that last; sums beyond 64 bits; ids and units of any letters."""
    tracks = {
        "f/1": Track(began_ms=at(0), last_ms=at(1), windows=2, extreme_milli=-5, extreme_distance_milli=3),
        "é\x1fhumidity\x1f%": Track(
            began_ms=at(0), last_ms=at(3), windows=3, rang_ms=at(2), clear_windows=1, clear_from_ms=at(3),
            extreme_milli=2**50, extreme_distance_milli=2**50, beyond_milli_ms=2**70 + 1,
            held_ms=1_200_001, holds_until_ms=at(4) + 59_999, holds_milli=2**41,
        ),
    }  # fmt: skip
    gone = Excursion("warm", "g", Quantity("co2", "ppm"), at(0), at(1), at(2), ExcursionState.LOST, 9, -(2**65), 1)
    rows = with_revisions(rows_after(RULE, tracks, [gone]), before=(), replaced=())
    body = encode_excursions(at(3), rows)
    read = decode_excursions(at(3), body)
    assert read == rows
    assert tracks_of(read) == {"warm": tracks}
    assert [row.excursion for row in read if row.state is RowState.LOST] == [gone]
    assert body == encode_excursions(at(3), read)


def test_file_of_another_window_or_of_a_later_release_is_refused() -> None:
    """It names what is wrong, and nothing is guessed."""
    body = encode_excursions(at(3), [LASTING])
    with pytest.raises(UnreadableExcursions, match="another window"):
        decode_excursions(at(4), body)
    with pytest.raises(UnreadableExcursions, match="not readable"):
        decode_excursions(at(3), body[:-9])


def test_nothing_tracked_has_no_hash_and_each_fact_changes_it() -> None:
    """So a window that leaves the same goes no further."""
    assert state_hash([]) == state_hash([ended()]) == ""
    assert state_hash([LASTING, ended()]) == state_hash([LASTING])
    others = [lasting(until=3), lasting(began=1), replace(LASTING, clear_windows=1), replace(LASTING, revision=2)]
    assert len({state_hash([one]) for one in [LASTING, *others]}) == 5


def test_revision_counts_what_was_told_and_changed() -> None:
    """It grows if other rows stood for the window, stays while windows are added, and is kept from then on."""
    (first,) = with_revisions([lasting()], before=[], replaced=[])
    (next_one,) = with_revisions([lasting(until=3)], before=[first], replaced=[])
    assert (first.revision, next_one.revision) == (1, 1)
    (corrected,) = with_revisions([lasting(extreme_milli=9_500)], before=[], replaced=[first])
    (after,) = with_revisions([lasting(until=3, extreme_milli=9_500)], before=[corrected], replaced=[next_one])
    assert (corrected.revision, after.revision) == (2, 2)
    (again,) = with_revisions([corrected], before=[], replaced=[corrected])
    assert again.revision == 2
    pending = replace(LASTING, state=RowState.PENDING)
    assert with_revisions([pending], before=[], replaced=[pending])[0].revision == 1


def told(*found: Change) -> list[tuple[ChangeKind, int]]:
    return [(one.kind, one.row.began_ms) for one in found]


def test_each_change_is_told_once() -> None:
    """Rang; nothing while it grows; cleared."""
    assert told(*changes([], [], [([], [LASTING])])) == [(ChangeKind.RANG, at(0))]
    assert changes([LASTING], [LASTING], [([], [lasting(until=3)])]) == []
    assert told(*changes([LASTING], [LASTING], [([], [ended()])])) == [(ChangeKind.CLEARED, at(0))]
    assert told(*changes([], [], [([], [LASTING]), ([], [ended()])])) == [(ChangeKind.CLEARED, at(0))]
    assert changes([], [], [([], [replace(LASTING, state=RowState.PENDING)])]) == []


def test_beginning_that_moved_is_a_correction_and_no_second_alarm() -> None:
    """What had been told comes with it."""
    (one,) = changes([], [], [([LASTING], [lasting(began=-1, revision=2)])])
    assert (one.kind, one.before, one.revision) == (ChangeKind.CORRECTED, LASTING, 2)


def test_end_that_moved_is_a_correction() -> None:
    """It goes on after all, or ended at another time, or was worse than told."""
    for now in (lasting(until=6), ended(until=5), ended(extreme_milli=9_999)):
        assert told(*changes([], [], [([ended()], [now])])) == [(ChangeKind.CORRECTED, at(0))]


def test_what_late_readings_leave_nothing_of_is_withdrawn() -> None:
    """Also if it had ended; if it overlaps another one, it is that one's correction."""
    (one,) = changes([], [], [([LASTING], [])])
    assert (one.kind, one.revision) == (ChangeKind.WITHDRAWN, 2)
    assert told(*changes([], [], [([ended()], [])])) == [(ChangeKind.WITHDRAWN, at(0))]


def test_correction_of_many_windows_has_one_name() -> None:
    """It is told as far as it was worked out, and the rest of it under the same name."""
    earlier = lasting(began=-1, revision=2)
    (first,) = changes([], [], [([LASTING], [earlier])])
    (rest,) = changes([earlier], [earlier], [([lasting(until=3)], [lasting(began=-1, until=3, revision=2)])])
    assert first.kind is rest.kind is ChangeKind.CORRECTED
    assert first.change_id == rest.change_id


def test_other_series_and_rules_do_not_overlap() -> None:
    """One freezer's alarm is not another's correction."""
    other = replace(LASTING, series="f/2", began_ms=at(-1))
    assert told(*changes([LASTING], [LASTING], [([], [lasting(until=3), other])])) == [(ChangeKind.RANG, at(-1))]


def test_changes_have_names_that_do_not_change() -> None:
    """Whoever is told twice can tell; a correction of a correction is another one."""
    one, again = Change(ChangeKind.RANG, LASTING), Change(ChangeKind.RANG, lasting(until=5, extreme_milli=1))
    assert one.change_id == again.change_id
    assert one.change_id != Change(ChangeKind.RANG, replace(LASTING, revision=2)).change_id
    assert one.change_id != Change(ChangeKind.CORRECTED, LASTING, LASTING).change_id


def test_columns_are_those_of_the_table() -> None:
    """In the order of the declaration."""
    table = pyarrow.parquet.read_table(io.BytesIO(encode_excursions(at(3), [LASTING])))
    assert table.column_names == [name for name, _ in COLUMNS]
