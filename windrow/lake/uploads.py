"""The bucket of readings that come as objects: an object is one version of a key, and never changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from botocore.exceptions import BotoCoreError, ClientError

from windrow.lake.store import StoreError

UPLOAD_BYTES_MAX = 64 * 1024 * 1024
"""The largest object that is read, as it is stored. A function holds it whole, with its readings."""
SENSORS_METADATA = "sensors"
"""The metadata of an object that only certain sensors may have readings in: prefixes of their ids, percent-encoded.

Whoever signs an upload for somebody else writes it, and S3 keeps it with the object, so it is part of what is judged.
"""
_NOT_FOUND = (404, 405)
"""S3 answers 405 for a version that is a delete marker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedObject:
    """An uploaded object as one GET returned it.

    written_ms: when S3 took it, epoch ms, in whole seconds; the arrival of all that is in it. content_type: "" if it
    has none. body: None if it is larger than UPLOAD_BYTES_MAX, which `size_bytes` then exceeds. sensors: prefixes, one
    of which the id of each sensor in it must begin with; None if any sensor may be in it.
    """

    bucket: str
    key: str
    version: str
    written_ms: int
    content_type: str
    size_bytes: int
    body: bytes | None
    sensors: tuple[str, ...] | None = None

    @property
    def location(self) -> str:
        """The name of these bytes, which no others have."""
        return location_of(self.bucket, self.key, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadVersion:
    """An uploaded object as a listing returns it."""

    bucket: str
    key: str
    version: str
    written_ms: int

    @property
    def location(self) -> str:
        """The name of its bytes, which no others have."""
        return location_of(self.bucket, self.key, self.version)


def sensors_metadata(prefixes: Sequence[str]) -> str:
    """Return prefixes of sensor ids as the value of SENSORS_METADATA, which S3 takes in US-ASCII."""
    return ",".join(quote(prefix, safe="/") for prefix in prefixes)


def parse_sensors_metadata(value: str) -> tuple[str, ...]:
    """Return the prefixes; an empty value has none, so that no sensor fits."""
    return tuple(unquote(one, errors="replace") for one in value.split(",") if one)


def location_of(bucket: str, key: str, version: str) -> str:
    """Return the name of one version of a key."""
    return f"{bucket}/{key}?versionId={version}"


class UploadsBucket:
    """The bucket, through a boto3 S3 client, which repeats failed requests itself. Safe for several threads."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Use `client` for the bucket of this name."""
        self._client = client
        self.name = bucket

    def open(self, key: str, version: str | None) -> UploadedObject | None:
        """Read one version of a key, the latest one if `version` is None; None if it is not there, StoreError else."""
        chosen = {} if version is None else {"VersionId": version}
        try:
            answer = self._client.get_object(Bucket=self.name, Key=key, **chosen)
            size_bytes = int(answer["ContentLength"])
            body = answer["Body"].read() if size_bytes <= UPLOAD_BYTES_MAX else None
            answer["Body"].close()  # of gigabytes nothing more is sent
        except ClientError as error:
            if _status(error) in _NOT_FOUND and _code(error) != "NoSuchBucket":
                return None
            raise self._failed("GetObject", key, error) from error
        except BotoCoreError as error:
            raise self._failed("GetObject", key, error) from error
        sensors = _metadata(answer, SENSORS_METADATA)
        return UploadedObject(
            bucket=self.name,
            key=key,
            version=version or str(answer.get("VersionId", "null")),
            written_ms=_epoch_ms(answer["LastModified"]),
            content_type=str(answer.get("ContentType", "")),
            size_bytes=size_bytes,
            body=body,
            sensors=None if sensors is None else parse_sensors_metadata(sensors),
        )

    def versions(self, prefix: str) -> Iterator[UploadVersion]:
        """Yield every version of every key that begins with `prefix`, without delete markers; StoreError."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix)
        try:
            for page in pages:
                for entry in page.get("Versions", []):
                    yield UploadVersion(
                        bucket=self.name,
                        key=entry["Key"],
                        version=entry["VersionId"],
                        written_ms=_epoch_ms(entry["LastModified"]),
                    )
        except (ClientError, BotoCoreError) as error:
            raise self._failed("ListObjectVersions", prefix, error) from error

    def _failed(self, operation: str, key: str, error: Exception) -> StoreError:
        reason = " ".join(str(error).split())
        return StoreError(f"{operation} s3://{self.name}/{key}: {reason}")


def _metadata(answer: Any, name: str) -> str | None:
    """Return a value of the metadata that an uploader chose; botocore has names as S3 sends them."""
    return next((str(value) for key, value in answer.get("Metadata", {}).items() if key.lower() == name), None)


def _epoch_ms(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
