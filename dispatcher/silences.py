"""Silences: which sensors are no longer heard, as rows, and how complete each window is; worked out after the rolls.

A window's silence follows from the sensors of the last windows (windrow.rows.silence). Its lineage holds a fingerprint
of these, which a late reading of a new sensor changes, and the ETag of the silence rows. The rows are written first,
then the lineage, each on the condition that it is as observed. A tick that dies or loses in between leaves a lineage
that does not match, and the next tick works it out again.
"""

import contextlib
import dataclasses
import hashlib
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from dispatcher.observation import Buckets, UnreadableObject, observe_lineage
from dispatcher.roller import ROUNDS_MAX, KnownLineage
from dispatcher.room import Room
from dispatcher.rows import IN_FLIGHT_BYTES_MAX, read_ids_in_pieces
from windrow.columns.strings import Strings
from windrow.lake.layout import (
    NO_PARTIAL,
    SILENCES,
    SilenceMarkerKey,
    day_prefix,
    lineage_key,
    rows_key,
    silences_key,
)
from windrow.lake.store import Mapper, PreconditionFailed, StoreError, etag_of, put_if_unchanged
from windrow.quantities import name_of
from windrow.rows.lineage import Lineage
from windrow.rows.silence import HISTORY_WINDOWS, Silence, SilenceState, silence_of, write_silence
from windrow.timestamps import format_rfc3339
from windrow.window import Window

log = logging.getLogger(__name__)

ROW_BYTES = 64
"""About what a row takes in its object."""
SENSORS_NAMED_MAX = 20
"""How many sensors a summary lists by name."""


class Notifier(Protocol):
    """Sends messages to people."""

    def notify(self, subject: str, message: str) -> None:
        """Send one message."""


@dataclass(slots=True)
class Silences:
    """The silences of one tick. `known` are the lineages that its rolls found or wrote.

    `mapper` makes several requests at once, `work_mapper` works on several windows at once, within `room`.
    """

    buckets: Buckets
    known: dict[Window, KnownLineage]
    mapper: Mapper = map
    work_mapper: Mapper = map
    room: Room | None = None
    absent: set[Window] = dataclasses.field(default_factory=set)

    def settle(self, windows: Iterable[Window], *, time_left: Callable[[], bool]) -> dict[Window, Silence]:
        """Work out those of `windows` that have changed, newest first, while there is time, and return them."""
        newest_first = sorted((window for window in windows if window in self.known), reverse=True)
        if not newest_first or not time_left():
            return {}
        self._look_up({one for window in newest_first for one in _history(window)})
        days = sorted({day_prefix(SILENCES, window.start_ms) for window in newest_first})
        of_days = self.mapper(lambda day: list(self.buckets.results.list_objects(day)), days)
        listed = {one.key: one.etag for objects in of_days for one in objects}

        def settle(window: Window) -> Silence | None:
            try:
                if self._is_current(window, listed) or not time_left():
                    return None
                return self._settle_in_rounds(window, listed.get(silences_key(window)))
            except (UnreadableObject, StoreError) as error:
                log.warning("the silences of %s wait for the next tick: %s", window, error)
            except Exception:
                log.exception("the silences of %s failed", window)
            return None

        found = zip(newest_first, self.work_mapper(settle, newest_first), strict=True)
        return {window: silence for window, silence in found if silence is not None}

    def _look_up(self, windows: Iterable[Window]) -> None:
        """Read the lineages that are not known yet, several at once; one that cannot be read is met again later."""

        def look_up(window: Window) -> None:
            with contextlib.suppress(UnreadableObject, StoreError):
                self.lineage(window)

        for _ in self.mapper(look_up, sorted(set(windows) - self.known.keys() - self.absent)):
            pass

    def _is_current(self, window: Window, listed: Mapping[str, str]) -> bool:
        lineage = self.known[window].lineage
        is_rows_there = lineage.silences_etag == listed.get(silences_key(window), "")
        return is_rows_there and lineage.presence == self._presence(window)

    def _settle_in_rounds(self, window: Window, rows_etag: str | None) -> Silence | None:
        """Work out one window, again if others write meanwhile; None if it is left to the next tick."""
        for _ in range(ROUNDS_MAX):
            try:
                return self._settle_one(window, rows_etag)
            except PreconditionFailed:
                rows_etag = etag_of(self.buckets.results, silences_key(window))
                del self.known[window]
                if self.lineage(window) is None:
                    return None
        return None

    def _settle_one(self, window: Window, rows_etag: str | None) -> Silence | None:
        """Write the silence and the lineage of one window; None if one of the windows before it is being rolled."""
        presence = self._presence(window)
        silence = self._work_out(window)
        if silence is None:
            return None
        etag = rows_etag or ""
        if len(silence.sensor_ids) or rows_etag is not None:
            body = io.BytesIO()
            write_silence(silence, body)
            etag = put_if_unchanged(
                self.buckets.results, silences_key(window), body.getvalue(), observed_etag=rows_etag
            )
        before = self.known[window]
        lineage = dataclasses.replace(
            before.lineage,
            sensors_expected=silence.sensors_expected,
            silent=silence.silent,
            presence=presence,
            silences_etag=etag,
        )
        lineage_etag = put_if_unchanged(
            self.buckets.results, lineage_key(window), lineage.to_json(), observed_etag=before.etag
        )
        self.known[window] = KnownLineage(lineage=lineage, etag=lineage_etag)
        return silence

    def _work_out(self, window: Window) -> Silence | None:
        """Compute the silence from the rows of the last windows; None if these are not those of their lineages.

        Of windows with the same sensors the rows of one are read.
        """
        lineages: dict[str, Lineage] = {}
        ages: dict[str, list[int]] = {}
        for age, one in enumerate(_history(window)):
            lineage = self.lineage(one)
            if lineage is not None and lineage.sensors:
                same = lineage.sensors_sha256 or lineage.result_etag
                lineages.setdefault(same, lineage)
                ages.setdefault(same, []).append(age)
        size_bytes = ROW_BYTES * sum(lineage.sensors for lineage in lineages.values())
        with ExitStack() as stack:
            if self.room:
                stack.enter_context(self.room.taken(size_bytes))
            # Large objects one after another: each passes through memory on its way to local disk.
            mapper = self.mapper if size_bytes <= IN_FLIGHT_BYTES_MAX else map
            streams: list[tuple[Sequence[int], Iterator[Strings]]] = []
            for same, body in zip(lineages, mapper(self._rows_of, lineages.values()), strict=True):
                if body is None:
                    return None
                streams.append((ages[same], read_ids_in_pieces(body, stack)))
            return silence_of(window, streams)

    def _rows_of(self, lineage: Lineage) -> bytes | None:
        """Read the rows of a lineage; None if those stored now are others."""
        stored = self.buckets.results.get(rows_key(lineage.window))
        return None if stored is None or stored.etag != lineage.result_etag else stored.body

    def is_due(self, window: Window) -> bool:
        """Tell whether the window has sensors and its silence was not worked out since they changed."""
        try:
            lineage = self.lineage(window)
        except (UnreadableObject, StoreError):
            return False
        return lineage is not None and lineage.is_silence_unknown

    def release(self, markers: Iterable[SilenceMarkerKey], *, is_settled: Callable[[Window], bool]) -> None:
        """Delete the markers of silences that are known by now, if `is_settled` finds nothing else to be worked out.

        The others wait for the next tick, as do failures.
        """
        for marker in sorted(markers, key=str):
            known = self.known.get(marker.window)
            if known is None or known.lineage.is_silence_unknown or not is_settled(marker.window):
                continue
            if marker.digest not in (NO_PARTIAL, *known.lineage.digests):
                continue
            try:
                self.buckets.lake.delete(str(marker))
            except StoreError as error:
                log.warning("the marker %s waits for the next tick: %s", marker, error)

    def _presence(self, window: Window) -> str:
        """Return the fingerprint of the sensors in all windows that the silence follows from; "" if there are none."""
        lineages = map(self.lineage, _history(window))
        named = [lineage.sensors_sha256 if lineage and lineage.sensors else "" for lineage in lineages]
        if not any(named):
            return ""
        return hashlib.blake2b("\n".join(named).encode(), digest_size=16).hexdigest()

    def lineage(self, window: Window) -> Lineage | None:
        """Return the lineage of any window as it was when this tick first saw it."""
        if window not in self.known and window not in self.absent:
            seen = observe_lineage(self.buckets, window, rows_etag=None)
            if seen.lineage is None or seen.lineage_etag is None:
                self.absent.add(window)
            else:
                self.known[window] = KnownLineage(lineage=seen.lineage, etag=seen.lineage_etag)
        found = self.known.get(window)
        return found.lineage if found else None


def summary_of(silence: Silence, *, was_outage: bool) -> tuple[str, str] | None:
    """Return subject and message about one window, for people; None if nothing changed in it."""
    when = format_rfc3339(silence.window.start_ms)
    heard = f"{silence.sensors:,} of {silence.sensors_expected:,} sensors were heard in the window of {when}."
    if silence.is_outage:
        return None if was_outage else ("Most sensors are silent", f"{heard} No single sensor is reported meanwhile.")
    counts = silence.counts
    changes = {
        "fell silent": counts[SilenceState.BEGAN],
        "heard again": counts[SilenceState.CLEARED],
        "given up": counts[SilenceState.GONE],
    }
    if not any(changes.values()) and not was_outage:
        return None
    change = (
        ", ".join(f"{count:,} {what}" for what, count in changes.items() if count) or "most sensors are heard again"
    )
    began = silence.states == list(SilenceState).index(SilenceState.BEGAN)
    named = silence.sensor_ids.take(began.nonzero()[0][:SENSORS_NAMED_MAX]).to_list()
    names = [name_of(series) for series in named]
    more = counts[SilenceState.BEGAN] - len(names)
    listed = "".join(f"\n{name}" for name in names) + (f"\nand {more:,} more" if more > 0 else "")
    return f"Sensors: {change}", f"{heard} {silence.silent:,} are silent.{listed}\n"


def _history(window: Window) -> list[Window]:
    """Return the windows that the silence of `window` follows from, newest first."""
    return [Window.from_index(window.index - age) for age in range(HISTORY_WINDOWS)]
