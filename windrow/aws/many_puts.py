"""An S3 client whose `put_object` costs a quarter of the CPU time, for those who write thousands of small objects.

What the SDK does for every call anew is left out: the rules of endpoints, the model of the operation, hooks, a checksum
beside the signed digest of the body. Where a bucket is, and for which region its requests are signed, is seen in the
first put, which the SDK sends. What the SDK would have to deal with, it deals with: any answer but 200, a broken
connection, a body that is a file, a proxy. It then sends the put itself, with its own repeats, and raises its errors.
"""

import re
import ssl
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from botocore.exceptions import BotoCoreError

from windrow.aws.clients import READ_TIMEOUT_SECONDS, Place, certificates_at, client, credentials_at

_CONDITIONS = {"IfNoneMatch": "If-None-Match", "IfMatch": "If-Match"}
_EVENT = "before-send.s3.PutObject"
# What the SDK leaves as it is in a key, and the region in the header that it signs with.
_SAFE = "/~"
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/,]+/\d{8}/(?P<region>[^/,]+)/s3/aws4_request,")


@dataclass(frozen=True, slots=True)
class _Where:
    """The URL of a bucket up to its keys, and the region that its requests are signed for."""

    url: str
    region: str


class ManyPuts:
    """The process's S3 client at a place, with a cheaper `put_object` for one bucket; all else is the client's own.

    Safe for several threads. A context: its connections are closed at the end.
    """

    def __init__(self, place: Place, bucket: str) -> None:
        """Make no request."""
        self._client = client("s3", place)
        self._bucket = bucket
        self._place = place
        self._credentials = credentials_at(place)
        self._where: _Where | None = None
        self._is_first = True
        self._first = threading.Lock()
        self._idle: list[HTTPConnection] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def __getattr__(self, name: str) -> Any:
        """Return the client's own."""
        return getattr(self._client, name)

    def put_object(self, *, Bucket: str, Key: str, Body: Any, **options: Any) -> dict[str, Any]:  # noqa: N803 - the SDK's
        """Put one object; the answer has the ETag. Raises what the client's own raises."""
        if Bucket == self._bucket and isinstance(Body, bytes) and options.keys() <= _CONDITIONS.keys():
            with self._first:
                if self._is_first:
                    return self._put_first(Key, Body, options)
            etag = None if self._where is None else self._put(self._where, Key, Body, options)
            if etag is not None:
                return {"ETag": etag}
        answer: dict[str, Any] = self._client.put_object(Bucket=Bucket, Key=Key, Body=Body, **options)
        return answer

    def _put_first(self, key: str, body: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """Put by the SDK, and remember where to; until one succeeds, the next is the first."""
        end = f"/{quote(key, safe=_SAFE)}"
        seen: list[tuple[str, str]] = []

        def note(request: Any, **_: Any) -> None:
            signed = request.headers.get("Authorization", "")
            seen.append((request.url, signed.decode() if isinstance(signed, bytes) else signed))

        self._client.meta.events.register(_EVENT, note)
        try:
            answer: dict[str, Any] = self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **options)
        finally:
            self._client.meta.events.unregister(_EVENT, note)
        # Other threads may use the client, and a put that was redirected is sent twice: the last of this key counts.
        url, signed = next((one for one in reversed(seen) if one[0].endswith(end)), ("", ""))
        scope = _SCOPE.match(signed)
        if scope is not None and self._credentials is not None and not _has_proxy(self._place, url):
            self._where = _Where(url.removesuffix(end), scope["region"])
        self._is_first = False
        return answer

    def _put(self, where: _Where, key: str, body: bytes, options: dict[str, Any]) -> str | None:
        """Return the ETag, or None where the SDK is to send it."""
        path = quote(key, safe=_SAFE)
        headers = {_CONDITIONS[name]: value for name, value in options.items()}
        try:
            headers = self._signed(f"{where.url}/{path}", body, headers, where.region)
        except BotoCoreError:
            return None
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _connection(self._place, where.url)
        try:
            connection.request("PUT", f"{urlsplit(where.url).path}/{path}", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            connection.close()
            return None
        self._idle.append(connection)
        return answer.headers["ETag"] if answer.status == HTTPStatus.OK else None

    def _signed(self, url: str, body: bytes, headers: dict[str, str], region: str) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - as in windrow.aws.clients
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as in windrow.aws.clients

        request = AWSRequest("PUT", url, data=body, headers={**headers, "Content-Type": "application/octet-stream"})
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", region).add_auth(request)
        return dict(request.headers.items())


def _connection(place: Place, url: str) -> HTTPConnection:
    from botocore.httpsession import get_cert_path  # noqa: PLC0415 - as in windrow.aws.clients

    to = urlsplit(url)
    if to.scheme == "http":
        return HTTPConnection(to.netloc, timeout=READ_TIMEOUT_SECONDS)
    trusted = ssl.create_default_context(cafile=get_cert_path(certificates_at(place)))
    return HTTPSConnection(to.netloc, timeout=READ_TIMEOUT_SECONDS, context=trusted)


def _has_proxy(place: Place, url: str) -> bool:
    from botocore.utils import get_environ_proxies  # noqa: PLC0415 - as in windrow.aws.clients

    return place.endpoint_url is None and bool(get_environ_proxies(url))
