"""Partials sorted into ranges on disk: the same set as in memory, in order, and nothing left behind."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher import spill as spill_module
from dispatcher.spill import Spill
from tests.property.strategies import FIRST_WINDOW_MS, batches
from windrow.columns.strings import Strings
from windrow.reading import Reading, Readings
from windrow.rows.partial import Partial, union
from windrow.window import Window

WINDOW = Window(FIRST_WINDOW_MS)


def partial_of(readings: list[Reading]) -> Partial:
    return Partial.of(WINDOW, Readings.of(readings))


def ranges_of(partials: list[Partial], *, held_max: int) -> list[Partial]:
    with Spill(WINDOW, bytes_expected=sum(map(len, partials)), held_max=held_max) as spill:
        for partial in partials:
            spill.add(partial, size_bytes=len(partial))
        return list(spill.ranges())


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(batches(windows=1), max_size=6), st.sampled_from([1, 2, 5, 20, 1000]))
def test_ranges_one_after_another_are_the_union(cuts: list[list[Reading]], held_max: int) -> None:
    """However little is held in memory: ascending ranges, each sensor in one of them, no reading more or less."""
    partials = [partial_of(cut) for cut in cuts if cut]
    ranges = ranges_of(partials, held_max=held_max)
    ids = [sensor_id for part in ranges for sensor_id in part.sensor_ids.to_list()]
    assert ids == sorted(set(ids), key=str.encode)
    readings = [reading for part in ranges for reading in part.readings]
    assert partial_of(readings) == union(WINDOW, partials)
    assert len(readings) == len(union(WINDOW, partials))


def fleet(sensors: int, readings: int, *, seed: int, sequence: int = 0) -> Partial:
    """`readings` readings of `sensors` sensors."""
    rng = np.random.default_rng(seed)
    columns = Readings(
        Strings.of(f"s{number:05}" for number in range(sensors)),
        rng.integers(0, sensors, readings, dtype=np.int32),
        WINDOW.start_ms + rng.integers(0, 300_000, readings),
        np.full(readings, sequence, np.int64),
        rng.integers(-50_000, 50_000, readings, dtype=np.int32),
    )
    return Partial.of(WINDOW, columns)


def test_ranges_are_even_and_bounded() -> None:
    """A fair sample of the ids: no range holds more than twice what may be held."""
    partials = [fleet(5_000, 4_000, seed=seed) for seed in range(20)]
    ranges = ranges_of(partials, held_max=5_000)
    assert max(map(len, ranges)) <= 10_000
    assert len(ranges) >= 16


def test_sensors_that_come_in_order_are_split_again() -> None:
    """The first partials are no sample of the later ones; the range that took them all is split in its turn."""
    whole = fleet(4_000, 40_000, seed=1)
    partials = [whole.of_sensors(start, start + 100) for start in range(0, 4_000, 100)]
    ranges = ranges_of(partials, held_max=2_000)
    assert max(map(len, ranges)) <= 4_000
    assert sum(map(len, ranges)) == len(whole)


def test_small_blocks_are_united_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more readings than all files hold by one split, blocks are small, and each union costs the same at least."""
    calls: list[int] = []
    united = spill_module.RangeFile._union

    def counted(file: spill_module.RangeFile, window: Window, raw: bytes) -> Partial:
        calls.append(len(raw))
        return united(file, window, raw)

    monkeypatch.setattr(spill_module, "RANGES_MAX", 4)
    monkeypatch.setattr(spill_module.RangeFile, "_union", counted)
    partials = [fleet(2_000, 400, seed=seed, sequence=seed) for seed in range(100)]
    ranges = ranges_of(partials, held_max=2_000)
    readings = sum(map(len, ranges))
    assert readings == sum(map(len, partials))
    blocks = readings / 2_000
    assert len(calls) < 2 * blocks + len(ranges) + 8 < 2 * 4 * blocks


def test_one_sensor_cannot_be_split_and_is_no_endless_loop() -> None:
    """All readings of one sensor are one range, however many."""
    partials = [fleet(1, 3_000, seed=seed, sequence=seed) for seed in range(4)]
    (only,) = ranges_of(partials, held_max=1_000)
    assert only == union(WINDOW, partials)


def test_nothing_has_a_name_and_everything_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is seen on the disk, not even by a process that is killed; an error on the way frees the space too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    with Spill(WINDOW, bytes_expected=8_000, held_max=500) as spill:
        for seed in range(2):
            spill.add(fleet(400, 4_000, seed=seed), size_bytes=4_000)
        assert spill._files
        assert open_files() > before
        assert not list(tmp_path.iterdir())
        next(iter(spill.ranges()))
    assert open_files() == before
    with pytest.raises(ZeroDivisionError):
        die_amid_a_split()
    assert open_files() == before


def die_amid_a_split() -> None:
    with Spill(WINDOW, bytes_expected=8_000, held_max=500) as spill:
        spill.add(fleet(400, 4_000, seed=1), size_bytes=4_000)
        _ = 1 / 0


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_readings_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one simple path of small windows touches no disk."""
    refused: Callable[..., None] = lambda *_, **__: pytest.fail("a file")  # noqa: E731
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    assert len(ranges_of([fleet(10, 100, seed=1)], held_max=1_000)) == 1


@pytest.mark.parametrize("held_max", [40, 400])
def test_what_ids_have_in_common_comes_back(held_max: int) -> None:
    """Ids of any length and script behind one beginning, one of them no more than that: all as they were."""
    ids = ["site/é", *(f"site/é{'€' * (number % 3)}{number}" for number in range(2_000))]
    rng = np.random.default_rng(3)
    partials = [
        partial_of(
            [Reading(ids[sensor], WINDOW.start_ms + sensor, number, -sensor) for sensor in rng.integers(0, 2_001, 500)]
        )
        for number in range(4)
    ]
    partials.append(partial_of([Reading("site/é", WINDOW.start_ms, 2**62, 0)]))
    ranges = ranges_of(partials, held_max=held_max)
    assert len(ranges) > 2
    assert partial_of([reading for part in ranges for reading in part.readings]) == union(WINDOW, partials)
