"""What a deployment would do, as a value: packages, parameters, and what the place makes it leave out."""

import platform as machine
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from infra import package, template
from infra import wheels as wheelhouse
from infra.package import Package
from infra.wheels import Platform
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place
from windrow.deployment import stack_name
from windrow.errors import UsageError

STAGE_CHARACTERS_MAX = 20
# These are decided here, by the stage's name, the code and the place.
OWN_PARAMETERS = frozenset(
    {"Stage", "Architecture", "CodeBucket", "ConsumerCodeKey", "FanoutCodeKey", "DispatcherCodeKey", "RequireTls"}
)
# What a place cannot make of the template, by parameter; and in words, with what it makes but does not do.
_LACKS: dict[str, dict[str, str]] = {
    EMBEDDED: {"RequireTls": "false", "SavedQueries": "false", "Operations": "simple"},
    LOCALSTACK: {"RequireTls": "false", "SavedQueries": "false", "AnalyticsResources": "none"},
}
_LEFT_OUT: dict[str, tuple[str, ...]] = {
    EMBEDDED: (
        "the TLS-only bucket policies (the embedded stack speaks plain HTTP)",
        "Athena's named queries (the embedded stack refuses them)",
        "bisecting, partial-batch response, batching, retry limits and the on-failure bucket of the mapping"
        " (set, but the embedded stack ignores them)",
        "alarms on expressions (the embedded stack refuses them), and data for those on the functions' own metrics",
    ),
    LOCALSTACK: (
        "the TLS-only bucket policies (this LocalStack is spoken to in plain HTTP)",
        "tables, views and the Athena workgroup (LocalStack's community edition has neither Glue nor Athena)",
        "bisecting of batches (set, but LocalStack ignores it)",
        "data for alarms on the functions' own metrics",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentOptions:
    """What the user chose. None keeps what the stage has, or takes the template's default for a new one.

    ``parameters`` are any others of the template, by name.
    """

    shard_count: int | None = None
    mode: str | None = None
    is_scheduled: bool | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """One deployment. ``parameters`` are those decided here; any other keeps its value or has its default."""

    place: Place
    stage: str
    packages: tuple[Package, ...]
    template: str
    parameters: dict[str, str]
    left_out: tuple[str, ...]

    def lines(self) -> list[str]:
        """The plan in words, one line each, for ``--dry-run``."""
        where = self.place.endpoint_url or f"AWS {self.place.region}"
        return [
            f"deploy stack {stack_name(self.stage)} to {where}",
            *(f"upload {one.function}: {len(one.body):,} bytes, sha256 {one.sha256[:16]}" for one in self.packages),
            *(f"set {name} = {value}" for name, value in sorted(self.parameters.items())),
            *(f"leave out {what}" for what in self.left_out),
        ]


def check_stage(stage: str) -> str:
    """Return ``stage``; UsageError unless it is a small letter and then at most 19 small letters or digits."""
    is_plain = stage.isascii() and stage.isalnum() and stage == stage.lower() and stage[:1].isalpha()
    if not is_plain or len(stage) > STAGE_CHARACTERS_MAX:
        message = f"{stage!r} is no stage name"
        raise UsageError(message, hint="a small letter, then at most 19 small letters or digits")
    return stage


def parse_parameters(assignments: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` of template parameters, parsed; UsageError for what is none, or is decided elsewhere."""
    parsed: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"{assignment!r} is no NAME=VALUE", hint="such as ResultsRetentionDays=365")
        if name not in template.parameter_names() or name in OWN_PARAMETERS:
            free = ", ".join(sorted(template.parameter_names() - OWN_PARAMETERS))
            raise UsageError(f"{name!r} is no parameter that can be set", hint=f"those are: {free}")
        parsed[name] = value
    return parsed


def platform_of(place: Place) -> Platform:
    """What functions run on at ``place``: arm64 on AWS; at a stand-in, what this machine is."""
    is_x86 = machine.machine().lower() in {"x86_64", "amd64"}
    return Platform(architecture="x86_64" if place.endpoint_url is not None and is_x86 else "arm64")


def wheels_for(place: Place, *, home: Path) -> tuple[Path, ...] | None:
    """The wheels that functions at ``place`` need, from the cache under ``home`` or from wherever pip gets them.

    None at the embedded place, whose functions run with this interpreter's own packages.
    """
    if place.name == EMBEDDED:
        return None
    return wheelhouse.fetch(platform_of(place), cache=home / wheelhouse.CACHE_FOLDER)


def plan_deployment(
    place: Place, stage: str, options: DeploymentOptions, *, wheels: Sequence[Path] | None = None
) -> DeploymentPlan:
    """Build the packages, with what ``wheels`` hold, and decide the parameters; reaches no network."""
    check_stage(stage)
    platform = platform_of(place)
    packages = {one.name: package.build(one, wheels=wheels, platform=platform) for one in package.FUNCTIONS}
    parameters = {
        "Stage": stage,
        "Architecture": platform.architecture,
        "RequireTls": "true",
        "ConsumerCodeKey": packages["consumer"].key,
        "FanoutCodeKey": packages["fanout"].key,
        "DispatcherCodeKey": packages["dispatcher"].key,
    }
    parameters |= {**_LACKS.get(place.name, {}), **options.parameters}
    if options.shard_count is not None:
        parameters["ShardCount"] = str(options.shard_count)
    if options.mode is not None:
        parameters["ProcessingMode"] = options.mode
    if options.is_scheduled is not None:
        parameters["ScheduleState"] = "ENABLED" if options.is_scheduled else "DISABLED"
    return DeploymentPlan(
        place=place,
        stage=stage,
        packages=tuple(packages.values()),
        template=template.text(),
        parameters=parameters,
        left_out=_LEFT_OUT.get(place.name, ()),
    )
