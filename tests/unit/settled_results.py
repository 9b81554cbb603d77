"""Results whose silences are worked out, as the dispatcher leaves them: rows, silences, lineages."""

import io
from collections.abc import Iterator, Sequence

from tests.rows_file import encode_rollup
from tests.unit.stored_results import START_MS, StoredResults
from windrow.columns.strings import Strings
from windrow.lake.layout import lineage_key, rows_key, silences_key
from windrow.reading import Reading, Readings
from windrow.rows.lineage import Lineage
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.rows.silence import HISTORY_WINDOWS, Silence, silence_of, write_silence
from windrow.window import WINDOW_MS, Window


def window_at(place: int) -> Window:
    """Return the window `place` windows after START_MS."""
    return Window(START_MS + place * WINDOW_MS)


def store_window(stored: StoredResults, place: int, heard: Sequence[set[str]]) -> Silence:
    """Store the window `place`, of which `heard[place]` are the sensors, and return its silence."""
    window, sensors = window_at(place), sorted(heard[place])
    rows_sha256, result_etag = "none", ""
    if sensors:
        readings = [Reading(sensor, window.start_ms + number, 0, 20_000) for number, sensor in enumerate(sensors)]
        (partial,) = partials_of(Readings.of(readings))
        rollup = roll(partial)
        rows_sha256 = rollup.rows_sha256
        result_etag = stored.results.put(rows_key(window), encode_rollup(rollup))
    silence = silence_of(window, _streams(heard, place))
    etag = _store_silence(stored, silence)
    lineage = Lineage(
        window=window,
        fingerprint="f",
        digests=("d",),
        rows_sha256=rows_sha256,
        result_etag=result_etag,
        revision=1,
        readings=len(sensors),
        sensors=len(sensors),
        conflicts=0,
        duplicates_removed=0,
        late=0,
        quarantined=0,
        partials=1,
        shards=("s-shardId-000000000000",),
        is_final=False,
        scheduled_time_ms=window.end_ms + 120_000,
        sensors_expected=silence.sensors_expected,
        silent=silence.silent,
        silences_etag=etag,
    )
    stored.results.put(lineage_key(window), lineage.to_json())
    return silence


def _streams(heard: Sequence[set[str]], place: int) -> list[tuple[list[int], Iterator[Strings]]]:
    windows = [(age, place - age) for age in range(HISTORY_WINDOWS) if place >= age and heard[place - age]]
    return [([age], iter([Strings.of(sorted(heard[at]))])) for age, at in windows]


def _store_silence(stored: StoredResults, silence: Silence) -> str:
    if not len(silence.sensor_ids):
        return ""
    file = io.BytesIO()
    write_silence(silence, file)
    return stored.results.put(silences_key(silence.window), file.getvalue())
