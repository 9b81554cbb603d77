"""A cache of S3 objects on local disk. Names contain the version, so nothing is fetched twice."""

import hashlib
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analytics.objects import TableObject
from analytics.tables import ExternalTable
from windrow.errors import WindrowError
from windrow.lake.store import ObjectStore

CACHE_BYTES_MAX = 2 * 1024**3
"""The size of the cache, and so the most that one query may read."""
FETCHES_AT_ONCE = 8


class ObjectCache:
    """A folder of at most `bytes_max`, laid out as Hive partitions; the least recently used files are removed first.

    Several processes may share it: files appear whole and never change.
    """

    def __init__(self, folder: Path, *, bytes_max: int = CACHE_BYTES_MAX) -> None:
        """Use `folder`, which is created when it is needed."""
        self.folder = folder
        self._bytes_max = bytes_max
        self._bytes_known: int | None = None

    def fetch(self, needed: Sequence[tuple[ExternalTable, ObjectStore, TableObject]]) -> list[Path | None]:
        """Return a file for each object, None if it was deleted meanwhile; fetch those that are not in the cache.

        WindrowError if the objects together are larger than the cache.
        """
        total_bytes = sum(one.listed.size_bytes for _, _, one in needed)
        if total_bytes > self._bytes_max:
            raise WindrowError(
                f"the query would read {total_bytes / 1e6:,.0f} MB, more than {self._bytes_max / 1e6:,.0f} MB",
                hint="restrict it: WHERE dt = '2026-11-20' AND hour BETWEEN 10 AND 11",
            )
        paths = [self._path(table, one, one.listed.etag) for table, _, one in needed]
        for path in paths:
            if path.exists():
                os.utime(path)
        missing = [place for place, path in enumerate(paths) if not path.exists()]
        if missing:
            self._make_room(sum(needed[place][2].listed.size_bytes for place in missing))
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            fetched = pool.map(lambda place: self._fetch_one(*needed[place]), missing)
            found: list[Path | None] = list(paths)
            for place, file in zip(missing, fetched, strict=True):
                found[place] = file
        return found

    def _fetch_one(self, table: ExternalTable, store: ObjectStore, wanted: TableObject) -> Path | None:
        stored = store.get(wanted.listed.key)
        if stored is None:
            return None
        # It may have been overwritten since it was listed, so the file is named after the ETag that came with the body.
        path = self._path(table, wanted, stored.etag)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{uuid.uuid4().hex}.part")
        try:
            unfinished.write_bytes(stored.body)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return path

    def _path(self, table: ExternalTable, wanted: TableObject, etag: str) -> Path:
        """Return the file of this version; its name is a hash, because keys can be longer than file names."""
        name = hashlib.blake2b(f"{wanted.listed.key}\n{etag}".encode(), digest_size=16).hexdigest()
        return self.folder / table.name / f"dt={wanted.dt}" / f"hour={wanted.hour:02}" / f"{name}{table.suffix}"

    def _make_room(self, bytes_wanted: int) -> None:
        """Remove the least recently used files until `bytes_wanted` more fit.

        Files of the running query are never removed: they were used last, and the whole query fits. The folder is
        scanned the first time, and whenever it may be full as far as this process knows.
        """
        if self._bytes_known is not None and self._bytes_known + bytes_wanted <= self._bytes_max:
            self._bytes_known += bytes_wanted
            return
        files = [(path, path.stat()) for path in self.folder.rglob("*") if path.is_file()]
        total_bytes = sum(facts.st_size for _, facts in files) + bytes_wanted
        for path, facts in sorted(files, key=lambda file: file[1].st_mtime_ns):
            if total_bytes <= self._bytes_max:
                break
            path.unlink(missing_ok=True)
            total_bytes -= facts.st_size
        self._bytes_known = total_bytes
