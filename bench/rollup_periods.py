"""What follows from rows, in CPU seconds for a fleet: a silence, an hour and a day, and the roll of one window."""

import io
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from dispatcher.rows import PIECE_ROWS, read_ids_in_pieces
from windrow.columns.strings import Strings
from windrow.reading import Readings
from windrow.rows.merge import merge_streams
from windrow.rows.partial import Partial
from windrow.rows.rollup import roll
from windrow.rows.rollup_parquet import read_rows, write_rows
from windrow.rows.silence import HISTORY_WINDOWS, silence_of
from windrow.window import WINDOW_MS, Window

START_MS = 1_795_132_800_000
READINGS = 12
MISSING = 0.01
HOUR_PARTS, DAY_PARTS = 12, 24


def seconds_of(sensors: int) -> dict[str, float]:
    """CPU seconds of a silence, an hour and a day of so many sensors, of whom others miss each window.

    A day is merged from 24 objects of the size of a window's; their histograms are smaller than those of hours.
    """
    ids = Strings.of(f"site-{number % 10:02}/sensor-{number:07}" for number in range(sensors))
    windows = [(START_MS + number * WINDOW_MS, _rows(ids, number)) for number in range(HISTORY_WINDOWS)]
    newest = Window(windows[-1][0])
    hour = [read_rows(start_ms, io.BytesIO(body), rows=PIECE_ROWS) for start_ms, body in windows[:HOUR_PARTS]]
    twice = (windows * 2)[:DAY_PARTS]
    day = [read_rows(start_ms, io.BytesIO(body), rows=PIECE_ROWS) for start_ms, body in twice]

    def silence() -> None:
        with ExitStack() as stack:
            heard = [
                ((HISTORY_WINDOWS - 1 - number,), read_ids_in_pieces(body, stack))
                for number, (_, body) in enumerate(windows)
            ]
            silence_of(newest, heard)

    return {
        "silence": _cpu_seconds(silence),
        "hour": _cpu_seconds(lambda: write_rows(START_MS, merge_streams(START_MS, hour), io.BytesIO())),
        "day": _cpu_seconds(lambda: write_rows(START_MS, merge_streams(START_MS, day), io.BytesIO())),
    }


def _rows(ids: Strings, number: int) -> bytes:
    """The rows object of one window."""
    chance = np.random.default_rng(number)
    window = Window(START_MS + number * WINDOW_MS)
    heard = np.flatnonzero(chance.random(len(ids)) >= MISSING)
    sensor = np.repeat(heard, READINGS).astype(np.int32)
    event_time_ms = np.tile(np.arange(READINGS) * 25_000, len(heard)) + window.start_ms
    value = (18_000 + sensor * 37 % 9_000 + chance.normal(0, 60, len(sensor))).astype(np.int32)
    readings = Readings(ids, sensor, event_time_ms, np.ones(len(sensor), np.int64), value)
    file = io.BytesIO()
    write_rows(window.start_ms, [roll(Partial.of(window, readings))], file)
    return file.getvalue()


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
