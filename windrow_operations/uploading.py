"""Files to a stage's uploads bucket, and what became of them."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from windrow.aws.uploads import SignedUpload, checksum_of
from windrow.errors import UsageError
from windrow.lake.layout import UPLOADS
from windrow.lake.receipt import Receipt, key_of_receipt
from windrow.lake.uploads import SENSORS_METADATA, UPLOAD_BYTES_MAX, location_of, sensors_metadata
from windrow.stage import Stage

# By the ending of a file's name, without .gz and .zst; of any other one the stage looks at the bytes.
CONTENT_TYPES = {
    ".arrow": "application/vnd.apache.arrow.stream",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
}
ANY = "application/octet-stream"
POLL_SECONDS = 1.0
_PACKED = frozenset({".gz", ".zst", ".zstd"})
_DIGEST_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUpload:
    """A file that is to be uploaded. Its key has a digest of its content, so it is uploaded once."""

    path: Path
    key: str
    content_type: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file and the version of its object; None if it was uploaded before."""

    file: FileUpload
    version: str | None


def plan_uploads(paths: Sequence[Path], *, name: str) -> list[FileUpload]:
    """Return what uploading these files would write, under this name; UsageError names one that cannot be."""
    return [_planned(path, name) for path in paths]


def _planned(path: Path, name: str) -> FileUpload:
    size_bytes = path.stat().st_size
    if not size_bytes:
        raise UsageError(f"{path} is empty")
    if size_bytes > UPLOAD_BYTES_MAX:
        message = f"{path} has {size_bytes:,} bytes, and an upload at most {UPLOAD_BYTES_MAX:,}"
        raise UsageError(message, hint="cut it, or pack it with gzip; or: windrow ingest")
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:_DIGEST_CHARACTERS]
    return FileUpload(
        path=path,
        key=f"{UPLOADS}{name}/{digest}-{path.name}",
        content_type=content_type_of(path),
        size_bytes=len(body),
        checksum=checksum_of(body),
    )


def content_type_of(path: Path) -> str:
    """Return the content type by the ending of a name."""
    while path.suffix.lower() in _PACKED:
        path = path.with_suffix("")
    return CONTENT_TYPES.get(path.suffix.lower(), ANY)


def upload_file(stage: Stage, one: FileUpload) -> UploadedFile:
    """Upload a planned file; UsageError if it has changed since, WindrowError for what AWS refuses."""
    body = one.path.read_bytes()
    if checksum_of(body) != one.checksum:
        raise UsageError(f"{one.path} has changed while it was read", hint="upload it when nobody writes to it")
    return UploadedFile(one, stage.upload_client.put_once(one.key, body, content_type=one.content_type))


def sign_file(stage: Stage, one: FileUpload, *, seconds: int, sensors: Sequence[str] | None = None) -> SignedUpload:
    """Return a request by which somebody without credentials can upload this file, once.

    It counts if the ids of its sensors begin with one of `sensors`; None: whatever they are.
    """
    return stage.upload_client.sign(
        one.key,
        length=one.size_bytes,
        checksum=one.checksum,
        content_type=one.content_type,
        seconds=seconds,
        metadata=None if sensors is None else {SENSORS_METADATA: sensors_metadata(sensors)},
    )


def wait_for_receipts(
    stage: Stage,
    uploaded: Sequence[UploadedFile],
    *,
    seconds_max: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[Path, Receipt]:
    """Return the receipts of new objects, by file, as soon as all are there, or those that are when the time is up."""
    waiting = {
        one.file.path: key_of_receipt(location_of(stage.uploads_bucket, one.file.key, one.version))
        for one in uploaded
        if one.version is not None
    }
    found: dict[Path, Receipt] = {}
    deadline = clock() + seconds_max
    while True:
        for path, key in waiting.items():
            stored = None if path in found else stage.lake.get(key)
            if stored is not None:
                found[path] = Receipt.from_json(stored.body)
        if len(found) == len(waiting) or clock() >= deadline:
            return found
        sleep(POLL_SECONDS)
