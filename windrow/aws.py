"""boto3 clients: made in this one place, once per process, service and place, with every wait bounded."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from windrow import settings
from windrow.errors import WindrowError

EMBEDDED = "embedded"
FUNCTION = "function"
DEFAULT_REGION = "us-east-1"

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
# A synchronous invoke answers when the function returns: the template's longest timeout, 240 s, and a margin.
INVOKE_READ_TIMEOUT_SECONDS = 270
ATTEMPTS_MAX = 4
ATTEMPTS_MAX_LOCAL = 3  # a stand-in that refuses the connection is not there; each further attempt doubles the wait
POOL_CONNECTIONS_MAX = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage lives. ``endpoint_url`` is None for AWS itself."""

    name: str
    endpoint_url: str | None
    region: str

    @classmethod
    def of_function(cls, environment: Mapping[str, str]) -> "Place":
        """The place a function runs in, from its environment; an emulator names its endpoint there."""
        region = environment.get(settings.AWS_REGION) or environment.get(settings.AWS_DEFAULT_REGION)
        return cls(FUNCTION, environment.get(settings.AWS_ENDPOINT_URL) or None, region or DEFAULT_REGION)


_clients: dict[tuple[str, Place], Any] = {}
_lock = threading.Lock()


def client(service: str, place: Place) -> Any:
    """The process's boto3 client for ``service`` at ``place``; thread-safe, made at the first call."""
    key = (service, place)
    made = _clients.get(key)
    if made is None:
        with _lock:  # a boto3 session must not make two clients at once
            made = _clients.get(key)
            if made is None:
                made = _clients[key] = _make(service, place)
    return made


def _make(service: str, place: Place) -> Any:
    # The embedded place takes any key; a function has its role's, and everything else the usual chain.
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"} if place.name == EMBEDDED else {}
    return boto3.session.Session().client(
        service,
        region_name=place.region,
        endpoint_url=place.endpoint_url,
        config=client_config(service, place),
        **keys,
    )


def client_config(service: str, place: Place) -> Config:
    """Bounded timeouts and standard retries; buckets by path where bucket.localhost may not resolve."""
    local = place.endpoint_url is not None
    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=INVOKE_READ_TIMEOUT_SECONDS if service == "lambda" else READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX_LOCAL if local else ATTEMPTS_MAX},
        max_pool_connections=POOL_CONNECTIONS_MAX,
        s3={"addressing_style": "path"} if local else None,
        proxies={} if local else None,  # None takes the environment's
        user_agent_extra="windrow",
    )


@contextmanager
def readable_errors(place: Place) -> Iterator[None]:
    """Turn what boto3 raises inside the block into a one-line WindrowError that names the culprit."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise readable(error, place) from error
    except ResponseParserError as error:  # a stand-in that fell over answers in another format
        where = place.endpoint_url or place.region
        raise WindrowError(f"{where} gave an answer that cannot be read: {' '.join(str(error).split())}") from error


def readable(error: BotoCoreError | ClientError, place: Place) -> WindrowError:
    """The one-line error for ``error``, with what to do where that is known."""
    where = place.endpoint_url or f"AWS in {place.region}"
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = details.get("Code", "unknown"), " ".join(str(details.get("Message", "")).split())
        return WindrowError(f"{where} refused {error.operation_name}: {code}: {message}")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return WindrowError("no AWS credentials were found", hint="set AWS_PROFILE, or run: aws configure")
    if isinstance(error, ReadTimeoutError):
        return WindrowError(f"{where} did not answer in time", hint="try again")
    if isinstance(error, BotoConnectionError | HTTPClientError):
        hint = "run: windrow up" if place.name == EMBEDDED else "check the network and the region"
        return WindrowError(f"nothing answers at {where}", hint=hint)
    return WindrowError(f"{where}: {' '.join(str(error).split())}")
