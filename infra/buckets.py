"""S3 buckets: the code bucket, and looking at, emptying and removing the buckets of a stage."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.package import Package
from windrow.aws.clients import DEFAULT_REGION, Place, client
from windrow.errors import WindrowError

DELETE_KEYS_MAX = 1000  # per DeleteObjects request
# A few minutes of deleting. What a bucket has beyond that is left to S3's own rules.
OBJECTS_MAX = 200_000
_MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NotFound"})
FORBIDDEN = frozenset({"403", "AccessDenied", "Forbidden"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedBucket:
    """A bucket of this account.

    Every request about it names the owner, so S3 refuses (403) where somebody else took the name, which can be
    computed: nothing is sent to a stranger, and no code of a stranger is deployed.
    """

    name: str
    account: str

    @property
    def request(self) -> dict[str, str]:
        """The arguments that each request about this bucket begins with."""
        return {"Bucket": self.name, "ExpectedBucketOwner": self.account}


def account_of(place: Place) -> str:
    """Return the number of the account that the credentials belong to."""
    return str(client("sts", place).get_caller_identity()["Account"])


def code_bucket(place: Place) -> OwnedBucket:
    """Return the bucket for the functions' code: one per account and region, shared by all stages."""
    account = account_of(place)
    return OwnedBucket(name=code_bucket_name(account, place.region), account=account)


def code_bucket_name(account: str, region: str) -> str:
    """Return the name of the code bucket. Bucket names are public, and the account number should not be."""
    digest = hashlib.sha256(f"windrow {account} {region}".encode()).hexdigest()
    return f"windrow-code-{digest[:16]}"


def ensure_code_bucket(place: Place, bucket: OwnedBucket) -> None:
    """Create the code bucket unless it exists: without public access, TLS only, versioned and tagged.

    Nothing in it expires, because CloudFormation needs the previous deployment's code to roll back; only what was
    overwritten and what was never uploaded whole does.
    """
    s3 = client("s3", place)
    if _exists(s3, bucket):
        return
    elsewhere = place.region != DEFAULT_REGION  # S3 rejects the default region as a LocationConstraint
    location = {"CreateBucketConfiguration": {"LocationConstraint": place.region}} if elsewhere else {}
    s3.create_bucket(Bucket=bucket.name, **location)
    flags = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    s3.put_public_access_block(**bucket.request, PublicAccessBlockConfiguration=dict.fromkeys(flags, True))
    s3.put_bucket_versioning(**bucket.request, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(**bucket.request, Tagging={"TagSet": [{"Key": "windrow", "Value": "code"}]})
    s3.put_bucket_lifecycle_configuration(**bucket.request, LifecycleConfiguration={"Rules": [_LEFTOVERS]})
    if place.endpoint_url is None:  # stand-ins speak plain HTTP
        s3.put_bucket_policy(**bucket.request, Policy=_tls_only(bucket.name))


_LEFTOVERS = {
    "ID": "leftovers",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


def _tls_only(bucket: str) -> str:
    arns = [f"arn:*:s3:::{bucket}", f"arn:*:s3:::{bucket}/*"]
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": arns,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def upload(place: Place, bucket: OwnedBucket, packages: Iterable[Package]) -> tuple[str, ...]:
    """Upload each package under its key, which is named after its content; return the keys that were new."""
    s3 = client("s3", place)
    uploaded = []
    for key, package in {package.key: package for package in packages}.items():
        try:
            s3.head_object(**bucket.request, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise
            s3.put_object(**bucket.request, Key=key, Body=package.body)
            uploaded.append(key)
    return tuple(uploaded)


def upload_template(place: Place, bucket: OwnedBucket, text: str) -> str:
    """Upload the template under a key named after its content; return its URL for CloudFormation."""
    s3 = client("s3", place)
    body = text.encode()
    key = f"templates/{hashlib.sha256(body).hexdigest()}.yaml"
    s3.put_object(**bucket.request, Key=key, Body=body)
    return f"{s3.meta.endpoint_url}/{bucket.name}/{key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of a bucket: how many objects were deleted, and whether it has none left (or is gone)."""

    objects: int
    is_complete: bool


def tags(place: Place, bucket: OwnedBucket) -> dict[str, str]:
    """Return the tags of a bucket; none if it has none, or is gone."""
    try:
        found = client("s3", place).get_bucket_tagging(**bucket.request)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING | {"NoSuchTagSet"}:
            raise
        return {}
    return {tag["Key"]: tag["Value"] for tag in found}


def has_policy(place: Place, bucket: OwnedBucket) -> bool:
    """Return whether a bucket has a policy; one that is missing has none."""
    try:
        client("s3", place).get_bucket_policy(**bucket.request)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING | {"NoSuchBucketPolicy"}:
            raise
        return False
    return True


def key_of(place: Place, bucket: OwnedBucket) -> str:
    """Return the id or ARN of the KMS key that a bucket's objects are stored under; empty if there is none."""
    try:
        answer = client("s3", place).get_bucket_encryption(**bucket.request)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING | {"ServerSideEncryptionConfigurationNotFoundError"}:
            raise
        return ""
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    keys = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "") for rule in rules]
    return str(next(filter(None, keys), ""))


def empty(place: Place, bucket: OwnedBucket, *, objects_max: int = OBJECTS_MAX) -> Removal:
    """Delete all objects in all versions and all delete markers, but stop when ``objects_max`` of them are gone.

    Bounded to the next request, which deletes up to DELETE_KEYS_MAX. A bucket that is missing is empty.
    """
    s3 = client("s3", place)
    if not _exists(s3, bucket):
        return Removal(objects=0, is_complete=True)
    removed = deleted = 0
    page_size = min(DELETE_KEYS_MAX, objects_max)
    for page in s3.get_paginator("list_object_versions").paginate(**bucket.request, MaxKeys=page_size):
        versions = page.get("Versions", [])
        entries = versions + page.get("DeleteMarkers", [])
        if entries and deleted >= objects_max:
            return Removal(objects=removed, is_complete=False)
        keys = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        if keys:
            answer = s3.delete_objects(**bucket.request, Delete={"Objects": keys, "Quiet": True})
            _refuse_leftovers(bucket.name, answer.get("Errors", []))
        removed += len(versions)
        deleted += len(entries)
    return Removal(objects=removed, is_complete=True)


def _refuse_leftovers(bucket: str, errors: list[dict[str, Any]]) -> None:
    """Raise WindrowError, naming the first object that S3 did not delete, if any."""
    if errors:
        first = errors[0]
        message = f"{len(errors)} objects in bucket {bucket} were not deleted, the first {first.get('Key')}"
        raise WindrowError(f"{message}: {first.get('Code')}: {first.get('Message')}", hint="run it again")


def remove(place: Place, bucket: OwnedBucket, *, objects_max: int = OBJECTS_MAX) -> Removal:
    """Empty a bucket and delete it. If it has more than ``objects_max`` objects, let the rest expire and keep it."""
    removal = empty(place, bucket, objects_max=objects_max)
    s3 = client("s3", place)
    if not removal.is_complete:
        s3.put_bucket_lifecycle_configuration(**bucket.request, LifecycleConfiguration={"Rules": _EVERYTHING})
    elif _exists(s3, bucket):
        s3.delete_bucket(**bucket.request)
    return removal


# An object expires at the midnight (UTC) after its first day. In a versioned bucket that only hides it: the version
# goes a day later, and the marker that hid it after that ("Lifecycle configuration elements" in the S3 user guide).
_EVERYTHING: list[dict[str, Any]] = [
    {
        "ID": "everything",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 1},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    },
    {
        "ID": "markers",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    },
]
EXPIRY_DAYS = 5
"""After so many days nothing should be left of what these rules empty; S3 may take longer, and charges nothing then."""


def _exists(s3: Any, bucket: OwnedBucket) -> bool:
    try:
        s3.head_bucket(**bucket.request)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _MISSING:
            return False
        if code in FORBIDDEN:
            message = f"bucket {bucket.name} belongs to another account, or these credentials may not use it"
            raise WindrowError(message, hint="ask AWS whose it is, or widen the policy") from error
        raise
    return True
