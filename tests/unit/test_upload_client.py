"""Requests that store an object once: what is signed, and what S3's answers mean."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.stub import Stubber

from windrow.aws.clients import Place, client
from windrow.aws.uploads import SIGNED_SECONDS_MAX, SignedUpload, UploadClient, checksum_of
from windrow.errors import PermanentError, WindrowError
from windrow.lake.uploads import sensors_metadata

KEY = "uploads/gateway-7/a b"
BODY = b"readings"


@pytest.fixture(params=["us-east-1", "eu-central-1"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """AWS in two regions: botocore treats the oldest one in another way than all others."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return Place("producer-test", None, request.param)


def signed(place: Place, **changes: object) -> SignedUpload:
    asked = {"length": len(BODY), "checksum": checksum_of(BODY), "content_type": "text/csv", "seconds": 600} | changes
    return UploadClient.at(place, "bucket").sign(KEY, **asked)  # type: ignore[arg-type]


def test_everything_that_is_promised_is_signed(place: Place) -> None:
    """Length, checksum, type and the condition: whoever changes one of them has another signature."""
    found = signed(place)

    query = parse_qs(urlsplit(found.url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["600"]
    names = set(query["X-Amz-SignedHeaders"][0].split(";"))
    assert names == {"host", *map(str.lower, found.headers)}
    assert {"content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"} <= names
    assert found.headers["If-None-Match"] == "*"
    assert (found.method, found.seconds) == ("PUT", 600)


def test_the_host_is_that_of_the_region(place: Place) -> None:
    """Another one would send the request on, and then the signature does not fit."""
    host = urlsplit(signed(place).url).hostname

    assert host in {"bucket.s3.amazonaws.com", f"bucket.s3.{place.region}.amazonaws.com"}
    assert place.region == "us-east-1" or place.region in str(host)


def test_another_length_is_another_signature(place: Place) -> None:
    """And another checksum, type and key."""
    urls = {
        parse_qs(urlsplit(signed(place, **changes).url).query)["X-Amz-Signature"][0]
        for changes in ({}, {"length": 9}, {"checksum": checksum_of(b"")}, {"content_type": "text/plain"})
    }
    assert len(urls) == 4


def test_for_which_sensors_it_is_is_signed(place: Place) -> None:
    """Who has the request can neither leave it out nor widen it."""
    found = signed(place, metadata={"sensors": sensors_metadata(["site 7/", "dach-ü"])})

    assert found.headers["x-amz-meta-sensors"] == "site%207/,dach-%C3%BC"
    names = parse_qs(urlsplit(found.url).query)["X-Amz-SignedHeaders"][0].split(";")
    assert set(names) == {"host", *map(str.lower, found.headers)}
    signatures = {
        parse_qs(urlsplit(signed(place, metadata=metadata).url).query)["X-Amz-Signature"][0]
        for metadata in (None, {"sensors": ""}, {"sensors": "a"}, {"sensors": "a,b"})
    }
    assert len(signatures) == 4


@pytest.mark.parametrize("seconds", [0, -1, SIGNED_SECONDS_MAX + 1])
def test_a_signature_lives_for_minutes(seconds: int, place: Place) -> None:
    """Not for days, as S3 would allow."""
    with pytest.raises(ValueError, match="is not from 1"):
        signed(place, seconds=seconds)


@pytest.fixture
def s3() -> Iterator[tuple[UploadClient, Stubber]]:
    """A bucket whose answers are told."""
    place = Place("embedded", "http://127.0.0.1:1", "us-east-1")
    stubbed = client("s3", place)
    with Stubber(stubbed) as stubber:
        yield UploadClient(stubbed, place, "bucket"), stubber


REQUEST = {
    "Bucket": "bucket",
    "Key": KEY,
    "Body": BODY,
    "ContentType": "text/csv",
    "ChecksumSHA256": checksum_of(BODY),
    "IfNoneMatch": "*",
}


def test_a_new_object_has_a_version_and_a_taken_key_has_none(s3: tuple[UploadClient, Stubber]) -> None:
    """412 is the answer to a key that is taken, which is no error here."""
    uploads, stubber = s3
    stubber.add_response("put_object", {"VersionId": "v7", "ETag": '"e"'}, REQUEST)
    assert uploads.put_once(KEY, BODY, content_type="text/csv") == "v7"
    stubber.add_response("put_object", {"ETag": '"e"'}, REQUEST)
    assert uploads.put_once(KEY, BODY, content_type="text/csv") == "null"
    stubber.add_client_error("put_object", "PreconditionFailed", http_status_code=412, expected_params=REQUEST)
    assert uploads.put_once(KEY, BODY, content_type="text/csv") is None


def test_other_refusals_are_errors(s3: tuple[UploadClient, Stubber]) -> None:
    """One that lasts is told apart, so that nobody waits for it to pass."""
    uploads, stubber = s3
    stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)
    with pytest.raises(PermanentError, match="AccessDenied"):
        uploads.put_once(KEY, BODY, content_type="text/csv")
    stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
    with pytest.raises(WindrowError, match="ConditionalRequestConflict"):
        uploads.put_once(KEY, BODY, content_type="text/csv")
