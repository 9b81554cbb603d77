"""Listing the partials of a window: pages of a thousand keys as S3 sends them, against botocore's parser."""

import http
import urllib.parse
from collections.abc import Iterator

from bench.measure import Finding, medians
from bench.rollup_window import WINDOW
from tests.answered_s3 import Answer
from windrow.aws.listings import read_quickly
from windrow.lake.layout import Origin, PartialKey
from windrow.lake.s3 import S3Store
from windrow.lake.store import LIST_KEYS_MAX, ListedObject

_OBJECT = """<Contents><Key>{key}</Key><LastModified>2026-11-20T10:05:21.000Z</LastModified>\
<ETag>&quot;{etag}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
<ChecksumType>FULL_OBJECT</ChecksumType><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"""
_PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>lake</Name><Prefix>partials/</Prefix>\
<KeyCount>{count}</KeyCount><MaxKeys>{count}</MaxKeys><EncodingType>url</EncodingType>\
<IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"""
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html


def keys() -> Iterator[Finding]:
    """Keys listed a CPU second, the request and its signature included."""
    page = Answer(http.HTTPStatus.OK, _page())
    client = page.client()
    read_quickly(client)
    quick, usual = S3Store(client, "lake"), S3Store(page.client(), "lake")

    def listed(store: S3Store) -> list[ListedObject]:
        return list(store.list_objects("partials/"))

    if listed(quick) != listed(usual):
        raise AssertionError("the two listings differ")
    fast, slow = medians(lambda: listed(quick), lambda: listed(usual), rounds=21)
    rates = (LIST_KEYS_MAX / fast, LIST_KEYS_MAX / slow)
    yield Finding(name="tick.listing", ours=rates[0], baseline=rates[1], ratio=slow / fast, target=5, unit="keys/cpu-s")


BENCHES = {"tick.listing": keys}


def _page() -> bytes:
    """A page of as many partials as it can hold."""
    origin = Origin(stream="fleet", shard="shardId-000000000003", first=4965 * 10**52, last=4965 * 10**52 + 7)
    names = (str(PartialKey(window=WINDOW, origin=origin, digest=f"{number:032x}")) for number in range(LIST_KEYS_MAX))
    objects = (
        _OBJECT.format(key=urllib.parse.quote(name), etag=f"{number:032x}", size=20_000 + number)
        for number, name in enumerate(names)
    )
    return _PAGE.format(count=LIST_KEYS_MAX, objects="".join(objects)).encode()
