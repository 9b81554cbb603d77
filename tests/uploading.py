"""A bucket of uploads in memory, for tests of what reads it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from windrow.lake.store import StoreError
from windrow.lake.uploads import UPLOAD_BYTES_MAX, UploadedObject, UploadVersion

BUCKET = "uploads-of-test"


@dataclass
class UploadsInMemory:
    """Versions of keys, in the order in which they were put; a delete without a version hides the key."""

    name: str = BUCKET
    stored: list[UploadedObject] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    opened: int = 0

    def put(
        self, key: str, body: bytes, *, at_ms: int, content_type: str = "", sensors: tuple[str, ...] | None = None
    ) -> UploadedObject:
        """Store an object, written in the second of `at_ms`, and return it."""
        stored = UploadedObject(
            bucket=self.name,
            key=key,
            version=f"v{len(self.stored)}",
            written_ms=at_ms // 1_000 * 1_000,
            content_type=content_type,
            size_bytes=len(body),
            body=body if len(body) <= UPLOAD_BYTES_MAX else None,
            sensors=sensors,
        )
        self.stored.append(stored)
        self.hidden.discard(key)
        return stored

    def delete(self, key: str, version: str | None = None) -> None:
        """Delete one version for good, or hide the key."""
        if version is None:
            self.hidden.add(key)
        else:
            self.stored = [one for one in self.stored if (one.key, one.version) != (key, version)]

    def open(self, key: str, version: str | None) -> UploadedObject | None:
        """Read as S3 does."""
        self.opened += 1
        if key in self.refused:
            raise StoreError(f"GetObject s3://{self.name}/{key}: AccessDenied")
        if version is None:
            found = [one for one in self.stored if one.key == key and key not in self.hidden]
        else:
            found = [one for one in self.stored if (one.key, one.version) == (key, version)]
        return found[-1] if found else None

    def versions(self, prefix: str) -> Iterator[UploadVersion]:
        """List as S3 does."""
        for one in sorted(self.stored, key=lambda one: one.key):
            if one.key.startswith(prefix):
                yield UploadVersion(bucket=self.name, key=one.key, version=one.version, written_ms=one.written_ms)
