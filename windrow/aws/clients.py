"""AWS clients: made in this one module, once per process, service and place, with every wait bounded.

They are botocore's, which boto3 would only wrap. botocore is imported when the first client is made, because importing
it takes as long as everything else that a function does.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    InvalidRegionError,
    LoginError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from windrow import settings
from windrow.errors import PermanentError, WindrowError

if TYPE_CHECKING:
    from botocore.config import Config

EMBEDDED = "embedded"
LOCALSTACK = "localstack"
AWS = "aws"
FUNCTION = "function"
DEFAULT_REGION = "us-east-1"

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
# A synchronous invoke answers when the function returns: the template's longest timeout, 240 s, and a margin.
INVOKE_READ_TIMEOUT_SECONDS = 270
ATTEMPTS_MAX = 4
ATTEMPTS_MAX_LOCAL = 3  # a stand-in that refuses the connection is down; each further attempt doubles the wait
POOL_CONNECTIONS_MAX = 64
_ANY_KEYS = ("test", "test")
_STARTS = {EMBEDDED: "run: windrow up", LOCALSTACK: "start LocalStack, or say where it is in LOCALSTACK_HOST"}
_CHECKS = "check the network and the region"
_SIGN_IN = "the credentials are not valid, or no longer: sign in again, or choose another --profile"
_ASK = "the policy of these credentials must allow it; or choose another --profile"
_UNLOCK = "the KMS key of the stream must be enabled, and these credentials allowed to use it"
# Error codes that last until somebody changes something ("Common errors" in each API reference), and the hint.
_PERMANENT = {
    **dict.fromkeys(
        (
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "InvalidToken",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        _SIGN_IN,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "NotAuthorized", "OptInRequired", "UnauthorizedOperation"), _ASK
    ),
    **dict.fromkeys(
        (
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ),
        _UNLOCK,
    ),
}
# A signature is valid for some minutes, so setting the clock right is the only cure.
_WRONG_CLOCK = re.compile(r"[Ss]ignature (expired|not yet current)")
_SET_CLOCK = "the clock of this machine is wrong"
MESSAGE_CHARACTERS_MAX = 500
"""How much of a service's message is shown: enough for all of AWS's, too little for a whole web page."""
# An access key id is not a secret, but it has no business in a terminal or a bug report.
_ACCESS_KEY_ID = re.compile(r"\b(A[KS]IA)[A-Z0-9]{12,}\b")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage lives. `endpoint_url` is None for AWS itself; `profile` names one of the AWS configuration."""

    name: str
    endpoint_url: str | None
    region: str
    profile: str | None = None

    @classmethod
    def of_function(cls, environment: Mapping[str, str]) -> "Place":
        """Return the place a function runs in, from its environment, where an emulator names its endpoint."""
        region = environment.get(settings.AWS_REGION) or environment.get(settings.AWS_DEFAULT_REGION)
        return cls(FUNCTION, environment.get(settings.AWS_ENDPOINT_URL) or None, region or DEFAULT_REGION)


_clients: dict[tuple[str, Place, bool, int | None], Any] = {}
_lock = threading.Lock()


def client(service: str, place: Place, *, repeats: bool = True, wait_seconds: int | None = None) -> Any:
    """Return the process's client for `service` at `place`, made at the first call; thread-safe.

    Without `repeats` it sends every request once: the caller repeats, and counts what may have been done twice. It
    waits no longer than `wait_seconds`, if they are given, for a connection, and as long again for each part of an
    answer. Raises PermanentError when there is no such profile, or the region is not the name of one.
    """
    key = (service, place, repeats, wait_seconds)
    made = _clients.get(key)
    if made is None:
        with _lock:  # a boto3 session must not make two clients at once
            made = _clients.get(key)
            if made is None:
                with readable_errors(place):
                    made = _clients[key] = _make(service, place, repeats=repeats, wait_seconds=wait_seconds)
    return made


def wrap_client(service: str, place: Place, wrap: Callable[[Callable[[], Any]], Any], *, repeats: bool = True) -> None:
    """Have `client` return, for the same arguments, what `wrap` makes of a function that makes the usual client.

    After the first call of `client` with these arguments, nothing changes.
    """

    def make() -> Any:
        with _lock, readable_errors(place):
            return _make(service, place, repeats=repeats, wait_seconds=None)

    with _lock:
        key = (service, place, repeats, None)
        if key not in _clients:
            _clients[key] = wrap(make)


def _make(service: str, place: Place, *, repeats: bool, wait_seconds: int | None) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - see above

    config = client_config(service, place)
    if not repeats:
        config = config.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
    if wait_seconds is not None:
        config = config.merge(Config(connect_timeout=wait_seconds, read_timeout=wait_seconds))
    if place.name == LOCALSTACK:
        from localstack_client.session import Session  # noqa: PLC0415 - the functions do without it

        host = urlsplit(place.endpoint_url or "").netloc
        made = Session(region_name=place.region, localstack_host=host).client(service, config=config)
    else:
        # A stand-in takes any key, and must never see the user's; a function has its role's; AWS the usual chain.
        names = ("aws_access_key_id", "aws_secret_access_key")
        keys = dict(zip(names, _ANY_KEYS, strict=True)) if place.name == EMBEDDED else {}
        made = _session(place).create_client(
            service, region_name=place.region, endpoint_url=place.endpoint_url, config=config, **keys
        )
    if service == "s3":
        from windrow.aws.listings import read_quickly  # noqa: PLC0415 - see above

        read_quickly(made)
    return made


def _session(place: Place) -> Any:
    """Return the process's session for `place`: its clients read AWS's endpoints once, 50 ms of CPU."""
    from botocore.session import Session  # noqa: PLC0415 - see above

    key = ("", place, True, None)
    if key not in _clients:
        session = Session(profile=place.profile)
        # botocore would look into the folders of all 400 services, to say of an unknown one that it is: 50 ms of CPU.
        session.get_component("data_loader").list_available_services = lambda type_name: _EveryService()  # noqa: ARG005
        _clients[key] = session
    return _clients[key]


class _EveryService:
    """The names of all services; of one without a model, botocore says that there is no data."""

    def __contains__(self, name: object) -> bool:
        return True


def credentials_at(place: Place) -> Any:
    """Return what the clients at `place` sign with, as botocore's Credentials; None if there are none, or its own."""
    from botocore.credentials import Credentials  # noqa: PLC0415 - see above

    if place.name == LOCALSTACK:
        return None
    return Credentials(*_ANY_KEYS) if place.name == EMBEDDED else _session(place).get_credentials()


def certificates_at(place: Place) -> str | bool:
    """Return the file of the certificates that the clients at `place` trust; True for those that come with botocore."""
    file: str | None = _session(place).get_config_variable("ca_bundle")
    return file or True


def client_config(service: str, place: Place) -> "Config":
    """Return bounded timeouts and standard retries; path-style buckets where bucket.localhost may not resolve."""
    from botocore.config import Config  # noqa: PLC0415 - see above

    local = place.endpoint_url is not None
    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=INVOKE_READ_TIMEOUT_SECONDS if service == "lambda" else READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX_LOCAL if local else ATTEMPTS_MAX},
        max_pool_connections=POOL_CONNECTIONS_MAX,
        # Said outright, because botocore signs requests for others in its oldest way otherwise (in us-east-1), which
        # leaves out headers, and for a host that sends them on to another one (elsewhere).
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "path" if local else "virtual"},
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
        raise WindrowError(f"{where} gave an answer that cannot be parsed: {one_line(error)}") from error


def readable(error: BotoCoreError | ClientError, place: Place) -> WindrowError:
    """Return the one-line error for ``error``, with a hint if any; PermanentError if the cause is permanent."""
    where = place.endpoint_url or f"AWS in {place.region}"
    if isinstance(error, ClientError):
        return _refused(error, where)
    unusable = _unusable(error)
    if unusable is not None:
        return unusable
    if isinstance(error, ReadTimeoutError):
        return WindrowError(f"{where} did not answer in time", hint="try again")
    if isinstance(error, BotoConnectionError | HTTPClientError):
        return WindrowError(f"nothing answers at {where}", hint=_STARTS.get(place.name, _CHECKS))
    return WindrowError(f"{where}: {one_line(error)}")


def _refused(error: ClientError, where: str) -> WindrowError:
    """Return the error for a refusal, PermanentError if the service will always refuse."""
    details = error.response.get("Error", {})
    code, said = str(details.get("Code", "unknown")), one_line(details.get("Message", ""))
    message = f"{where} refused {error.operation_name}: {code}: {said}"
    if code not in _PERMANENT:
        return WindrowError(message)
    if _WRONG_CLOCK.search(said):
        return WindrowError(message, hint=_SET_CLOCK)
    return PermanentError(message, hint=_PERMANENT[code])


def _unusable(error: BotoCoreError) -> PermanentError | None:
    """Return the error for what stops every request until somebody changes something; None for all other errors."""
    if isinstance(error, NoCredentialsError):
        return PermanentError("no AWS credentials were found", hint="set AWS_PROFILE, or run: aws configure")
    if isinstance(error, PartialCredentialsError):
        return PermanentError(f"the AWS credentials are incomplete: {one_line(error)}", hint="run: aws configure")
    if isinstance(error, ProfileNotFound):
        return PermanentError(one_line(error), hint="aws configure list-profiles shows those there are")
    if isinstance(error, InvalidRegionError | NoRegionError):
        return PermanentError(one_line(error), hint="a region is named like eu-central-1")
    if isinstance(error, SSOError | LoginError | TokenRetrievalError):
        return PermanentError(one_line(error), hint=_SIGN_IN)
    return None


def one_line(said: object) -> str:
    """Return a message on one line, cut to MESSAGE_CHARACTERS_MAX, without access key ids."""
    line = _ACCESS_KEY_ID.sub(r"\1...", " ".join(str(said).split()))
    return line if len(line) <= MESSAGE_CHARACTERS_MAX else f"{line[:MESSAGE_CHARACTERS_MAX]}..."
