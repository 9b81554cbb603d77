"""S3 buckets for deployment: the code bucket, and emptying and removing the buckets of a stage."""

import hashlib
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from infra.package import Package
from windrow.aws.clients import DEFAULT_REGION, Place, client
from windrow.errors import WindrowError

DELETE_KEYS_MAX = 1000  # per DeleteObjects request
_MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NotFound"})


def code_bucket(place: Place) -> str:
    """Return the name of the bucket for the functions' code: one per account and region, shared by all stages."""
    account = client("sts", place).get_caller_identity()["Account"]
    # Bucket names are public, and the account number should not be.
    digest = hashlib.sha256(f"windrow {account} {place.region}".encode()).hexdigest()
    return f"windrow-code-{digest[:16]}"


def ensure_code_bucket(place: Place, bucket: str) -> None:
    """Create the code bucket, without public access, unless it exists.

    Nothing in it expires, because CloudFormation needs the previous deployment's code to roll back.
    """
    s3 = client("s3", place)
    if _exists(s3, bucket):
        return
    elsewhere = place.region != DEFAULT_REGION  # S3 rejects the default region as a LocationConstraint
    s3.create_bucket(
        Bucket=bucket, **({"CreateBucketConfiguration": {"LocationConstraint": place.region}} if elsewhere else {})
    )
    flags = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(flags, True))


def upload(place: Place, bucket: str, packages: Iterable[Package]) -> tuple[str, ...]:
    """Upload each package under its key, which is named after its content; return the keys that were new."""
    s3 = client("s3", place)
    uploaded = []
    for key, package in {package.key: package for package in packages}.items():
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise
            s3.put_object(Bucket=bucket, Key=key, Body=package.body)
            uploaded.append(key)
    return tuple(uploaded)


def upload_template(place: Place, bucket: str, text: str) -> str:
    """Upload the template under a key named after its content; return its URL for CloudFormation."""
    s3 = client("s3", place)
    body = text.encode()
    key = f"templates/{hashlib.sha256(body).hexdigest()}.yaml"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def empty(place: Place, bucket: str) -> int:
    """Delete all objects in all versions; return how many there were, 0 if the bucket is missing."""
    s3 = client("s3", place)
    if not _exists(s3, bucket):
        return 0
    removed = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, MaxKeys=DELETE_KEYS_MAX):
        versions = page.get("Versions", [])
        entries = versions + page.get("DeleteMarkers", [])
        keys = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        if keys:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            _refuse_leftovers(bucket, answer.get("Errors", []))
        removed += len(versions)
    return removed


def _refuse_leftovers(bucket: str, errors: list[dict[str, Any]]) -> None:
    """Raise WindrowError, naming the first object that S3 did not delete, if any."""
    if errors:
        first = errors[0]
        message = f"{len(errors)} objects in bucket {bucket} were not deleted, the first {first.get('Key')}"
        raise WindrowError(f"{message}: {first.get('Code')}: {first.get('Message')}", hint="run it again")


def remove(place: Place, bucket: str) -> int:
    """Empty a bucket and delete it; return how many objects it had."""
    removed = empty(place, bucket)
    s3 = client("s3", place)
    if _exists(s3, bucket):
        s3.delete_bucket(Bucket=bucket)
    return removed


def _exists(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return False
        raise
    return True
