"""Where history comes from: objects of a bucket, or files of this machine, that are read a range at a time.

What was found once is read as it was then, or not at all: a file that has changed since belongs to another backfill.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from windrow.errors import UsageError, WindrowError
from windrow.lake.store import StoreError

CHUNK_BYTES = 8 * 1024 * 1024
_CHANGED = 412
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """A file or object: where it is, which bytes it had when it was found (`version`), and when it was written."""

    key: str
    version: str
    written_ms: int
    size_bytes: int


class HistorySource(Protocol):
    """A place of files."""

    @property
    def name(self) -> str:
        """The place, as errors and reports name it."""
        ...

    def find(self, path: str) -> list[HistoryFile]:
        """Return the file of this name, or all in the folder of this name, by name; UsageError if there are none."""
        ...

    def read(self, file: HistoryFile, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, exclusive; WindrowError if the file is gone or has changed."""
        ...


def chunks_of(source: HistorySource, file: HistoryFile) -> Iterator[bytes]:
    """Yield all bytes of a file."""
    for start in range(0, file.size_bytes, CHUNK_BYTES):
        yield source.read(file, start, min(start + CHUNK_BYTES, file.size_bytes))


class FilesOfMachine:
    """Files of this machine."""

    name = "this machine"

    def find(self, path: str) -> list[HistoryFile]:
        """Find a file, or those in a folder and the folders below it."""
        root = Path(path)
        if not root.exists():
            raise UsageError(f"{path} does not exist")
        paths = sorted(one for one in root.rglob("*") if one.is_file()) if root.is_dir() else [root]
        found = [self._found(one) for one in paths if not _is_aside(one.name)]
        return _some([one for one in found if one.size_bytes], path)

    def read(self, file: HistoryFile, start: int, end: int) -> bytes:
        """Read a range; the file is looked at behind it, so that what is returned was there before."""
        try:
            with Path(file.key).open("rb") as opened:
                opened.seek(start)
                body = opened.read(end - start)
            now = self._found(Path(file.key))
        except FileNotFoundError as error:
            raise WindrowError(f"{file.key} is gone") from error
        if now != file or len(body) != end - start:
            raise _changed(file.key)
        return body

    def _found(self, path: Path) -> HistoryFile:
        seen = path.stat()
        return HistoryFile(
            key=str(path.absolute()),
            version=str(seen.st_mtime_ns),
            written_ms=seen.st_mtime_ns // 1_000_000,
            size_bytes=seen.st_size,
        )


class ObjectsOfBucket:
    """Objects of one bucket, through a boto3 S3 client, which repeats failed requests itself."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Use `client` for the bucket of this name."""
        self._client = client
        self._bucket = bucket

    @property
    def name(self) -> str:
        """The bucket's URL."""
        return f"s3://{self._bucket}"

    def find(self, path: str) -> list[HistoryFile]:
        """Find the object of this key, or those whose keys begin with it and a slash."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=path)
        folder = path if not path or path.endswith("/") else f"{path}/"
        found: list[HistoryFile] = []
        try:
            for entry in (entry for page in pages for entry in page.get("Contents", [])):
                key = str(entry["Key"])
                is_wanted = key == path or (key.startswith(folder) and not _is_aside(key.rpartition("/")[2]))
                if is_wanted and entry["Size"]:
                    found.append(_listed(key, entry))
        except (ClientError, BotoCoreError) as error:
            raise self._failed("ListObjectsV2", path, error) from error
        named = [one for one in found if one.key == path]
        return _some(named or found, f"{self.name}/{path}")

    def read(self, file: HistoryFile, start: int, end: int) -> bytes:
        """Read a range of these very bytes: S3 compares the tag."""
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=file.key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{file.version}"'
            )
            body = answer["Body"].read()
        except ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if status == _NOT_FOUND:
                raise WindrowError(f"{self.name}/{file.key} is gone") from error
            if status == _CHANGED:
                raise _changed(f"{self.name}/{file.key}") from error
            raise self._failed("GetObject", file.key, error) from error
        except BotoCoreError as error:
            raise self._failed("GetObject", file.key, error) from error
        return bytes(body)

    def _failed(self, operation: str, key: str, error: Exception) -> StoreError:
        return StoreError(f"{operation} {self.name}/{key}: {' '.join(str(error).split())}")


def _listed(key: str, entry: dict[str, Any]) -> HistoryFile:
    return HistoryFile(
        key=key,
        version=str(entry["ETag"]).strip('"'),
        written_ms=int(entry["LastModified"].timestamp()) * 1_000,
        size_bytes=int(entry["Size"]),
    )


def _is_aside(name: str) -> bool:
    """Whether a file in a folder is of those that engines and systems put beside the data: `_SUCCESS`, `.crc`."""
    return not name or name.startswith(("_", "."))


def _some(found: list[HistoryFile], where: str) -> list[HistoryFile]:
    if not found:
        raise UsageError(f"{where} has no files, or empty ones only")
    return found


def _changed(name: str) -> WindrowError:
    return WindrowError(f"{name} has changed since the backfill was planned", hint="start it anew: it is another one")


def names_of(files: Iterable[HistoryFile]) -> Iterator[str]:
    """Yield a line for each file, that no other bytes have."""
    for one in files:
        yield f"{one.key}\t{one.version}\t{one.size_bytes}\n"
