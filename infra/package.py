"""The functions' code: one zip per function, with only what it imports, and the same bytes on any machine."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra import zips
from infra.closure import closure_of
from infra.distribution import Distribution, needed
from infra.wheels import Platform
from windrow.errors import WindrowError

SOURCES = Path(__file__).resolve().parent.parent
# Imported only on code paths that a function never runs.
NEVER_PACKAGED = frozenset({"localstack_client"})
# zstd is in the standard library from this version on, and comes as `backports.zstd` before it.
ZSTD_SINCE = (3, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A Lambda function and its handler."""

    name: str
    handler: str


@dataclass(frozen=True, kw_only=True)
class Package:
    """One function's zip. ``parts`` is its unpacked size in bytes by source: OURS, and each distribution."""

    function: str
    body: bytes
    parts: dict[str, int]

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its content, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def unzipped_bytes(self) -> int:
        """The space it takes on the function's disk."""
        return sum(self.parts.values())

    @property
    def is_complete(self) -> bool:
        """Whether it has third-party modules too, so that it runs on a bare Python."""
        return len(self.parts) > 1

    @property
    def key(self) -> str:
        """Its key in the code bucket."""
        return f"functions/{self.function}-{self.sha256}.zip"


FUNCTIONS = (
    Function(name="consumer", handler="processors.consumer_handler.handle"),
    Function(name="fanout", handler="processors.fanout_handler.handle"),
    Function(name="dispatcher", handler="dispatcher.handler.handle"),
)
OURS = "windrow"
"""The part of a package that is our own code."""


def build(
    function: Function,
    *,
    sources: Path = SOURCES,
    wheels: Iterable[Path] | None = None,
    platform: Platform | None = None,
) -> Package:
    """Zip the modules under ``sources`` that ``function`` imports, and the distributions in ``wheels`` that these need.

    Without ``wheels`` the zip has only our own modules: the embedded stack runs functions with this interpreter's
    packages. WindrowError if the handler's module or a distribution is missing.
    """
    module = function.handler.rpartition(".")[0]
    closure = closure_of(module, sources=sources)
    path = module.replace(".", "/") + ".py"
    if path not in closure.files:
        raise WindrowError(f"the {function.name} function has no handler: {sources / path} is missing")
    entries = {name: zips.stored(name, body) for name, body in closure.files.items()}
    parts = {OURS: sum(entry.size for entry in entries.values())}
    if wheels is not None:
        among = [Distribution(wheel) for wheel in wheels]
        runs_on = platform or Platform()
        modules = closure.third_party - NEVER_PACKAGED - _in_standard_library(runs_on)
        for distribution in needed(modules, among=among, platform=runs_on):
            files = distribution.useful(closure.services)
            parts[distribution.name] = sum(entry.size for entry in files.values())
            entries |= files
    return Package(function=function.name, body=zips.write(entries), parts=parts)


def _in_standard_library(platform: Platform) -> frozenset[str]:
    """Return the modules that the code imports and `platform` has, though the Python that packages may not."""
    version = tuple(int(part) for part in platform.python.split("."))
    return frozenset({"compression", "backports"} if version >= ZSTD_SINCE else {"compression"})
