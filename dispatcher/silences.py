"""Silence, after the windows: which sensors are not heard any more, as rows, and how complete each window is.

What a window shows follows from the sensors of the last windows (windrow.rows.silence). Its lineage names them by a
fingerprint, so that a late reading of a sensor nobody had heard of is noticed, and the ETag of the rows that came of
it. The rows are written first, then the lineage, each under the condition that it is as observed: whoever dies or loses
in between leaves a lineage that does not fit, and the next tick does it again.
"""

import dataclasses
import hashlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from dispatcher.look import Buckets, Unreadable, observe_lineage
from dispatcher.periods import PART_IN_MEMORY_BYTES_MAX, PIECE_ROWS
from dispatcher.roll import KnownLineage
from windrow.lake.layout import SILENCES, SilenceMarkerKey, day_prefix, lineage_key, rows_key, silences_key
from windrow.lake.store import PreconditionFailed, StoreError, etag_of
from windrow.rows.lineage import Lineage
from windrow.rows.rollup import Rollup
from windrow.rows.rollup_parquet import read_rows
from windrow.rows.silence import HISTORY_WINDOWS, Silence, SilenceState, silence_of, write_silence
from windrow.timestamps import format_rfc3339
from windrow.window import Window

log = logging.getLogger(__name__)

ROUNDS_MAX = 5
"""How often a silence is worked out anew because another tick wrote meanwhile."""
NAMED_MAX = 20
"""Sensors that a summary names."""


class Notifier(Protocol):
    """Tells somebody."""

    def tell(self, subject: str, message: str) -> None:
        """One message."""


@dataclass(slots=True)
class Silences:
    """The silences of one tick: `known` are the lineages that its rolls found or left standing."""

    buckets: Buckets
    known: dict[Window, KnownLineage]
    absent: set[Window] = dataclasses.field(default_factory=set)

    def settle(self, windows: Iterable[Window], *, time_left: Callable[[], bool]) -> dict[Window, Silence]:
        """Work out those of `windows` that have changed, the newest first, as long as there is time."""
        newest_first = sorted((window for window in windows if window in self.known), reverse=True)
        days = {day_prefix(SILENCES, window.start_ms) for window in newest_first}
        listed = {one.key: one.etag for day in sorted(days) for one in self.buckets.results.list_objects(day)}
        settled = {}
        for window in newest_first:
            try:
                if self._is_current(window, listed):
                    continue
                if not time_left():
                    break
                silence = self._settle_in_rounds(window, listed.get(silences_key(window)))
            except (Unreadable, StoreError) as error:
                log.warning("the silences of %s wait for the next tick: %s", window, error)
                continue
            except Exception:
                log.exception("the silences of %s failed", window)
                continue
            if silence is not None:
                settled[window] = silence
        return settled

    def _is_current(self, window: Window, listed: Mapping[str, str]) -> bool:
        lineage = self.known[window].lineage
        is_rows_there = lineage.silences_etag == listed.get(silences_key(window), "")
        return is_rows_there and lineage.presence == self._presence(window)

    def _settle_in_rounds(self, window: Window, rows_etag: str | None) -> Silence | None:
        """Start over, after another look, as long as others write; None when the window is left to the next tick."""
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
        """None when one of the windows is being rolled just now."""
        presence = self._presence(window)
        silence = self._work_out(window)
        if silence is None:
            return None
        etag = rows_etag or ""
        if len(silence.sensor_ids) or rows_etag is not None:
            body = io.BytesIO()
            write_silence(silence, body)
            etag = self._put(silences_key(window), body.getvalue(), rows_etag)
        before = self.known[window]
        lineage = dataclasses.replace(
            before.lineage,
            sensors_expected=silence.sensors_expected,
            silent=silence.silent,
            presence=presence,
            silences_etag=etag,
        )
        self.known[window] = KnownLineage(
            lineage=lineage, etag=self._put(lineage_key(window), lineage.to_json(), before.etag)
        )
        return silence

    def _work_out(self, window: Window) -> Silence | None:
        with ExitStack() as stack:
            streams: list[Iterator[Rollup]] = []
            for one in _history(window):
                lineage = self.lineage(one)
                if lineage is None or not lineage.sensors:
                    streams.append(iter(()))
                    continue
                stored = self.buckets.results.get(rows_key(one))
                if stored is None or stored.etag != lineage.result_etag:
                    return None
                file = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=PART_IN_MEMORY_BYTES_MAX))
                file.write(stored.body)
                file.seek(0)
                streams.append(read_rows(one.start_ms, file, rows=PIECE_ROWS))
            return silence_of(window, streams)

    def is_due(self, window: Window) -> bool:
        """Whether it has sensors and its silence was not worked out since they changed."""
        try:
            lineage = self.lineage(window)
        except (Unreadable, StoreError):
            return False
        return lineage is not None and lineage.is_silence_unknown

    def release(self, markers: Iterable[SilenceMarkerKey]) -> None:
        """Delete the markers of what is known by now; the others, and what S3 refuses, wait for the next tick."""
        for marker in sorted(markers, key=str):
            known = self.known.get(marker.window)
            if known is None or known.lineage.is_silence_unknown or marker.digest not in known.lineage.digests:
                continue
            try:
                self.buckets.lake.delete(str(marker))
            except StoreError as error:
                log.warning("the marker %s waits for the next tick: %s", marker, error)

    def _presence(self, window: Window) -> str:
        """Names the sensors of all windows that its silence follows from; "" when there are none."""
        lineages = map(self.lineage, _history(window))
        named = [lineage.sensors_sha256 if lineage and lineage.sensors else "" for lineage in lineages]
        if not any(named):
            return ""
        return hashlib.blake2b("\n".join(named).encode(), digest_size=16).hexdigest()

    def lineage(self, window: Window) -> Lineage | None:
        """The lineage of any window, as it was when this tick first saw it."""
        if window not in self.known and window not in self.absent:
            seen = observe_lineage(self.buckets, window, rows_etag=None)
            if seen.lineage is None or seen.lineage_etag is None:
                self.absent.add(window)
            else:
                self.known[window] = KnownLineage(lineage=seen.lineage, etag=seen.lineage_etag)
        found = self.known.get(window)
        return found.lineage if found else None

    def _put(self, key: str, body: bytes, observed_etag: str | None) -> str:
        if observed_etag is None:
            return self.buckets.results.put(key, body, if_absent=True)
        return self.buckets.results.put(key, body, if_match=observed_etag)


def summary_of(silence: Silence, *, was_outage: bool) -> tuple[str, str] | None:
    """Subject and message for people about one window; None when nothing changed in it."""
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
    told = ", ".join(f"{count:,} {what}" for what, count in changes.items() if count) or "most sensors are heard again"
    began = silence.states == list(SilenceState).index(SilenceState.BEGAN)
    names = silence.sensor_ids.take(began.nonzero()[0][:NAMED_MAX]).to_list()
    more = counts[SilenceState.BEGAN] - len(names)
    listed = "".join(f"\n{name}" for name in names) + (f"\nand {more:,} more" if more > 0 else "")
    return f"Sensors: {told}", f"{heard} {silence.silent:,} are silent.{listed}\n"


def _history(window: Window) -> list[Window]:
    """The windows that its silence follows from, the newest first."""
    return [Window.from_index(window.index - age) for age in range(HISTORY_WINDOWS)]
