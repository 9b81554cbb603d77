"""A page of a listing is read as botocore reads it, whatever is in it; errors are botocore's."""

import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from tests.answered_s3 import Answer
from windrow.aws.listings import objects_of, read_quickly

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# XML 1.0 has no other control characters; S3 sends the rest only where it encodes keys.
characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
texts = st.text(st.one_of(st.sampled_from("a/=%+ &<>\"'"), characters), min_size=1, max_size=20)


ANSWER = Answer(200, b"")
USUAL, QUICK = ANSWER.client(), ANSWER.client()
read_quickly(QUICK)


def element(name: str, text: str = "", *inner: ET.Element) -> ET.Element:
    """An element of a listing."""
    made = ET.Element(f"{{{NAMESPACE}}}{name}")
    made.text = text or None
    made.extend(inner)
    return made


def entry(*fields: tuple[str, object]) -> ET.Element:
    """An object of a listing with these fields."""
    return element("Contents", "", *(element(name, str(value)) for name, value in fields))


times = st.datetimes().map(lambda one: f"{one.isoformat(timespec='milliseconds')}Z")
odd_times = st.sampled_from(
    [
        "Mon, 30 Nov 2026 10:10:10 GMT",
        "1795169100",
        "20261130T101010Z",
        "2026-11-30T10:10:10+01:00",
        "2026-11-30T10:10:10",
    ]
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "LastModified": times | odd_times,
        "ETag": texts.map(lambda text: f'"{text}"'),
        "Size": st.integers(0, 2**53).map(str) | st.sampled_from(["+7", " 7 ", "0_7"]),
        "StorageClass": st.sampled_from(["STANDARD", "", "NEW"]),
        "ChecksumType": st.just("FULL_OBJECT"),
        "NewInTheYear2030": texts,
    },
)
entries = st.builds(
    lambda key, fields, checksums: entry(
        ("Key", key), *fields.items(), *(("ChecksumAlgorithm", one) for one in checksums)
    ),
    texts,
    fields,
    st.lists(st.sampled_from(["CRC32", "CRC64NVME", ""]), max_size=2),
)
prefixes = st.builds(lambda prefix: element("CommonPrefixes", "", element("Prefix", prefix)), texts)


@given(st.lists(entries | prefixes, max_size=6), st.booleans(), st.booleans(), st.none() | texts)
def test_a_page_is_what_botocore_makes_of_it(
    members: list[ET.Element], is_encoded: bool, has_namespace: bool, token: str | None
) -> None:
    """Keys, ETags and sizes of objects, and all else there is."""
    listing = element("ListBucketResult", "", element("Name", "lake"), element("Prefix", "a=/"), *members)
    listing.append(element("IsTruncated", str(token is not None).lower()))
    if token is not None:
        listing.append(element("NextContinuationToken", token))
    if is_encoded:
        listing.append(element("EncodingType", "url"))
        for one in listing.iter():
            if one.tag.endswith(("}Key", "}Prefix")):
                one.text = quote_plus(one.text or "", safe="/")
    if not has_namespace:
        for one in listing.iter():
            one.tag = one.tag.rpartition("}")[2]
    ANSWER.status, ANSWER.body = 200, ET.tostring(listing)
    wanted, found = (client.list_objects_v2(Bucket="lake") for client in (USUAL, QUICK))
    assert found == wanted


def test_usual_objects_are_not_left_to_botocore() -> None:
    """What S3 sends for an object; what no listing has unasked, its owner, is botocore's."""
    usual_entry = entry(
        ("Key", "a=b/c"),
        ("LastModified", "2026-11-28T10:10:10.000Z"),
        ("ETag", '"0"'),
        ("ChecksumAlgorithm", "CRC64NVME"),
        ("ChecksumType", "FULL_OBJECT"),
        ("Size", 7),
        ("StorageClass", "STANDARD"),
    )
    assert len(objects_of(element("ListBucketResult", "", usual_entry, usual_entry)) or ()) == 2
    usual_entry.append(element("Owner", "", element("ID", "x")))
    assert objects_of(element("ListBucketResult", "", usual_entry)) is None


ERROR = b"<Error><Code>%s</Code><Message>no</Message></Error>"


@pytest.mark.parametrize("status", [200, 403, 404, 503])
@pytest.mark.parametrize("body", [ERROR % b"SlowDown", ERROR % b"NoSuchBucket", b"", b"<html>", b"<a/>", b"\xff"])
def test_errors_are_those_of_botocore(status: int, body: bytes) -> None:
    """An error in an answer of status 200, a page of a proxy, nothing at all."""
    ANSWER.status, ANSWER.body = status, body
    assert outcome(QUICK) == outcome(USUAL)


def outcome(client: Any) -> object:
    """What a listing comes to."""
    try:
        return client.list_objects_v2(Bucket="lake")
    except (ClientError, ResponseParserError) as error:
        return type(error).__name__, str(error)
