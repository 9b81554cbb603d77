"""The plan of a deployment: packages, template parameters, and what the place cannot do."""

import platform as machine
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from infra import contracts, package, template, value_rules
from infra import wheels as wheelhouse
from infra.bytecode import find_compiler
from infra.guards import WATCH_MINUTES
from infra.package import Package
from infra.parameters import PYTHON_VERSION
from infra.wheels import Platform
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place
from windrow.deployment import STAGE_TAG, stack_name
from windrow.errors import UsageError
from windrow.lake.by_digest import digest_of
from windrow.likely import suggestion

STAGE_CHARACTERS_MAX = 20
ENGINE, FLINK = "Engine", "flink"
FLINK_CODE_KEY = "FlinkCodeKey"
WEB, ON = "Web", "on"
API_CODE_KEY = "ApiCodeKey"
LIVE, PUSH = "Live", "push"
AUDIT, DAILY = "Audit", "daily"
AUDIT_CODE_KEY = "AuditCodeKey"
SCALING, AUTO = "Scaling", "auto"
STAND_IN_PORT = "StandInPort"
# Set here, from the stage's name, the code, the place, the contract and the rules.
OWN_PARAMETERS = frozenset(
    {
        *("Stage", "Architecture", "RequireTls", "CodeBucket", "Release", contracts.PARAMETER, value_rules.PARAMETER),
        *("ConsumerCodeKey", "FanoutCodeKey", "UploadsCodeKey", "BackfillCodeKey", "ScalingCodeKey"),
        "LiveCodeKey",
        *("DispatcherCodeKey", FLINK_CODE_KEY, API_CODE_KEY, AUDIT_CODE_KEY, STAND_IN_PORT),
    }
)
# Parameters that switch off what a place cannot create.
_PARAMETERS_BY_PLACE: dict[str, dict[str, str]] = {
    EMBEDDED: {"RequireTls": "false", "SavedQueries": "false", "QueryResults": "bucket", "Operations": "simple"},
    LOCALSTACK: {"RequireTls": "false", "SavedQueries": "false", "AnalyticsResources": "none"},
}
# The same in words, with what a place creates but ignores.
_LEFT_OUT: dict[str, tuple[str, ...]] = {
    EMBEDDED: (
        "the TLS-only bucket policies (the embedded stack speaks plain HTTP)",
        "going back when an alarm rings (the embedded stack ignores rollback triggers)",
        "Athena's named queries (the embedded stack refuses them)",
        "answers that Athena keeps itself (the embedded stack wants a place in a bucket)",
        "bisecting, partial-batch response, batching, retry limits and the on-failure bucket of the mapping"
        " (set, but the embedded stack ignores them)",
        "alarms on expressions (the embedded stack refuses them), and data for those on the functions' own metrics",
    ),
    LOCALSTACK: (
        "the TLS-only bucket policies (this LocalStack is spoken to in plain HTTP)",
        "going back when an alarm rings (LocalStack ignores rollback triggers)",
        "versions and aliases of functions (LocalStack's CloudFormation does not move an alias)",
        "tables, views and the Athena workgroup (LocalStack's community edition has neither Glue nor Athena)",
        "bisecting of batches (set, but LocalStack ignores it)",
        "data for alarms on the functions' own metrics",
    ),
}
# The same for a stage with IotTopic.
_IOT_LEFT_OUT: dict[str, tuple[str, ...]] = {
    EMBEDDED: ("messages of devices (the embedded stack takes the rule, and skips its action without a word)",),
    LOCALSTACK: ("messages of devices (LocalStack's community edition has no AWS IoT Core)",),
}
_WEB_LEFT_OUT = {
    EMBEDDED: ("HTTPS, mails to users, and the limits of the API (the embedded stack has none of them)",),
}
"""The same for a stage with Web=on."""
_NO_LOAD = "scaling by the load (the function runs, but {} has no metrics of Kinesis)"
_SCALING_LEFT_OUT = {EMBEDDED: (_NO_LOAD.format("the embedded stack"),), LOCALSTACK: (_NO_LOAD.format("LocalStack"),)}
"""The same for a stage with Scaling=auto."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentOptions:
    """What the user chose. None keeps the stage's current value; for a new stage, the template's default.

    ``parameters`` are other parameters of the template, by name; ``tags`` are added to those the stack has. For
    ``watch_minutes`` after a change, alarms of the stage can undo it. ``role_arn`` is the role that CloudFormation acts
    in. ``contract`` is the stored form of a payload contract, empty for the default form; ``rules`` the text of rules
    on values, empty for none.
    """

    shard_count: int | None = None
    mode: str | None = None
    is_scheduled: bool | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    watch_minutes: int = WATCH_MINUTES
    role_arn: str | None = None
    is_protected: bool | None = None
    contract: bytes | None = None
    rules: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """One deployment. Parameters of the template that are not in ``parameters`` keep their value or their default.

    ``is_protected`` says whether the stage can be destroyed afterwards; None leaves that as it is.
    ``python`` is the version that the packages are for. ``contract`` is to be stored in the lake: empty if payloads are
    of the default form, None if it stays as it is; so are ``rules``, empty if there are none.
    """

    place: Place
    stage: str
    packages: tuple[Package, ...]
    template: str
    parameters: dict[str, str]
    left_out: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    watch_minutes: int = 0
    role_arn: str | None = None
    is_protected: bool | None = None
    contract: bytes | None = None
    rules: bytes | None = None
    python: str = Platform().python

    def lines(self) -> list[str]:
        """Return the plan in words, line by line, for ``--dry-run``."""
        where = self.place.endpoint_url or f"AWS {self.place.region}"
        return [
            f"deploy stack {stack_name(self.stage)} to {where}",
            *(f"upload {one.function}: {one.description}" for one in self.packages),
            *(f"set {name} = {value}" for name, value in sorted(self.parameters.items())),
            *(f"tag with {name} = {value}" for name, value in sorted(self.tags.items())),
            *(f"leave out {what}" for what in self.left_out),
            *self._precautions(),
        ]

    def _precautions(self) -> Iterator[str]:
        if self.watch_minutes:
            yield f"watch the alarms of an existing stage for {self.watch_minutes} minutes, and go back if one rings"
        if self.role_arn is not None:
            yield f"let CloudFormation act as {self.role_arn}"
        if self.is_protected is not None:
            yield "protect it from being destroyed" if self.is_protected else "allow that it is destroyed"


def check_stage(stage: str) -> str:
    """Return ``stage``; UsageError unless it is a lower-case letter and at most 19 lower-case letters or digits."""
    is_plain = stage.isascii() and stage.isalnum() and stage == stage.lower() and stage[:1].isalpha()
    if not is_plain or len(stage) > STAGE_CHARACTERS_MAX:
        message = f"{stage!r} is not a stage name"
        raise UsageError(message, hint="use a lower-case letter, then at most 19 lower-case letters or digits")
    return stage


def parse_parameters(assignments: tuple[str, ...]) -> dict[str, str]:
    """Parse ``NAME=VALUE`` assignments of template parameters; UsageError for a name that cannot be set."""
    parsed: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"{assignment!r} is not NAME=VALUE", hint="for example: ResultsRetentionDays=365")
        if name not in template.parameter_names() or name in OWN_PARAMETERS:
            free = sorted(template.parameter_names() - OWN_PARAMETERS)
            raise UsageError(f"{name!r} is not a parameter you can set", hint=suggestion(name, free))
        parsed[name] = value
    return parsed


def parse_tags(assignments: tuple[str, ...]) -> dict[str, str]:
    """Parse ``NAME=VALUE`` assignments of tags; UsageError for one that is none, or that windrow or AWS sets itself."""
    parsed: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise UsageError(f"{assignment!r} is not NAME=VALUE", hint="for example: cost-centre=4711")
        if name == STAGE_TAG or name.lower().startswith("aws:"):
            raise UsageError(f"the tag {name!r} is not yours to set", hint="choose another name")
        parsed[name] = value
    return parsed


def platform_of(place: Place, options: DeploymentOptions | None = None) -> Platform:
    """Return what functions run on at ``place``: arm64 on AWS, this machine's architecture at a stand-in.

    The Python is the one that ``options`` choose, else the template's default.
    """
    is_x86 = machine.machine().lower() in {"x86_64", "amd64"}
    python = options.parameters.get(PYTHON_VERSION) if options is not None else None
    return Platform(
        python=python or Platform().python,
        architecture="x86_64" if place.endpoint_url is not None and is_x86 else "arm64",
    )


def wheels_for(place: Place, options: DeploymentOptions | None = None, *, home: Path) -> tuple[Path, ...] | None:
    """Return the wheels that functions at ``place`` need, from the cache under ``home`` or fetched by pip.

    None for the embedded stack, whose functions use this interpreter's own packages.
    """
    if place.name == EMBEDDED:
        return None
    return wheelhouse.fetch(platform_of(place, options), cache=home / wheelhouse.CACHE_FOLDER)


def has_flink(parameters: Mapping[str, str]) -> bool:
    """Whether a stage with these parameters has a Flink application."""
    return parameters.get(ENGINE) == FLINK


def has_web(parameters: Mapping[str, str]) -> bool:
    """Whether a stage with these parameters has a page with sign-in, and an API."""
    return parameters.get(WEB) == ON


def has_audit(parameters: Mapping[str, str]) -> bool:
    """Whether a stage with these parameters audits itself."""
    return parameters.get(AUDIT) == DAILY


def plan_deployment(
    place: Place,
    stage: str,
    options: DeploymentOptions,
    *,
    wheels: Sequence[Path] | None = None,
    flink: Package | None = None,
    api: Package | None = None,
    audit: Package | None = None,
) -> DeploymentPlan:
    """Build the packages, with the modules in ``wheels``, and set the parameters; make no request.

    ``flink`` is the code of the Flink application, ``api`` that of the API's function, ``audit`` that of the audit's;
    None if the stage has none. UsageError where no such application runs.
    """
    check_stage(stage)
    _refuse_what_cannot_run(place, options)
    platform = platform_of(place, options)
    compiler = None if wheels is None else find_compiler(platform)
    packages = {
        one.name: package.build(one, wheels=wheels, platform=platform, compiler=compiler) for one in package.FUNCTIONS
    }
    parameters = {
        "Stage": stage,
        "Architecture": platform.architecture,
        "RequireTls": "true",
        "ConsumerCodeKey": packages["consumer"].key,
        "FanoutCodeKey": packages["fanout"].key,
        "UploadsCodeKey": packages["uploads"].key,
        "BackfillCodeKey": packages["backfill"].key,
        "ScalingCodeKey": packages["scaling"].key,
        "LiveCodeKey": packages["live"].key,
        "DispatcherCodeKey": packages["dispatcher"].key,
    }
    if flink is not None:
        parameters[FLINK_CODE_KEY] = flink.key
    if api is not None:
        parameters |= {API_CODE_KEY: api.key} | _stand_in(place)
    if audit is not None:
        parameters[AUDIT_CODE_KEY] = audit.key
    parameters |= {**_PARAMETERS_BY_PLACE.get(place.name, {}), **options.parameters}
    if options.shard_count is not None:
        parameters["ShardCount"] = str(options.shard_count)
    if options.mode is not None:
        parameters["ProcessingMode"] = options.mode
    if options.is_scheduled is not None:
        parameters["ScheduleState"] = "ENABLED" if options.is_scheduled else "DISABLED"
    if options.contract is not None:
        parameters[contracts.PARAMETER] = digest_of(options.contract) if options.contract else ""
    if options.rules is not None:
        parameters[value_rules.PARAMETER] = digest_of(options.rules) if options.rules else ""
    has_iot = bool(parameters.get("IotTopic"))
    return DeploymentPlan(
        place=place,
        stage=stage,
        packages=(*packages.values(), *(one for one in (flink, api, audit) if one is not None)),
        template=template.text(),
        parameters=parameters,
        left_out=(
            *_LEFT_OUT.get(place.name, ()),
            *(_IOT_LEFT_OUT.get(place.name, ()) if has_iot else ()),
            *(_SCALING_LEFT_OUT.get(place.name, ()) if parameters.get(SCALING) == AUTO else ()),
            *(() if api is None else _WEB_LEFT_OUT.get(place.name, ())),
        ),
        tags=options.tags,
        watch_minutes=options.watch_minutes if place.endpoint_url is None else 0,
        role_arn=options.role_arn,
        is_protected=options.is_protected,
        contract=options.contract,
        rules=options.rules,
        python=platform.python,
    )


def _refuse_what_cannot_run(place: Place, options: DeploymentOptions) -> None:
    """Raise UsageError for a choice that needs what there is not at `place`."""
    if has_flink(options.parameters) and place.endpoint_url is not None:
        hint = "deploy with --target aws; on this machine it reads files: docs/flink.md"
        raise UsageError(f"{ENGINE}={FLINK} needs AWS: {place.name} runs no Flink applications", hint=hint)
    if has_web(options.parameters) and place.name == LOCALSTACK:
        hint = "deploy to AWS or to the embedded stack, or run: windrow dashboard"
        raise UsageError(f"{WEB}={ON} needs what LocalStack's community edition has not", hint=hint)
    if options.parameters.get(LIVE) == PUSH and place.name == LOCALSTACK:
        raise UsageError(f"{LIVE}={PUSH} needs {WEB}={ON}", hint="deploy to AWS or to the embedded stack")


def _stand_in(place: Place) -> dict[str, str]:
    """Return the parameter that says where page and API of a stand-in are reached; nothing for AWS."""
    if place.endpoint_url is None:
        return {}
    return {STAND_IN_PORT: str(urlsplit(place.endpoint_url).port)}
