"""The functions' code: one zip per function, with only what it imports, and the same bytes on any machine."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra import zips
from infra.bytecode import Compiler
from infra.closure import closure_of
from infra.distribution import Distribution, needed
from infra.wheels import Platform
from infra.zips import ZipEntry
from windrow.errors import WindrowError

SOURCES = Path(__file__).resolve().parent.parent
# Imported only on code paths that a function never runs.
NEVER_PACKAGED = frozenset({"localstack_client"})
# zstd is in the standard library from this version on, and comes as `backports.zstd` before it.
ZSTD_SINCE = (3, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A Lambda function and its handler. `also` are the handlers of functions that run from the same package."""

    name: str
    handler: str
    also: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of all its handlers."""
        return tuple(handler.rpartition(".")[0] for handler in (self.handler, *self.also))


@dataclass(frozen=True, kw_only=True)
class Package:
    """One function's zip. ``parts`` is its unpacked size in bytes by source: OURS, each distribution, and BYTECODE.

    ``without_bytecode`` is the same zip without its bytecode, None if it has none; ``compiled_by`` is the version of
    Python that made it, such as ``3.13.1``.
    """

    function: str
    body: bytes
    parts: dict[str, int]
    without_bytecode: bytes | None = None
    compiled_by: str | None = None

    @cached_property
    def sha256(self) -> str:
        """The SHA-256, in hexadecimal, of its content but for the bytecode, which only spares the function time.

        So it is the same on any machine, whichever Python is there to compile.
        """
        return hashlib.sha256(self.body if self.without_bytecode is None else self.without_bytecode).hexdigest()

    @property
    def unzipped_bytes(self) -> int:
        """The space it takes on the function's disk."""
        return sum(self.parts.values())

    @property
    def description(self) -> str:
        """Its size, its digest and whether it has bytecode, as shown to people."""
        compiled = ""
        if self.is_complete:
            compiled = f", {'no bytecode' if self.compiled_by is None else f'bytecode by Python {self.compiled_by}'}"
        return f"{len(self.body):,} bytes, sha256 {self.sha256[:16]}{compiled}"

    @property
    def is_complete(self) -> bool:
        """Whether it has third-party modules too, so that it runs on a bare Python."""
        return bool(self.parts.keys() - {OURS, BYTECODE})

    @property
    def key(self) -> str:
        """Its key in the code bucket; with bytecode another than without."""
        compiled = "" if self.compiled_by is None else f"-compiled-{self.compiled_by.rpartition('.')[0]}"
        return f"functions/{self.function}-{self.sha256}{compiled}.zip"


FUNCTIONS = (
    Function(name="consumer", handler="processors.consumer_handler.handle"),
    Function(name="fanout", handler="processors.fanout_handler.handle"),
    Function(name="uploads", handler="processors.uploads_handler.handle"),
    Function(name="backfill", handler="processors.backfill_handler.handle"),
    Function(name="scaling", handler="infra.scaling_handler.handle"),
    Function(name="live", handler="processors.live_handler.handle"),
    Function(name="dispatcher", handler="dispatcher.handler.handle"),
)
API = Function(
    name="api",
    handler="analytics.api_handler.handle",
    also=("analytics.sockets_handler.handle", "analytics.push_handler.handle"),
)
"""The function of a stage with Web=on, for which alone its package is made; with Live=push three run from it."""
AUDIT = Function(name="audit", handler="analytics.audit_handler.handle")
"""The same for a stage with Audit=daily."""
OURS = "windrow"
"""The part of a package that is our own code."""
BYTECODE = "bytecode"
"""The part of a package that its own code and its distributions are compiled to."""


def build(
    function: Function,
    *,
    sources: Path = SOURCES,
    wheels: Iterable[Path] | None = None,
    platform: Platform | None = None,
    compiler: Compiler | None = None,
) -> Package:
    """Zip the modules under ``sources`` that ``function`` imports, and the distributions in ``wheels`` that these need.

    Without ``wheels`` the zip has only our own modules: the embedded stack runs functions with this interpreter's
    packages. ``compiler``, of the Python that the function runs on, adds bytecode. WindrowError if the handler's module
    or a distribution is missing.
    """
    closures = [closure_of(module, sources=sources) for module in function.modules]
    for module, closure in zip(function.modules, closures, strict=True):
        path = module.replace(".", "/") + ".py"
        if path not in closure.files:
            raise WindrowError(f"the {function.name} function has no handler: {sources / path} is missing")
    entries = {name: zips.stored(name, body) for closure in closures for name, body in closure.files.items()}
    parts = {OURS: sum(entry.size for entry in entries.values())}
    if wheels is not None:
        among = [Distribution(wheel) for wheel in wheels]
        runs_on = platform or Platform()
        modules = frozenset[str]().union(*(closure.third_party for closure in closures))
        modules -= NEVER_PACKAGED | _in_standard_library(runs_on)
        services = frozenset[str]().union(*(closure.services for closure in closures))
        for distribution in needed(modules, among=among, platform=runs_on):
            files = distribution.useful(services)
            parts[distribution.name] = sum(entry.size for entry in files.values())
            entries |= files
    plain = Package(function=function.name, body=zips.write(entries), parts=parts)
    return plain if compiler is None else _with_bytecode(plain, entries, compiler)


def _with_bytecode(package: Package, entries: Mapping[str, ZipEntry], compiler: Compiler) -> Package:
    sources = {name: entry.body for name, entry in entries.items() if name.endswith(".py")}
    compiled = {name: zips.stored(name, body) for name, body in compiler.compile(sources).items()}
    return Package(
        function=package.function,
        body=zips.write({**entries, **compiled}),
        parts=package.parts | {BYTECODE: sum(entry.size for entry in compiled.values())},
        without_bytecode=package.body,
        compiled_by=compiler.version,
    )


def _in_standard_library(platform: Platform) -> frozenset[str]:
    """Return the modules that the code imports and `platform` has, though the Python that packages may not."""
    version = tuple(int(part) for part in platform.python.split("."))
    return frozenset({"compression", "backports"} if version >= ZSTD_SINCE else {"compression"})
