"""Whether the windows of a backfill have what its parts say that they wrote: the parts' lists against the lineages.

A part lists its partials when it has written them. A lineage is written by the dispatcher, which counts what it read.
So a partial that was lost on the way, was not rolled, or was delivered more than once is seen from the other side.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from windrow.lake.layout import backfill_windows_key, lineage_key
from windrow.lake.store import ObjectStore
from windrow.rows.lineage import Lineage, UnreadableLineage
from windrow.rows.partial import Partial
from windrow.timestamps import format_rfc3339
from windrow.window import Window

READERS = 16
"""Lineages that are read at once."""
EXAMPLES_MAX = 3
Delivered = Mapping[Window, Mapping[str, int]]
"""How many readings each partial has, by its window and its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCheck:
    """So many windows were looked at. wrong: those without all that the parts wrote, or with some of it more than once.

    open: those that were not rolled, of which nothing is known. shared: those that have partials of others, too; of
    these only what is missing can be seen. examples: the first of the wrong ones, and what is wrong with them.
    """

    windows: int
    open: int
    shared: int
    wrong: int
    examples: tuple[str, ...]


def keep_windows(lake: ObjectStore, digest: str, number: int, partials: Iterable[Partial]) -> None:
    """Store which partials a part has written."""
    listed = [[one.window.start_ms, one.digest, len(one)] for one in partials]
    lake.put(backfill_windows_key(digest, number), json.dumps(listed, separators=(",", ":")).encode("ascii"))


def kept_windows(lake: ObjectStore, digest: str, numbers: Iterable[int]) -> Delivered:
    """Return what parts have written; ValueError names one without its list."""
    found: dict[Window, dict[str, int]] = {}
    for number in numbers:
        key = backfill_windows_key(digest, number)
        stored = lake.get(key)
        if stored is None:
            raise ValueError(f"{key} is gone")
        for start_ms, partial, readings in json.loads(stored.body):
            of_window = found.setdefault(Window(start_ms), {})
            of_window[partial] = max(readings, of_window.get(partial, 0))  # two parts may write the same one
    return found


def check_windows(delivered: Delivered, results: ObjectStore) -> WindowCheck:
    """Compare each window with its lineage as it is now; one GET a window, READERS at once."""
    windows = sorted(delivered)
    with ThreadPoolExecutor(READERS) as readers:
        verdicts = list(readers.map(lambda window: _verdict(window, delivered[window], results), windows))
    told = [f"{format_rfc3339(window.start_ms)}: {one}" for window, one in zip(windows, verdicts, strict=True)]
    wrong = [line for line, one in zip(told, verdicts, strict=True) if one not in {"", _OPEN, _SHARED}]
    return WindowCheck(
        windows=len(windows),
        open=verdicts.count(_OPEN),
        shared=verdicts.count(_SHARED),
        wrong=len(wrong),
        examples=tuple(wrong[:EXAMPLES_MAX]),
    )


_OPEN, _SHARED = "it is not rolled", "it has partials of others"


def _verdict(window: Window, delivered: Mapping[str, int], results: ObjectStore) -> str:
    """Return what is the matter with a window; nothing if it has what was delivered, and no more."""
    stored = results.get(lineage_key(window))
    if stored is None:
        return _OPEN
    try:
        lineage = Lineage.from_json(stored.body)
    except UnreadableLineage as error:
        return f"its lineage cannot be read: {error}"
    if missing := delivered.keys() - set(lineage.digests):
        return f"{len(missing)} of its {len(delivered)} partials are not in its rows, the first is {min(missing)}"
    counted = lineage.readings + lineage.conflicts + lineage.duplicates_removed
    written = sum(delivered.values())
    if len(lineage.digests) > len(delivered):
        return _SHARED if counted >= written else f"{counted:,} readings were counted, {written:,} written"
    return "" if counted == written else f"{counted:,} readings were counted, {written:,} written"
