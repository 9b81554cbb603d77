"""The window that the rollup benches read: partials of a busy fleet in a folder, as ours and as flat Parquet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from windrow.columns.strings import Strings
from windrow.lake.layout import Origin, PartialKey
from windrow.lake.store import ListedObject, StoredObject
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import WINDOW_MS, Window

WINDOW = Window(1_795_169_100_000)
READINGS_PER_PARTIAL = 20_000
SLICES = 15  # a batch gathers for 20 s
DUPLICATES = 0.01


@dataclass(frozen=True, slots=True)
class Size:
    """How large a window is."""

    partials: int
    sensors: int

    @property
    def readings(self) -> int:
        """In all partials."""
        return self.partials * READINGS_PER_PARTIAL

    @property
    def shards(self) -> int:
        """As many as full batches need, or one for each sensor if these are fewer."""
        return max(1, min(self.partials // SLICES, self.sensors))


def make(folder: Path, size: Size, *, flat: bool) -> None:
    """Write the partials of a window under `folder`/ours and, if asked, the same readings under `folder`/flat.

    Sensors belong to shards by chance, as by partition keys. Each batch of a shard has a slice of time, and a part of
    it repeats the one before.
    """
    shards = size.shards
    ids = Strings.of(f"site-{number % 10:02}/sensor-{number:07}" for number in range(size.sensors))
    by_chance = np.random.default_rng(7).permutation(size.sensors)
    for shard in range(shards):
        sensors = np.sort(by_chance[shard::shards])
        for number, readings in enumerate(_batches(ids.take(sensors), sensors, shard, size)):
            partial = Partial.of(WINDOW, readings)
            origin = Origin(stream="fleet", shard=f"shardId-{shard:012}", first=number, last=number)
            _write(folder / "ours" / str(PartialKey(window=WINDOW, origin=origin, digest=partial.digest)), partial)
            if flat:
                _write_flat(folder / "flat" / f"{shard:04}-{number:04}.parquet", readings)


def _batches(ids: Strings, sensors: np.ndarray, shard: int, size: Size) -> Iterator[Readings]:
    """Yield the batches of one shard, which has the sensors `ids`, of the numbers `sensors`.

    Every sensor reads at the same pace, at a moment of its own; sequences count up from sensor to sensor.
    """
    rng = np.random.default_rng(shard)
    batches = size.partials // size.shards
    total = batches * READINGS_PER_PARTIAL
    number = np.arange(total)
    sensor = np.tile(rng.permutation(len(sensors)), total // len(sensors) + 1)[:total].astype(np.int32)
    time = WINDOW.start_ms + number * WINDOW_MS // total
    value = (18_000 + sensors[sensor] * 37 % 9_000 + rng.normal(0, 60, total)).astype(np.int32)
    columns = (sensor, time, 1 + number // len(sensors), value)
    for batch in range(batches):
        start, end = batch * READINGS_PER_PARTIAL, (batch + 1) * READINGS_PER_PARTIAL
        again = rng.integers(max(0, start - READINGS_PER_PARTIAL), end, int(DUPLICATES * READINGS_PER_PARTIAL))
        rows = np.concatenate([np.arange(start, end - len(again)), again])
        yield Readings(ids, *(column[rows] for column in columns))


def _write(path: Path, partial: Partial) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_partial(partial, DeliveryCounts()))


def _write_flat(path: Path, readings: Readings) -> None:
    import pandas as pd  # noqa: PLC0415 - ours does without it

    path.parent.mkdir(parents=True, exist_ok=True)
    ids = readings.sensor_ids.take(readings.sensor).to_list()
    frame = pd.DataFrame(
        {
            "sensor_id": ids,
            "event_time_ms": readings.event_time_ms,
            "sequence": readings.sequence,
            "milli": readings.value_milli,
        }
    )
    frame.to_parquet(path, engine="pyarrow", compression="zstd", index=False)


class FolderStore:
    """A folder as a bucket to read from; what it is told to write it throws away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> StoredObject | None:
        path = self._folder / key
        return StoredObject(path.read_bytes(), "etag") if path.exists() else None

    def put(self, key: str, body: object, *, if_match: str | None = None, if_absent: bool = False) -> str:
        del key, body, if_match, if_absent
        return "etag"

    def delete(self, key: str) -> None:
        del key

    def delete_all(self, keys: Iterable[str]) -> None:
        del keys

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        folder, _, start = prefix.rpartition("/")
        for path in sorted((self._folder / folder).glob(f"{start}*")):
            yield ListedObject(str(path.relative_to(self._folder)), "etag", path.stat().st_size)

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        del prefix, delimiter
        return iter(())
