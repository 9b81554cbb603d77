"""Open windows: the rows that the running windows would have if they were rolled now, from their partials in the lake.

A consumer writes what it gets within seconds, so these rows are as new as the batching window lets them be. They are
provisional: more readings may come. They are never written, and a window is no longer open once it or a later one has a
lineage: if a tick breaks off between the two, what is shown of a sensor must not go back to the earlier one.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analytics.abandon import Check, always_wanted, held
from windrow.errors import WindrowError
from windrow.lake.layout import PartialKey, lineage_key, parse_partial_key, partials_prefix
from windrow.lake.store import ObjectStore
from windrow.reading import EARLINESS_MS_MAX
from windrow.rows.partial import Partial, union
from windrow.rows.partial_parquet import UnreadablePartial, decode_partial
from windrow.rows.rollup import Rollup, roll
from windrow.window import WINDOW_MS, Window, windows_between

WINDOWS_BACK = 2
"""How many windows before the running one are looked at: a window is usually rolled two minutes after its end."""
PARTIAL_BYTES_MAX = 16 * 1024**2
"""The most bytes of partials that are read at once: one to three million readings, and some 400 MB in memory."""
LOOK_MS_MIN = 1_000
"""How far apart a server's looks are, however many ask: a batch takes twenty times as long to come.

Several servers may differ by what came meanwhile. Who asks less often than this is told nothing older by another one.
"""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that is not rolled: its partials, by their distinct contents, and the rows of their union."""

    window: Window
    partials: int
    rollup: Rollup


class OpenWindows:
    """The open windows of a stage; safe for several threads, and each partial is read once."""

    def __init__(self, *, lake: ObjectStore, results: ObjectStore, look_ms_min: int = 0) -> None:
        """Read partials from `lake`, and from `results` which windows have a lineage.

        What was seen less than `look_ms_min` ago is told again.
        """
        self._lake = lake
        self._results = results
        self._look_ms_min = look_ms_min
        self._lock = threading.Lock()
        self._seen: tuple[int, tuple[OpenWindow, ...]] | None = None
        self._newest_closed: Window | None = None
        self._partials: dict[str, Partial] = {}
        self._rolled: dict[Window, tuple[frozenset[str], OpenWindow]] = {}

    def at(self, now_ms: int, check: Check = always_wanted) -> tuple[OpenWindow, ...]:
        """Return the open windows that have partials, the newest first; reads what has come since the last call.

        Looked at are the window of `now_ms`, those that a reading may come too early for, and WINDOWS_BACK before.
        WindrowError if they have more than PARTIAL_BYTES_MAX, or if a partial cannot be read.
        """
        start_ms = Window.containing(now_ms).start_ms - WINDOWS_BACK * WINDOW_MS
        with held(self._lock, check):
            if self._seen is not None and 0 <= now_ms - self._seen[0] < self._look_ms_min:
                return self._seen[1]
            windows = windows_between(start_ms, now_ms + EARLINESS_MS_MAX)
            keys = self._open_partials(self._after_the_newest_closed(windows, check), check)
            wanted = {digest for of_window in keys.values() for digest in of_window}
            self._partials = {digest: one for digest, one in self._partials.items() if digest in wanted}
            self._rolled = {window: self._roll(window, of_window, check) for window, of_window in keys.items()}
            found = tuple(self._rolled[window][1] for window in sorted(keys, reverse=True))
            self._seen = now_ms, found
            return found

    def _after_the_newest_closed(self, windows: Sequence[Window], check: Check) -> list[Window]:
        """Return those of the ascending `windows` after the newest that has a lineage.

        That is asked by a GET, which costs a twelfth of a LIST, of each window until it has one.
        """
        found: list[Window] = []
        for window in reversed(windows):
            if self._newest_closed is not None and window <= self._newest_closed:
                break
            check()
            if self._results.get(lineage_key(window)) is not None:
                self._newest_closed = window
                break
            found.insert(0, window)
        return found

    def _open_partials(self, windows: Sequence[Window], check: Check) -> dict[Window, dict[str, PartialKey]]:
        """Return one key for each digest of each of the windows that has partials."""
        found: dict[Window, dict[str, PartialKey]] = {}
        size_bytes: dict[str, int] = {}
        for window in windows:
            check()
            for listed in self._lake.list_objects(partials_prefix(window)):
                try:
                    key = parse_partial_key(listed.key)
                except ValueError as error:
                    raise WindrowError(str(error)) from error
                found.setdefault(window, {}).setdefault(key.digest, key)
                size_bytes[key.digest] = listed.size_bytes
        if (total := sum(size_bytes.values())) > PARTIAL_BYTES_MAX:
            raise WindrowError(
                f"open windows have {total:,} bytes of partials, more than the {PARTIAL_BYTES_MAX:,} that are read",
                hint="a fleet as large as this is seen once its windows are rolled: v1/latest",
            )
        return found

    def _roll(self, window: Window, keys: Mapping[str, PartialKey], check: Check) -> tuple[frozenset[str], OpenWindow]:
        """Return the window's digests, and its rows: those of the last call if nothing has come since."""
        known = self._rolled.get(window)
        if known is not None and known[0] == keys.keys():
            return known
        partials = [one for digest, key in sorted(keys.items()) if (one := self._read(digest, key, check)) is not None]
        return frozenset(keys), OpenWindow(window, len(partials), roll(union(window, partials)))

    def _read(self, digest: str, key: PartialKey, check: Check) -> Partial | None:
        """Return a partial; None if it is gone since it was listed."""
        if digest in self._partials:
            return self._partials[digest]
        check()
        stored = self._lake.get(str(key))
        if stored is None:
            return None
        try:
            partial, _ = decode_partial(stored.body)
        except UnreadablePartial as error:
            raise WindrowError(f"{key}: {error}") from error
        if partial.window != key.window:
            raise WindrowError(f"{key}: it is a partial of another window")
        self._partials[digest] = partial
        return partial
