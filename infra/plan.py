"""What a deployment would do, as a value: packages, parameters, and what the place makes it leave out."""

from dataclasses import dataclass

from infra import package, template
from infra.package import Package
from windrow.aws import EMBEDDED, Place
from windrow.deployment import stack_name
from windrow.errors import UsageError

STAGE_CHARACTERS_MAX = 20
MODES = ("direct", "fanout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose. None keeps what the stage has, or takes the template's default for a new one."""

    shard_count: int | None = None
    mode: str | None = None
    is_scheduled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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


def make_plan(place: Place, stage: str, choices: Choices) -> Plan:
    """Build the packages and decide the parameters; reaches no network."""
    packages = {function.name: package.build(function) for function in package.FUNCTIONS}
    parameters = {
        "Stage": check_stage(stage),
        "AnalyticsResources": "full",
        "RequireTls": "false" if place.name == EMBEDDED else "true",
        "ConsumerCodeKey": packages["consumer"].key,
        "FanoutCodeKey": packages["fanout"].key,
        "DispatcherCodeKey": packages["dispatcher"].key,
    }
    if choices.shard_count is not None:
        parameters["ShardCount"] = str(choices.shard_count)
    if choices.mode is not None:
        parameters["ProcessingMode"] = choices.mode
    if choices.is_scheduled is not None:
        parameters["ScheduleState"] = "ENABLED" if choices.is_scheduled else "DISABLED"
    return Plan(
        place=place,
        stage=stage,
        packages=tuple(packages.values()),
        template=template.text(),
        parameters=parameters,
        left_out=_what_the_place_lacks(place),
    )


def _what_the_place_lacks(place: Place) -> tuple[str, ...]:
    """What a deployment at this place does without, in words."""
    if place.name != EMBEDDED:
        return ()
    return (
        "the TLS-only bucket policies (the embedded stack speaks plain HTTP)",
        "bisecting, partial-batch response, batching, retry limits and the on-failure bucket of the mapping"
        " (set, but the embedded stack ignores them)",
    )
