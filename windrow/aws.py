"""Clients of AWS: made in this one place, once per process, service and place, with every wait bounded.

They are botocore's, which boto3 would only wrap; it is imported when the first client is made, because it takes as long
to import as everything else that a function does.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from windrow import settings
from windrow.errors import WindrowError

if TYPE_CHECKING:
    from botocore.config import Config

EMBEDDED = "embedded"
LOCALSTACK = "localstack"
AWS = "aws"
TARGETS = (EMBEDDED, LOCALSTACK, AWS)
"""Where a command can find a stage; a function finds its own."""
FUNCTION = "function"
DEFAULT_REGION = "us-east-1"

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
# A synchronous invoke answers when the function returns: the template's longest timeout, 240 s, and a margin.
INVOKE_READ_TIMEOUT_SECONDS = 270
ATTEMPTS_MAX = 4
ATTEMPTS_MAX_LOCAL = 3  # a stand-in that refuses the connection is not there; each further attempt doubles the wait
POOL_CONNECTIONS_MAX = 64
_STARTS = {EMBEDDED: "run: windrow up", LOCALSTACK: "start LocalStack, or say where it is in LOCALSTACK_HOST"}
_CHECKS = "check the network and the region"
_SIGN_IN = "the credentials are not valid, or no longer: sign in again, or choose another --profile"
_HINTS = dict.fromkeys(
    ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"), _SIGN_IN
)
# The id of an access key is no secret, but it has no business in a terminal or a bug report either.
_ACCESS_KEY_ID = re.compile(r"\b(A[KS]IA)[A-Z0-9]{12,}\b")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage lives. ``endpoint_url`` is None for AWS itself; ``profile`` is one of the AWS configuration's."""

    name: str
    endpoint_url: str | None
    region: str
    profile: str | None = None

    @classmethod
    def of_function(cls, environment: Mapping[str, str]) -> "Place":
        """The place a function runs in, from its environment; an emulator names its endpoint there."""
        region = environment.get(settings.AWS_REGION) or environment.get(settings.AWS_DEFAULT_REGION)
        return cls(FUNCTION, environment.get(settings.AWS_ENDPOINT_URL) or None, region or DEFAULT_REGION)


_clients: dict[tuple[str, Place, bool], Any] = {}
_lock = threading.Lock()


def client(service: str, place: Place, *, repeats: bool = True) -> Any:
    """The process's boto3 client for ``service`` at ``place``; thread-safe, made at the first call.

    Without ``repeats`` it sends every request once: its caller repeats, and counts what may have been done twice.
    """
    key = (service, place, repeats)
    made = _clients.get(key)
    if made is None:
        with _lock:  # a boto3 session must not make two clients at once
            made = _clients.get(key)
            if made is None:
                made = _clients[key] = _make(service, place, repeats=repeats)
    return made


def _make(service: str, place: Place, *, repeats: bool) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - see above
    from botocore.session import Session as BotocoreSession  # noqa: PLC0415

    config = client_config(service, place)
    if not repeats:
        config = config.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
    if place.name == LOCALSTACK:
        from localstack_client.session import Session  # noqa: PLC0415 - the functions do without it

        host = urlsplit(place.endpoint_url or "").netloc
        return Session(region_name=place.region, localstack_host=host).client(service, config=config)
    # A stand-in takes any key, and must never see the user's; a function has its role's; AWS the usual chain.
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"} if place.name == EMBEDDED else {}
    return BotocoreSession(profile=place.profile).create_client(
        service, region_name=place.region, endpoint_url=place.endpoint_url, config=config, **keys
    )


def client_config(service: str, place: Place) -> "Config":
    """Bounded timeouts and standard retries; buckets by path where bucket.localhost may not resolve."""
    from botocore.config import Config  # noqa: PLC0415 - see above

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
    except Exception as error:
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - see above

        if not isinstance(error, ResponseParserError):
            raise
        # A stand-in that fell over answers in another format.
        where = place.endpoint_url or place.region
        raise WindrowError(f"{where} gave an answer that cannot be read: {_one_line(error)}") from error


def readable(error: BotoCoreError | ClientError, place: Place) -> WindrowError:
    """The one-line error for ``error``, with what to do where that is known."""
    where = place.endpoint_url or f"AWS in {place.region}"
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = details.get("Code", "unknown"), _one_line(details.get("Message", ""))
        return WindrowError(f"{where} refused {error.operation_name}: {code}: {message}", hint=_HINTS.get(code, ""))
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return WindrowError("no AWS credentials were found", hint="set AWS_PROFILE, or run: aws configure")
    if isinstance(error, ReadTimeoutError):
        return WindrowError(f"{where} did not answer in time", hint="try again")
    if isinstance(error, BotoConnectionError | HTTPClientError):
        return WindrowError(f"nothing answers at {where}", hint=_STARTS.get(place.name, _CHECKS))
    return WindrowError(f"{where}: {_one_line(error)}")


def _one_line(said: object) -> str:
    return _ACCESS_KEY_ID.sub(r"\1...", " ".join(str(said).split()))
