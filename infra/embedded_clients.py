"""Clients of the embedded stack that read without botocore, whose import and models take longer than most commands.

Each has the requests that commands make again and again, over plain HTTP, with botocore's arguments and answers. All
else, and whatever the stack does not simply answer, such as a refusal or none at all, is left to botocore's client,
which is made then: errors, retries and rare options are its own.
"""

import http.client
import io
import json
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from windrow.aws.clients import READ_TIMEOUT_SECONDS, Place, wrap_client
from windrow.aws.listings import objects_of

# The versions of these services' APIs, which each of their requests names.
CLOUDFORMATION_VERSION = "2010-05-15"
_KINESIS = "Kinesis_20131202"
_LAMBDA_VERSION = "2015-03-31"
_FORM = "application/x-www-form-urlencoded"
# The stack finds the service of a request in its signature's scope, and checks no signature.
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/aws4_request"


def read_lightly(place: Place) -> None:
    """Have `windrow.aws.clients.client` return these clients for `place`, an embedded stack."""
    wrap_client("s3", place, lambda make: LightS3(place, make))
    wrap_client("cloudformation", place, lambda make: LightCloudFormation(place, make))
    wrap_client("lambda", place, lambda make: LightLambda(place, make))
    wrap_client("kinesis", place, lambda make: LightKinesis(place, make))
    wrap_client("kinesis", place, lambda make: LightClient(place, make), repeats=False)


class LightClient:
    """A client that makes some requests itself, and hands on all others; safe for several threads."""

    service = ""

    def __init__(self, place: Place, make: Callable[[], Any]) -> None:
        """Ask `place`; `make` makes botocore's client."""
        self._place = place
        self._make = make
        self._whole: Any = None
        self._lock = threading.Lock()
        self._connections = threading.local()

    def __getattr__(self, name: str) -> Any:
        """Hand on everything that this client does not do itself."""
        return getattr(self.whole(), name)

    def whole(self) -> Any:
        """Return botocore's client, made at the first call."""
        with self._lock:
            if self._whole is None:
                self._whole = self._make()
        return self._whole

    def ask(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[bytes, http.client.HTTPMessage] | None:
        """Return the body and the headers of the answer; None unless it came whole, with status 200."""
        headers["Authorization"] = _AUTHORIZATION.format(region=self._place.region, service=self.service)
        connection = self._connection()
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        return (answer, response.headers) if response.status == http.HTTPStatus.OK else None

    def _connection(self) -> http.client.HTTPConnection:
        """Return the connection of this thread; one that the stack has closed opens itself again."""
        if not hasattr(self._connections, "open"):
            host = urlsplit(self._place.endpoint_url or "").netloc
            self._connections.open = http.client.HTTPConnection(host, timeout=READ_TIMEOUT_SECONDS)
        connection: http.client.HTTPConnection = self._connections.open
        return connection


class LightS3(LightClient):
    """Lists objects and gets them."""

    service = "s3"

    def get_object(self, *, Bucket: str, Key: str, **others: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        """Return the object's body and ETag."""
        answer = None if others else self.ask("GET", f"/{Bucket}/{urllib.parse.quote(Key)}")
        if answer is None:
            whole: dict[str, Any] = self.whole().get_object(Bucket=Bucket, Key=Key, **others)
            return whole
        return {"Body": io.BytesIO(answer[0]), "ETag": answer[1]["ETag"]}

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        """Return a page of keys with ETags and sizes, and of common prefixes."""
        parameters = {_LIST_PARAMETERS[name]: value for name, value in request.items() if name in _LIST_PARAMETERS}
        answer = None
        if len(parameters) == len(request) - 1 and "Bucket" in request:
            query = urllib.parse.urlencode({"list-type": 2, "encoding-type": "url", **parameters})
            answer = self.ask("GET", f"/{request['Bucket']}?{query}")
        page = None if answer is None else _page(_tree(answer[0]))
        return page or self.whole().list_objects_v2(**request)


class LightCloudFormation(LightClient):
    """Describes stacks."""

    service = "cloudformation"

    def describe_stacks(self, **request: str) -> dict[str, Any]:
        """Return each stack's name, status, protection, parameters, outputs and tags, and no more."""
        answer = None
        if request.keys() <= {"StackName", "NextToken"}:
            fields = {"Action": "DescribeStacks", "Version": CLOUDFORMATION_VERSION, **request}
            answer = self.ask("POST", "/", urllib.parse.urlencode(fields), **{"Content-Type": _FORM})
        if answer is None:
            whole: dict[str, Any] = self.whole().describe_stacks(**request)
            return whole
        result = _tree(answer[0]).find("DescribeStacksResult")
        if result is None:
            raise ValueError(f"the embedded stack described no stacks: {answer[0][:100]!r}")
        stacks = [_stack(one) for one in result.iterfind("Stacks/member")]
        token = result.findtext("NextToken")
        return {"Stacks": stacks, "NextToken": token} if token else {"Stacks": stacks}


class LightKinesis(LightClient):
    """Sums up a stream."""

    service = "kinesis"

    def describe_stream_summary(self, **request: str) -> dict[str, Any]:
        """Return the facts about the stream."""
        target = {"X-Amz-Target": f"{_KINESIS}.DescribeStreamSummary", "Content-Type": "application/x-amz-json-1.1"}
        answer = self.ask("POST", "/", json.dumps(request), **target)
        if answer is None:
            whole: dict[str, Any] = self.whole().describe_stream_summary(**request)
            return whole
        summary = json.loads(answer[0])["StreamDescriptionSummary"]
        return {"StreamDescriptionSummary": _with_instants(summary, "StreamCreationTimestamp")}


class LightLambda(LightClient):
    """Lists what reads a stream."""

    service = "lambda"

    def list_event_source_mappings(self, **request: str) -> dict[str, Any]:
        """Return a page of event source mappings."""
        answer = None
        if request.keys() <= {"EventSourceArn", "Marker"}:
            answer = self.ask("GET", f"/{_LAMBDA_VERSION}/event-source-mappings/?{urllib.parse.urlencode(request)}")
        if answer is None:
            whole: dict[str, Any] = self.whole().list_event_source_mappings(**request)
            return whole
        page: dict[str, Any] = json.loads(answer[0])
        instants = ("LastModified", "StartingPositionTimestamp")
        page["EventSourceMappings"] = [_with_instants(one, *instants) for one in page["EventSourceMappings"]]
        return page


_LIST_PARAMETERS = {
    "Prefix": "prefix",
    "Delimiter": "delimiter",
    "MaxKeys": "max-keys",
    "ContinuationToken": "continuation-token",
}
"""botocore's names of what a listing is asked with -> S3's."""
_PROTECTION = "EnableTerminationProtection"
_STACK_LISTS = {
    "Parameters": ("ParameterKey", "ParameterValue"),
    "Outputs": ("OutputKey", "OutputValue"),
    "Tags": ("Key", "Value"),
}


def _tree(body: bytes) -> ET.Element:
    """Return the document, its names without the service's namespace."""
    root = ET.fromstring(body)  # noqa: S314 - from our own child process
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _with_instants(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the answer with seconds since the epoch as the instants that botocore makes of them."""
    instants = {name: datetime.fromtimestamp(answer[name], UTC) for name in names if answer.get(name) is not None}
    return answer | instants


def _page(listing: ET.Element) -> dict[str, Any] | None:
    objects = objects_of(listing)
    if objects is None:
        return None
    decode = urllib.parse.unquote_plus if listing.findtext("EncodingType") == "url" else str
    page: dict[str, Any] = {
        "IsTruncated": listing.findtext("IsTruncated") == "true",
        "Contents": [entry | {"Key": decode(entry["Key"])} for entry in objects],
        "CommonPrefixes": [
            {"Prefix": decode(entry.findtext("Prefix", ""))} for entry in listing.iterfind("CommonPrefixes")
        ],
    }
    token = listing.findtext("NextContinuationToken")
    return page if token is None else page | {"NextContinuationToken": token}


def _stack(member: ET.Element) -> dict[str, Any]:
    lists = {
        name: [{key: entry.findtext(key, "") for key in keys} for entry in member.iterfind(f"{name}/member")]
        for name, keys in _STACK_LISTS.items()
    }
    texts = {name: member.findtext(name, "") for name in ("StackName", "StackId", "StackStatus")}
    return {**texts, **lists, _PROTECTION: member.findtext(_PROTECTION) == "true"}
