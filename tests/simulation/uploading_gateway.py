"""The gateway of producer_gateway with objects in place of records: the same producer, spool, disk and deaths.

Producer ── Uploader ─┬─ bucket, as S3's client has it     ╳ out of reach, silent, a page of somebody else's, denied
                      └─ GatewayApi: token, request, bucket
"""

import hashlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import urllib3
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from processors.upload import judge_upload
from producers.uploader import Uploader
from tests.oracle import Fact
from tests.simulation.gateway import PLACE
from tests.simulation.gateway_machine import Outage
from tests.simulation.process import Process
from tests.simulation.producer_gateway import ProducerGateway
from tests.uploading import UploadsInMemory
from windrow.aws.uploads import UploadClient
from windrow.lake.gateway_api import GatewayApi, GatewayCredentials

LATENCY_MS = 40
FOR_EVER_MS = 10**15
CREDENTIALS = GatewayCredentials(
    name="g", url="https://api", token_url="https://pool/token", client_id="c", client_secret="s", sensors=("",)
)


class BucketClient:
    """PutObject of a bucket in memory, as boto3's client has it, through an uplink that may be down."""

    def __init__(self, bucket: UploadsInMemory, process: Process, outage: Outage) -> None:
        self._bucket = bucket
        self._process = process
        self._outage = outage

    def put_object(self, **arguments: Any) -> dict[str, Any]:
        """Store an object unless the key is taken."""
        return self._process.call(lambda: self._pass(lambda: self._put(**arguments)), latency_ms=LATENCY_MS)

    def _put(self, *, Key: str, Body: bytes, ContentType: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        if any(one.key == Key for one in self._bucket.stored):
            raise _error("PreconditionFailed", 412)
        stored = self._bucket.put(Key, Body, at_ms=self._process.time.now_ms, content_type=ContentType)
        return {"ETag": '"e"', "VersionId": stored.version}

    def _pass(self, request: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self._process.time.now_ms >= self._outage.until_ms:
            return request()
        url = "https://bucket.simulated"
        match self._outage.way:
            case "unreachable":
                raise EndpointConnectionError(endpoint_url=url)
            case "silent":  # all of it is stored
                try:
                    request()
                finally:
                    raise ReadTimeoutError(endpoint_url=url)
            case "page":  # of a captive portal
                return {"ResponseMetadata": {"HTTPStatusCode": 200}}
        raise _error("AccessDenied", 403)


def _error(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")  # type: ignore[arg-type]  # as much of it as anybody reads


class Https:
    """The user pool, the API and the same bucket, as `urllib3.request` reaches them through the uplink."""

    def __init__(self, client: BucketClient, process: Process, outage: Outage) -> None:
        self._client = client
        self._process = process
        self._outage = outage
        self._signed: dict[str, tuple[str, str]] = {}

    def send(self, method: str, url: str, *, body: bytes, headers: dict[str, str], **_: Any) -> SimpleNamespace:
        """Answer a request."""
        if method == "PUT":
            return self._put(url, body, headers)
        return self._process.call(lambda: self._asked(url, body), latency_ms=LATENCY_MS)

    def _put(self, url: str, body: bytes, headers: dict[str, str]) -> SimpleNamespace:
        key, sha256 = self._signed[url]
        assert hashlib.sha256(body).hexdigest() == sha256
        try:
            answer = self._client.put_object(Key=key, Body=body, ContentType=headers["Content-Type"])
        except ClientError as error:
            return _answer(error.response["ResponseMetadata"]["HTTPStatusCode"], {})
        except (EndpointConnectionError, ReadTimeoutError) as error:
            raise urllib3.exceptions.HTTPError(str(error)) from error
        return _answer(200, {}, {name: value for name, value in answer.items() if name == "ETag"})

    def _asked(self, url: str, body: bytes) -> SimpleNamespace:
        if self._process.time.now_ms < self._outage.until_ms:
            if self._outage.way == "page":
                return SimpleNamespace(status=200, data=b"<html>", headers={})
            if self._outage.way == "denied":
                return _answer(403, {"detail": "the token is of no gateway of this stage"})
            raise urllib3.exceptions.HTTPError("nothing answers")
        if url.endswith("/token"):
            return _answer(200, {"access_token": "t"})
        asked = json.loads(body)
        key, signed = f"uploads/gateways/g/{asked['sha256'][:32]}", f"https://bucket/{len(self._signed)}"
        self._signed[signed] = key, asked["sha256"]
        headers = {"Content-Type": asked["content_type"]}
        return _answer(200, {"key": key, "method": "PUT", "url": signed, "headers": headers})


def _answer(status: int, fields: dict[str, Any], headers: dict[str, str] | None = None) -> SimpleNamespace:
    return SimpleNamespace(status=status, data=json.dumps(fields).encode(), headers=headers or {})


class UploadingGateway(ProducerGateway):
    """A gateway whose producer uploads, by its own credentials or by a token."""

    bucket: UploadsInMemory
    by_token = False

    def _new_sender(self, process: Process) -> Uploader:
        client = BucketClient(self.bucket, process, self.outage)
        target = (
            GatewayApi(CREDENTIALS, send=Https(client, process, self.outage).send)
            if self.by_token
            else UploadClient(client, PLACE, self.bucket.name)
        )
        return Uploader(target, name="g", wire=self._habits.wire, object_readings_max=10)

    def _missing_of(self, facts: set[Fact]) -> list[Any]:
        return sorted(facts - facts_in(self.bucket))


def facts_in(bucket: UploadsInMemory) -> set[Fact]:
    """What the stage reads in all objects."""
    found: set[Fact] = set()
    for one in bucket.stored:
        judged = judge_upload(one, horizon_ms=FOR_EVER_MS)
        assert judged.rejected == ()
        found |= {(r.sensor_id, r.event_time_ms, r.sequence, r.value_milli) for r in judged.judged.readings}
    return found
