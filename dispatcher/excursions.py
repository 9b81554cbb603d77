"""Excursions: what rules say of each window, folded from window to window; worked out after the silences.

    window      10:00        10:05        10:10        10:15        each goes on from what the one before left
    rows          │            │ changed    │            │
    excursions    A ─────────▶ B' ────────▶ C' ────────▶ D          D follows from C' as it did from C: settled
                               2.           1.                      written the first of them last

A window's lineage says what its excursions were worked out from: the rules, its rows, and a hash of what the window
before left (windrow.rows.lineage.ExcursionsMark). If that is no longer so, the window and those after it are worked out
again, until they follow from the new state as they stand. At most SEGMENT_WINDOWS are worked out together, and the
first of them is written last: so a run that dies leaves it stale, and whoever finds it looks at all of them. Of a
longer way a marker names the next window before anything is written.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from dispatcher.held import are_kept, read_held
from dispatcher.messages import Messages
from dispatcher.observation import Buckets, UnreadableObject
from dispatcher.report import RollOutcome, WindowReport
from dispatcher.roller import KnownLineage
from dispatcher.rows import ROLLED_PIECE_ROWS, read_in_pieces
from dispatcher.silences import Silences
from windrow.errors import WindrowError
from windrow.lake.layout import (
    EXCURSIONS,
    NO_PARTIAL,
    SilenceMarkerKey,
    day_prefix,
    excursions_key,
    lineage_key,
    rows_key,
)
from windrow.lake.store import PreconditionFailed, StoredObject, put_if_unchanged
from windrow.rows.held import Held
from windrow.rows.lineage import ExcursionsMark, Lineage
from windrow.rows.rollup_parquet import UnreadableRows
from windrow.rules.changes import changes
from windrow.rules.excursion import LOST_WINDOWS, step
from windrow.rules.judge import WatchedRows, judge
from windrow.rules.rows import (
    ExcursionRow,
    UnreadableExcursions,
    decode_excursions,
    encode_excursions,
    rows_after,
    state_hash,
    tracks_of,
    with_revisions,
)
from windrow.rules.rule import Rule, watches_of
from windrow.rules.stored import StoredRules, first_window, rules_of
from windrow.rules.watched import joined, may_matter, need_before, no_rows, watched_rows
from windrow.window import Window, windows_between

log = logging.getLogger(__name__)

SEGMENT_WINDOWS = 24
"""Windows that are looked at together, and worked out before any is written: two hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What a window goes on from: the last window before it that has a lineage, and how many windows ago that was.

    state: the hash of its `rows`, which are None until they are read.
    """

    window: Window | None = None
    windows: int = 1
    state: str = ""
    rows: tuple[ExcursionRow, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A window as worked out; nothing is written yet. `replaced` are the rows that its object has had until now.

    `told` is what was known of it: the same, or `rows` themselves if only their object is gone.
    """

    window: Window
    known: KnownLineage
    mark: ExcursionsMark
    rows: tuple[ExcursionRow, ...]
    stored: StoredObject | None
    replaced: tuple[ExcursionRow, ...]
    told: tuple[ExcursionRow, ...]


class _StateIsGone(Exception):  # noqa: N818 - a signal
    """What a window left is not there any more, or not as its lineage says: it is to be worked out again."""

    def __init__(self, window: Window) -> None:
        super().__init__(str(window))
        self.window = window


@dataclass(slots=True, kw_only=True)
class Excursions:
    """The excursions of one tick. `newest` is the last window that the tick may close.

    `roll` makes the lineage of a window that has none. `messages` take what is to be told; `markers` are those that
    were put in this tick, of windows at which a later tick is to go on; `held_gone` those whose held times `roll` is to
    make anew.
    """

    buckets: Buckets
    silences: Silences
    rules: StoredRules
    newest: Window
    proposed_start: Window
    roll: Callable[[Window], WindowReport]
    messages: Messages
    markers: set[SilenceMarkerKey]
    held_gone: set[Window]
    time_left: Callable[[], bool]
    failed: list[str] = field(default_factory=list)
    """Why the excursions of windows could not be worked out."""
    _start: Window | None = None
    _rules: dict[str, StoredRules] = field(default_factory=dict)
    _etags: dict[str, dict[str, str]] = field(default_factory=dict)
    """ETags of stored excursions by key, for the days that were listed, by their prefix."""
    _gone: set[Window] = field(default_factory=set)
    """Windows whose objects are not what their lineages say."""

    def settle_recent(self, windows: Iterable[Window]) -> None:
        """Work out those of `windows` that are stale, also those whose objects are gone, as one LIST a day tells."""
        windows = list(windows)
        for day in {day_prefix(EXCURSIONS, window.start_ms) for window in windows}:
            if self.time_left():
                self._etags[day] = {listed.key: listed.etag for listed in self.buckets.results.list_objects(day)}
        self.settle(windows)

    def settle(self, windows: Iterable[Window]) -> None:
        """Work out those of `windows` that are stale, oldest first, and what follows, while there is time."""
        for window in sorted(windows):
            try:
                at: Window | None = self._first_unjudged(window)
                while at is not None and self.time_left():
                    at = self._settle_from(at)
            except (UnreadableObject, UnreadableRows, WindrowError) as error:
                log.warning("the excursions of %s wait for the next tick: %s", window, error)
                self.failed.append(f"the excursions of {window} wait for the next tick: {error}")
            except Exception as error:
                log.exception("the excursions of %s failed", window)
                self.failed.append(f"the excursions of {window} failed: {type(error).__name__}: {error}")

    def _first_unjudged(self, window: Window) -> Window:
        """Return the first of the windows right before this one that were rolled and never judged; itself if none was.

        The run that rolled them died, and when the next one came they were no longer recent.
        """
        first = window
        for _ in range(SEGMENT_WINDOWS):
            before = _after(first, -1)
            lineage = self.silences.lineage(before)
            if lineage is None or lineage.excursions is not None or self._rules_for(before, lineage) is None:
                break
            first = before
        return first

    def is_settled(self, window: Window) -> bool:
        """Tell whether the excursions of a window follow from what is there now, or no rules judge it."""
        try:
            lineage = self.silences.lineage(window)
            rules = self._rules_for(window, lineage) if lineage else None
            return lineage is None or rules is None or self._is_current(lineage, rules, self._before(window))
        except (UnreadableObject, WindrowError):
            return False

    def _settle_from(self, window: Window) -> Window | None:
        """Settle a segment; return where to go on: at an earlier window, if what it left is gone."""
        try:
            return self._settle_segment(window)
        except _StateIsGone as gone:
            self._gone.add(gone.window)
            return gone.window

    def _settle_segment(self, start: Window) -> Window | None:
        """Work out stale windows from `start` on and write them; return where to go on, None if all are settled.

        Settled windows in between are passed: a run that died may have written them, and not those after them.
        """
        before = first = self._before(start)
        drafts: list[_Draft] = []
        told: list[tuple[Sequence[ExcursionRow], Sequence[ExcursionRow]]] = []
        window, is_settled = start, False
        while window <= self.newest and window.index < start.index + SEGMENT_WINDOWS:
            draft = self._draft(window, before)
            lineage = self.silences.lineage(window)
            is_settled = draft is None
            if draft is not None:
                drafts.append(draft)
                told.append((draft.told, draft.rows))
                before = _Before(window=window, state=draft.mark.state, rows=draft.rows)
            elif not drafts or lineage is None or lineage.excursions is None:
                break
            else:
                stored = self._stored_rows(window)
                told.append((stored, stored))
                state = lineage.excursions.state
                before = _Before(window=window, state=state, rows=None if state else ())
            window = _after(window, 1)
        if not drafts:
            return None
        goes_on = not is_settled and window <= self.newest
        if goes_on:
            self._mark(window)
        stood = self._read(first)
        named = {rule.name: rule for draft in drafts for rule in self._load(draft.mark.rules).rules}
        self.messages.keep(changes(stood, stood, told), named, windows_between(start.start_ms, window.start_ms))
        return window if self._write(drafts) and goes_on else None

    def _before(self, window: Window) -> _Before:
        """Return what `window` goes on from; windows without a lineage in between have no rows."""
        for windows in range(1, LOST_WINDOWS + 1):
            one = _after(window, -windows)
            lineage = self.silences.lineage(one)
            if lineage is not None:
                mark = lineage.excursions
                state = mark.state if mark else ""
                return _Before(window=one, windows=windows, state=state, rows=None if state else ())
        return _Before()

    def _read(self, before: _Before) -> tuple[ExcursionRow, ...]:
        """Return the rows that a window goes on from; _StateIsGone if they are not what its lineage says."""
        if before.rows is not None or before.window is None:
            return before.rows or ()
        stored = self.buckets.results.get(excursions_key(before.window))
        rows = _decoded(before.window, stored) if stored else None
        if rows is None or state_hash(rows) != before.state:
            raise _StateIsGone(before.window)
        return rows

    def _stored_rows(self, window: Window) -> tuple[ExcursionRow, ...]:
        """Return the rows of a window as they are stored; none if it is still open, or has no object."""
        lineage = self.silences.lineage(window) if window <= self.newest else None
        if lineage is None or lineage.excursions is None or not lineage.excursions.etag:
            return ()
        stored = self.buckets.results.get(excursions_key(window))
        return (_decoded(window, stored) or ()) if stored else ()

    def _rules_for(self, window: Window, lineage: Lineage) -> StoredRules | None:
        """Return the rules that judge a window: those that did before, else those in force when it ended, if any."""
        if lineage.excursions is not None:
            return self._load(lineage.excursions.rules)
        if self._start is None:
            self._start = first_window(self.buckets.lake, self.rules.digest, proposed=self.proposed_start)
        if window >= self._start:
            return self.rules
        before = self.silences.lineage(_after(window, -1))
        return self._load(before.excursions.rules) if before and before.excursions else None

    def _load(self, digest: str) -> StoredRules:
        if digest == self.rules.digest:
            return self.rules
        if digest not in self._rules:
            self._rules[digest] = rules_of(self.buckets.lake, digest)
        return self._rules[digest]

    def _is_current(self, lineage: Lineage, rules: StoredRules, before: _Before) -> bool:
        mark, key = lineage.excursions, excursions_key(lineage.window)
        listed = self._etags.get(day_prefix(EXCURSIONS, lineage.window.start_ms))
        if mark is None or lineage.window in self._gone or (listed is not None and listed.get(key, "") != mark.etag):
            return False
        return mark.source == self._source(lineage, rules, before)

    def _source(self, lineage: Lineage, rules: StoredRules, before: _Before) -> str:
        """Return the fingerprint of what the excursions of a window follow from."""
        facts = [rules.digest, _hash_of_rows(lineage), before.state, str(before.windows) if before.state else ""]
        if need_before(rules.rules):
            facts.append(_hash_of_rows(self.silences.lineage(_after(lineage.window, -1))))
        if watches := watches_of(rules.rules):
            facts.append(lineage.held.digest if lineage.held and are_kept(lineage, watches) else "unknown")
        return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()

    def _draft(self, window: Window, before: _Before) -> _Draft | None:
        """Work out one window; None if it is settled, if no rules judge it, or if it is still to be rolled."""
        lineage = self.silences.lineage(window)
        if lineage is None and before.state:
            self.roll(window)  # nobody was heard, and no tick came by; but excursions go on, and end
            lineage = self.silences.lineage(window)
        rules = self._rules_for(window, lineage) if lineage else None
        if lineage is None or rules is None or self._is_current(lineage, rules, before):
            return None
        lineage, held = self._held(lineage, rules)
        known = self.silences.known[window]
        stored = self.buckets.results.get(excursions_key(window))
        replaced = (_decoded(window, stored) or ()) if stored else ()
        left = self._read(before)
        folded = self._folded(lineage, rules, left, held, windows=before.windows)
        rows = with_revisions(folded, before=left, replaced=replaced)
        source = self._source(lineage, rules, before)
        is_same = lineage.excursions is not None and lineage.excursions.source == source
        return _Draft(
            window=window,
            known=known,
            mark=ExcursionsMark(rules=rules.digest, source=source, state=state_hash(rows), etag=""),
            rows=rows,
            stored=stored,
            replaced=replaced,
            told=rows if is_same else replaced,
        )

    def _folded(
        self, lineage: Lineage, rules: StoredRules, left: Sequence[ExcursionRow], held: Held | None, *, windows: int
    ) -> list[ExcursionRow]:
        """Judge a window's rows, after the windows without any between it and the one that left `left`."""
        window, comparing = lineage.window, need_before(rules.rules)
        watched = self._watched(lineage, rules.rules, {row.series for row in left})
        rows = dataclasses.replace(watched, held=held)
        last = self.silences.lineage(_after(window, -1)) if comparing else None
        previous = self._watched(last, comparing, ()) if last else None
        tracks = tracks_of(left)
        found: list[ExcursionRow] = []
        for rule in rules.rules:
            of_rule, ended = tracks.get(rule.name, {}), []
            for missing in range(windows - 1, 0, -1):
                of_rule, lost = step(rule, of_rule, judge(rule, no_rows(_after(window, -missing).start_ms), None))
                ended += lost
            of_rule, now = step(rule, of_rule, judge(rule, rows, previous))
            found += rows_after(rule, of_rule, ended + now)
        return found

    def _held(self, lineage: Lineage, rules: StoredRules) -> tuple[Lineage, Held | None]:
        """Return the held times that the rules ask for, made anew if they are not there, and the lineage as it is then.

        None if they cannot be made, because partials are gone: then the window has no verdict. UnreadableObject if the
        roll failed for another reason: then the window waits.
        """
        watches, window = watches_of(rules.rules), lineage.window
        if not watches:
            return lineage, None
        held = read_held(self.buckets, lineage, watches)
        if held is None:
            self.held_gone.add(window)
            report = self.roll(window)
            lineage = self.silences.lineage(window) or lineage
            held = read_held(self.buckets, lineage, watches)
            if held is None and report.outcome is not RollOutcome.FROZEN:
                raise UnreadableObject(f"its held times are not there, and its roll {report.outcome}: {report.detail}")
        return lineage, held

    def _watched(self, lineage: Lineage, rules: Sequence[Rule], tracked: Iterable[str]) -> WatchedRows:
        """Read the rows that may matter; UnreadableObject if those stored now are not those of the lineage."""
        window = lineage.window
        if not lineage.sensors:
            return no_rows(window.start_ms)
        stored = self.buckets.results.get(rows_key(window))
        if stored is None or stored.etag != lineage.result_etag:
            raise UnreadableObject(f"{rows_key(window)}: another roll has written it meanwhile, or it is gone")
        series = frozenset(tracked)
        with ExitStack() as stack:
            pieces = read_in_pieces(window.start_ms, stored.body, stack, rows=ROLLED_PIECE_ROWS)
            parts = [watched_rows(piece, may_matter(rules, piece, series)) for piece in pieces]
        return joined(parts, window.start_ms)

    def _write(self, drafts: Sequence[_Draft]) -> bool:
        """Write the first of them last; False if another dispatcher wrote meanwhile: the next tick looks again."""
        first, *others = drafts
        for draft in [*others, first]:
            try:
                self._write_one(draft)
            except PreconditionFailed:
                self.silences.known.pop(draft.window, None)
                self._mark(first.window)
                return False
        return True

    def _write_one(self, draft: _Draft) -> None:
        results, window, stored = self.buckets.results, draft.window, draft.stored
        etag = stored.etag if stored else ""
        if draft.rows != draft.replaced or (stored is not None and not draft.replaced):
            body = encode_excursions(window.start_ms, draft.rows)
            etag = put_if_unchanged(results, excursions_key(window), body, observed_etag=etag or None)
        lineage = dataclasses.replace(draft.known.lineage, excursions=dataclasses.replace(draft.mark, etag=etag))
        written = put_if_unchanged(results, lineage_key(window), lineage.to_json(), observed_etag=draft.known.etag)
        self.silences.known[window] = KnownLineage(lineage=lineage, etag=written)
        self._etags.get(day_prefix(EXCURSIONS, window.start_ms), {})[excursions_key(window)] = etag
        self._gone.discard(window)

    def _mark(self, window: Window) -> None:
        """Put a marker, so that the next tick goes on at `window` if this one does not."""
        lineage = self.silences.lineage(window)
        digest = min(lineage.digests) if lineage and lineage.digests else NO_PARTIAL
        marker = SilenceMarkerKey(window=window, digest=digest)
        with suppress(PreconditionFailed):  # it is there already
            self.buckets.lake.put(str(marker), b"", if_absent=True)
        self.markers.add(marker)


def _hash_of_rows(lineage: Lineage | None) -> str:
    return lineage.rows_sha256 if lineage is not None and lineage.sensors else ""


def _decoded(window: Window, stored: StoredObject) -> tuple[ExcursionRow, ...] | None:
    """Return the rows of an object; None if they cannot be read: then they are worked out again."""
    try:
        return decode_excursions(window.start_ms, stored.body)
    except UnreadableExcursions as error:
        log.warning("%s is replaced: %s", excursions_key(window), error)
        return None


def _after(window: Window, windows: int) -> Window:
    return Window.from_index(window.index + windows)
