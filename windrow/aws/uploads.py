"""The uploads bucket as whoever uploads sees it: each key can be written once."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from windrow.aws.clients import Place, client, readable_errors
from windrow.errors import WindrowError

_TAKEN = 412
_NO_S3 = "check the network: a portal may ask for a sign-in"
SIGNED_SECONDS_MAX = 3_600
"""A signed request is for minutes; S3 itself would take a week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUpload:
    """A request that stores one object, with no other credentials; all `headers` must be sent as they are."""

    method: str
    url: str
    headers: Mapping[str, str]
    seconds: int


class UploadClient:
    """Puts objects into one bucket, through a boto3 S3 client."""

    def __init__(self, client: Any, place: Place, bucket: str) -> None:
        """Use `client`, of this place, for the bucket of this name."""
        self._client = client
        self._place = place
        self.bucket = bucket

    @classmethod
    def at(cls, place: Place, bucket: str) -> "UploadClient":
        """Return the bucket at `place`."""
        return cls(client("s3", place), place, bucket)

    def put_once(self, key: str, body: bytes, *, content_type: str) -> str | None:
        """Store an object, whose bytes S3 checks, and return its version; None if the key is taken.

        WindrowError if neither is known, PermanentError if no later try can succeed.
        """
        with readable_errors(self._place):
            try:
                answer = self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentType=content_type,
                    ChecksumSHA256=checksum_of(body),
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == _TAKEN:
                    return None
                raise
        if "ETag" not in answer:
            raise WindrowError(f"s3://{self.bucket}/{key}: something else than S3 has answered", hint=_NO_S3)
        return str(answer.get("VersionId", "null"))

    def sign(
        self,
        key: str,
        *,
        length: int,
        checksum: str,
        content_type: str,
        seconds: int,
        metadata: Mapping[str, str] | None = None,
    ) -> SignedUpload:
        """Return a request that stores one object once, for whoever has it; `checksum` is `checksum_of` its bytes.

        It is signed here, without asking S3, by the credentials of this client: it can do no more than these, and no
        longer. Another length, another checksum or another type does not fit the signature; nor does a request
        without the condition that the key is free, or with other `metadata`. So a second use is refused (412).
        """
        if not 1 <= seconds <= SIGNED_SECONDS_MAX:
            raise ValueError(f"{seconds} is not from 1 to {SIGNED_SECONDS_MAX} seconds")
        headers = {
            "Content-Length": str(length),
            "Content-Type": content_type,
            "If-None-Match": "*",
            "x-amz-checksum-sha256": checksum,
        }
        chosen = dict(metadata or {})
        headers |= {f"x-amz-meta-{name}": value for name, value in chosen.items()}
        with readable_errors(self._place):
            url = self._client.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": key,
                    "ContentLength": length,
                    "ContentType": content_type,
                    "ChecksumSHA256": checksum,
                    "IfNoneMatch": "*",
                    "Metadata": chosen,
                },
                ExpiresIn=seconds,
            )
        return SignedUpload(method="PUT", url=str(url), headers=headers, seconds=seconds)


def checksum_of(body: bytes) -> str:
    """Return the SHA-256 of `body` as S3 takes it, in base64."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
