"""The hosted page of a stage: its files go into the bucket that the distribution reads."""

from collections.abc import Iterator
from typing import Any

from analytics.page import FILES, MEDIA_TYPES, SignIn, hosted_page, text_of
from infra.buckets import account_of
from windrow.aws.clients import client, readable_errors
from windrow.stage import Stage

PAGE = "index.html"
# Names have no digest of their content, so a browser asks each time whether it has changed; most often it has not.
_CACHING = "no-cache"


def publish(stage: Stage) -> None:
    """Write the page's files, the page itself last, so that it never names one that is not there."""
    with readable_errors(stage.place):
        s3, owner = client("s3", stage.place), account_of(stage.place)
        for put in _puts(stage):
            s3.put_object(Bucket=stage.site_bucket, ExpectedBucketOwner=owner, CacheControl=_CACHING, **put)


def _puts(stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield key, type and body of each file."""
    sign_in = SignIn(authority=stage.sign_in_url, client=stage.sign_in_client)
    for name in FILES:
        yield {"Key": f"static/{name}", "ContentType": _type_of(name), "Body": text_of(name).encode()}
    yield {
        "Key": PAGE,
        "ContentType": _type_of(PAGE),
        "Body": hosted_page(sign_in, socket_url=stage.socket_url).encode(),
    }


def _type_of(name: str) -> str:
    return f"{MEDIA_TYPES[name[name.rindex('.') :]]}; charset=utf-8"
