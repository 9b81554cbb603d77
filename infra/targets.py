"""The place that a command talks to: the embedded stack, LocalStack, or AWS."""

import os
from pathlib import Path

from botocore.exceptions import ProfileNotFound

from infra import embedded
from infra.embedded_clients import read_lightly
from windrow import settings
from windrow.aws.clients import AWS, DEFAULT_REGION, EMBEDDED, LOCALSTACK, Place, readable_errors
from windrow.errors import UsageError

_HINT_REGION = "give --region, set AWS_REGION, or name one in the profile"


def find_place(target: str, *, home: Path, region: str | None = None, profile: str | None = None) -> Place:
    """Return the place that ``target`` ("embedded", "localstack" or "aws") means on this machine; make no request.

    ``region`` and ``profile`` are for AWS; where they are None, its own configuration decides. UsageError if they
    do not fit the target; WindrowError if the embedded stack is not running.
    """
    if target == AWS:
        return _aws(region, profile)
    if profile is not None:
        raise UsageError(f"--profile is for --target {AWS} only", hint="leave it out: a stand-in takes any credentials")
    if target == LOCALSTACK:
        return Place(LOCALSTACK, _localstack_endpoint(), region or DEFAULT_REGION)
    if region not in (None, DEFAULT_REGION):
        raise UsageError(f"the embedded stack is always in {DEFAULT_REGION}", hint="leave out --region")
    place = embedded.place(home)
    read_lightly(place)
    return place


def identity(place: Place) -> str:
    """Return in words whose account a command is about to change: on AWS the account, the region and the profile.

    Where the credentials come from is said, never what they are. WindrowError if there are none, or they do not work.
    """
    if place.endpoint_url is not None:
        return f"{_NOUNS[place.name]} at {place.endpoint_url}"
    import boto3  # noqa: PLC0415 - slow to import, and most commands change nothing

    from infra.buckets import account_of  # noqa: PLC0415 - see above

    with readable_errors(place):
        account = account_of(place)
    session = boto3.session.Session(profile_name=place.profile)
    credentials = session.get_credentials()
    # botocore's names for providers that use no profile; all others read one.
    source = {"env": "the environment", "iam-role": "this machine's role", "container-role": "this container's role"}
    method = "" if credentials is None else credentials.method
    whose = f"credentials of {source[method]}" if method in source else f"profile {session.profile_name}"
    return f"AWS account {account}, region {place.region}, {whose}"


_NOUNS = {EMBEDDED: "the embedded stack", LOCALSTACK: "LocalStack"}


def _localstack_endpoint() -> str:
    """Return the URL that localstack-client uses: AWS_ENDPOINT_URL, else LOCALSTACK_HOST, else port 4566 here."""
    from localstack_client import config  # noqa: PLC0415 - slow to import, and only for this target

    try:
        return str(config.get_service_endpoint("s3"))
    except RuntimeError as error:
        raise UsageError(
            f"LOCALSTACK_HOST is not a host and port: {error}", hint="for example: localhost:4566"
        ) from error


def _aws(region: str | None, profile: str | None) -> Place:
    if os.environ.get(settings.AWS_ENDPOINT_URL):
        message = f"{settings.AWS_ENDPOINT_URL} is set, so this would not be AWS"
        raise UsageError(message, hint="unset it, or give --target localstack")
    import boto3  # noqa: PLC0415 - slow to import, and only for this target

    try:
        configured = boto3.session.Session(profile_name=profile).region_name
    except ProfileNotFound as error:
        raise UsageError(f"there is no AWS profile {profile!r}", hint="see: aws configure list-profiles") from error
    chosen = region or configured
    if not chosen:
        raise UsageError("no AWS region is chosen", hint=_HINT_REGION)
    return Place(AWS, None, chosen, profile)
