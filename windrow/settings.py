"""The functions' settings: the one module that spells the names of environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from windrow.errors import WindrowError

STAGE = "WINDROW_STAGE"
STREAM_NAME = "WINDROW_STREAM_NAME"
LAKE_BUCKET = "WINDROW_LAKE_BUCKET"
RESULTS_BUCKET = "WINDROW_RESULTS_BUCKET"
UPLOADS_BUCKET = "WINDROW_UPLOADS_BUCKET"
LATENESS_HORIZON_HOURS = "WINDROW_LATENESS_HORIZON_HOURS"
STREAM_RETENTION_HOURS = "WINDROW_STREAM_RETENTION_HOURS"
LATE_ROLL_MINUTES = "WINDROW_LATE_ROLL_MINUTES"
PAYLOAD_CONTRACT = "WINDROW_PAYLOAD_CONTRACT"
PROCESSOR_FUNCTION = "WINDROW_PROCESSOR_FUNCTION"
SILENCE_TOPIC_ARN = "WINDROW_SILENCE_TOPIC_ARN"
RULES = "WINDROW_RULES"
REPORTS = "WINDROW_REPORTS"
INFO_TOPIC_ARN = "WINDROW_INFO_TOPIC_ARN"
WARNING_TOPIC_ARN = "WINDROW_WARNING_TOPIC_ARN"
CRITICAL_TOPIC_ARN = "WINDROW_CRITICAL_TOPIC_ARN"
LIVE = "WINDROW_LIVE"
LIVE_TOPIC_ARN = "WINDROW_LIVE_TOPIC_ARN"
TOKEN_ISSUER = "WINDROW_TOKEN_ISSUER"  # noqa: S105 - the address of a user pool
LATEST_TABLE = "WINDROW_LATEST_TABLE"
LIVE_DEAD_LETTERS_URL = "WINDROW_LIVE_DEAD_LETTERS_URL"
LIVE_DEADBAND_MILLI = "WINDROW_LIVE_DEADBAND_MILLI"
LIVE_INTERVAL_SECONDS = "WINDROW_LIVE_INTERVAL_SECONDS"
SHARDS_MIN = "WINDROW_SHARDS_MIN"
SHARDS_MAX = "WINDROW_SHARDS_MAX"
ALARM_TOPIC_ARN = "WINDROW_ALARM_TOPIC_ARN"
CONNECTIONS_TABLE = "WINDROW_CONNECTIONS_TABLE"
SOCKET_URL = "WINDROW_SOCKET_URL"
SIGN_IN_CLIENT = "WINDROW_SIGN_IN_CLIENT"
ON = "on"
PUSH = "push"

# Read by aws-lambda-powertools itself; spelled here because the template sets them.
SERVICE_NAME = "POWERTOOLS_SERVICE_NAME"
METRICS_NAMESPACE = "POWERTOOLS_METRICS_NAMESPACE"
LOG_LEVEL = "POWERTOOLS_LOG_LEVEL"
METRICS_DISABLED = "POWERTOOLS_METRICS_DISABLED"
POWERTOOLS = (SERVICE_NAME, METRICS_NAMESPACE, LOG_LEVEL, METRICS_DISABLED)

# What the functions' libraries read at their start. numpy's OpenBLAS would start threads that nothing here uses: half
# the CPU of a cold start. The C library would give each column of a batch back to the system and ask for it again, a
# page fault every 4 KiB: a quarter of the CPU of a batch of blocks. Up to these bytes it now keeps them (mallopt(3)).
RUNTIME = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
}

# Read by boto3 itself; the places that stand in for AWS set the first one.
AWS_ENDPOINT_URL = "AWS_ENDPOINT_URL"
AWS_REGION = "AWS_REGION"
AWS_DEFAULT_REGION = "AWS_DEFAULT_REGION"
AWS_PROFILE = "AWS_PROFILE"
AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"

# Read by the command on the user's machine.
HOME = "WINDROW_HOME"
TARGET = "WINDROW_TARGET"
GATEWAY = "WINDROW_GATEWAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a function is told about its stage.

    ``payload_contract`` is the digest of the stage's contract, for functions that read payloads. Only the fan-out
    function has a ``processor_function``, only those of uploads and of the API an ``uploads_bucket``; only the
    dispatcher may have a ``silence_topic_arn``, ``late_roll_minutes``, and ``rules``, by their digest, with a topic for
    each severity; and ``makes_reports``. Only that of the API may be ``is_live``: it may read the partials of windows
    that are not rolled yet, and the ``rules`` whose limits it tallies them by; and have a ``token_issuer``, the user
    pool whose tokens gateways upload by. Those that write partials of the stream have a ``live_topic_arn`` if the
    stage wants the newest values handed on.
    """

    stage: str
    stream_name: str
    lake_bucket: str
    results_bucket: str
    lateness_horizon_hours: int
    stream_retention_hours: int
    payload_contract: str | None = None
    processor_function: str | None = None
    uploads_bucket: str | None = None
    silence_topic_arn: str | None = None
    late_roll_minutes: int | None = None
    rules: str | None = None
    makes_reports: bool = False
    info_topic_arn: str | None = None
    warning_topic_arn: str | None = None
    critical_topic_arn: str | None = None
    is_live: bool = False
    live_topic_arn: str | None = None
    token_issuer: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Parse ``environment`` (``os.environ`` in a function).

        WindrowError names a variable that is unset, empty, or no whole number of hours from 1 up, or minutes from 0.
        """
        return cls(
            stage=_text(environment, STAGE),
            stream_name=_text(environment, STREAM_NAME),
            lake_bucket=_text(environment, LAKE_BUCKET),
            results_bucket=_text(environment, RESULTS_BUCKET),
            lateness_horizon_hours=_hours(environment, LATENESS_HORIZON_HOURS),
            stream_retention_hours=_hours(environment, STREAM_RETENTION_HOURS),
            payload_contract=environment.get(PAYLOAD_CONTRACT) or None,
            processor_function=environment.get(PROCESSOR_FUNCTION) or None,
            uploads_bucket=environment.get(UPLOADS_BUCKET) or None,
            silence_topic_arn=environment.get(SILENCE_TOPIC_ARN) or None,
            late_roll_minutes=_minutes(environment, LATE_ROLL_MINUTES),
            rules=environment.get(RULES) or None,
            makes_reports=environment.get(REPORTS) == ON,
            info_topic_arn=environment.get(INFO_TOPIC_ARN) or None,
            warning_topic_arn=environment.get(WARNING_TOPIC_ARN) or None,
            critical_topic_arn=environment.get(CRITICAL_TOPIC_ARN) or None,
            is_live=environment.get(LIVE) in {ON, PUSH},
            live_topic_arn=environment.get(LIVE_TOPIC_ARN) or None,
            token_issuer=environment.get(TOKEN_ISSUER) or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingSettings:
    """What the function of Scaling=auto is told beside Settings: between what numbers, and the topic of the alarms."""

    shards_min: int
    shards_max: int
    topic_arn: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ScalingSettings":
        """Parse ``environment``; WindrowError names a variable that is unset, or no whole number from 1 up."""
        return cls(
            shards_min=_at_least_one(environment, SHARDS_MIN, "shards"),
            shards_max=_at_least_one(environment, SHARDS_MAX, "shards"),
            topic_arn=environment.get(ALARM_TOPIC_ARN) or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """What the function that opens and closes connections is told beside Settings: their table, and who may open one.

    ``sign_in_client`` is the client whose tokens are taken: the page's.
    """

    connections_table: str
    sign_in_client: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "SocketSettings":
        """Parse ``environment``; WindrowError names a variable that is unset."""
        return cls(
            connections_table=_text(environment, CONNECTIONS_TABLE),
            sign_in_client=_text(environment, SIGN_IN_CLIENT),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """What the function that pushes live values is told beside Settings: its tables, and where connections end."""

    latest_table: str
    connections_table: str
    socket_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "PushSettings":
        """Parse ``environment``; WindrowError names a variable that is unset."""
        return cls(
            latest_table=_text(environment, LATEST_TABLE),
            connections_table=_text(environment, CONNECTIONS_TABLE),
            socket_url=_text(environment, SOCKET_URL),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """What the function of Live=push is told beside Settings: its table, its dead letters, and what bounds its writes.

    A value that differs by ``deadband_milli`` at most, or comes within ``interval_seconds``, need not be written.
    """

    table: str
    dead_letters_url: str
    deadband_milli: int
    interval_seconds: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LiveSettings":
        """Parse ``environment``; WindrowError names a variable that is unset, or no whole number."""
        return cls(
            table=_text(environment, LATEST_TABLE),
            dead_letters_url=_text(environment, LIVE_DEAD_LETTERS_URL),
            deadband_milli=_number(environment, LIVE_DEADBAND_MILLI, "thousandths"),
            interval_seconds=_number(environment, LIVE_INTERVAL_SECONDS, "seconds"),
        )


def home_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for windrow's files on the user's machine: ``$WINDROW_HOME``, else ``~/.windrow``.

    WindrowError if it is in the home of a user that this machine does not know.
    """
    chosen = environment.get(HOME) or "~/.windrow"
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError as error:
        raise WindrowError(f"{chosen}: {error}", hint=f"set {HOME} to a folder that you can write to") from error


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise WindrowError(
            f"the environment variable {name} is not set", hint="the template sets it: run windrow deploy"
        )
    return value


def _hours(environment: Mapping[str, str], name: str) -> int:
    return _at_least_one(environment, name, "hours")


def _at_least_one(environment: Mapping[str, str], name: str, what: str) -> int:
    text = _text(environment, name)
    # isdecimal alone would also admit digits of other scripts.
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise WindrowError(f"the environment variable {name} must be a whole number of {what}, 1 or more, not {text!r}")
    return int(text)


def _minutes(environment: Mapping[str, str], name: str) -> int | None:
    return _number(environment, name, "minutes") if environment.get(name) else None


def _number(environment: Mapping[str, str], name: str, what: str) -> int:
    text = _text(environment, name)
    if not (text.isascii() and text.isdecimal()):
        raise WindrowError(f"the environment variable {name} must be a whole number of {what}, not {text!r}")
    return int(text)
