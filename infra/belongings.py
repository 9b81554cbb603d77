"""What belongs to a stage and outlives its stack: its buckets and their key, found by the stage's tag."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra import buckets
from infra.buckets import OwnedBucket
from windrow.aws.clients import Place, client
from windrow.deployment import STAGE_TAG, stack_name

# The buckets of the template. CloudFormation names each after the stack and its logical id, which always fit.
BUCKETS = ("LakeBucket", "ResultsBucket", "OnFailureBucket", "UploadsBucket")
SITE_BUCKET = "SiteBucket"
"""The bucket of the page's files, which goes with the stack: it holds nothing that windrow does not bring again."""
_GOING = frozenset({"PendingDeletion", "PendingReplicaDeletion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """A stage's buckets and KMS keys, by name and by id.

    ``going_keys`` are scheduled for deletion. ``hidden_keys`` is how many of the account's keys could not be looked at:
    their own policies keep these credentials out.
    """

    buckets: tuple[OwnedBucket, ...] = ()
    keys: tuple[str, ...] = ()
    going_keys: tuple[str, ...] = ()
    hidden_keys: int = 0


def logical_id(bucket: str, stage: str) -> str:
    """Return which of BUCKETS the template calls a bucket with this name; empty if none."""
    for name in BUCKETS:
        if bucket.startswith(f"{stack_name(stage)}-{name.lower()}-"):
            return name
    return ""


def is_site(bucket: str, stage: str) -> bool:
    """Whether the bucket of this name is that of the stage's page."""
    return bucket.startswith(f"{stack_name(stage)}-{SITE_BUCKET.lower()}-")


def find(place: Place, stage: str, *, more_buckets: Iterable[str] = (), more_keys: Iterable[str] = ()) -> Belongings:
    """Return what is tagged with the stage in this account and region, and what the caller knows to be its own.

    Lists are read, not an index of tags, which would lag behind: what was just deleted is not found.
    """
    owned = {bucket.name: bucket for bucket in find_buckets(place, stage)}
    account = "" if set(more_buckets) <= owned.keys() else buckets.account_of(place)
    owned |= {name: OwnedBucket(name=name, account=account) for name in more_buckets if name not in owned}
    keys, hidden = _tagged_keys(place, stage)
    states = {key: state for key in sorted({*keys, *more_keys}) if (state := _state(place, key))}
    return Belongings(
        buckets=tuple(owned[name] for name in sorted(owned)),
        keys=tuple(key for key, state in states.items() if state not in _GOING),
        going_keys=tuple(key for key, state in states.items() if state in _GOING),
        hidden_keys=hidden,
    )


def find_buckets(place: Place, stage: str) -> list[OwnedBucket]:
    """Return the buckets of this account and region that have the stage's name and its tag.

    A stage of the same name in another region has buckets of its own, and the list of buckets is one for all regions.
    """
    s3 = client("s3", place)
    request: dict[str, str] = {"Prefix": f"{stack_name(stage)}-", "BucketRegion": place.region}
    names: list[str] = []
    while True:
        page = s3.list_buckets(**request)
        # A stand-in may not know the two filters.
        names += [one["Name"] for one in page["Buckets"] if one.get("BucketRegion", place.region) == place.region]
        if not page.get("ContinuationToken"):
            break
        request["ContinuationToken"] = page["ContinuationToken"]
    alike = [name for name in names if name.startswith(request["Prefix"]) and not is_site(name, stage)]
    if not alike:
        return []
    account = buckets.account_of(place)
    found = [OwnedBucket(name=name, account=account) for name in alike]
    return [bucket for bucket in found if _is_of(place, bucket, stage)]


def _is_of(place: Place, bucket: OwnedBucket, stage: str) -> bool:
    tags = buckets.tags(place, bucket)
    # The embedded stack creates buckets without their tags; there the name must do.
    return tags.get(STAGE_TAG) == stage or (not tags and place.endpoint_url is not None)


def _tagged_keys(place: Place, stage: str) -> tuple[list[str], int]:
    """Return the ids of the keys with the stage's tag, and how many keys could not be looked at."""
    kms = client("kms", place)
    found: list[str] = []
    hidden = 0
    for page in kms.get_paginator("list_keys").paginate():
        for key in (one["KeyId"] for one in page["Keys"]):
            try:
                tags = _key_tags(kms, key)
            except ClientError as error:
                if error.response["Error"]["Code"] not in buckets.FORBIDDEN | {"AccessDeniedException"}:
                    raise
                hidden += 1
                continue
            if tags.get(STAGE_TAG) == stage:
                found.append(key)
    return found, hidden


def _key_tags(kms: Any, key: str) -> dict[str, str]:
    pages = kms.get_paginator("list_resource_tags").paginate(KeyId=key)
    return {tag["TagKey"]: tag["TagValue"] for page in pages for tag in page["Tags"]}


def _state(place: Place, key: str) -> str:
    """Return the state of a key, empty if it does not exist any more."""
    try:
        return str(client("kms", place).describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
        return ""
