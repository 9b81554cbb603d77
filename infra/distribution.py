"""Wheels as packaging needs them: what one provides and requires, and which of its files a function may need."""

import email.parser
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.wheels import Platform
from infra.zips import ZipEntry, read_entries
from windrow.errors import WindrowError

# Files that no function reads: type stubs, sources and headers, tests, entry points.
_USELESS_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".h", ".hpp", ".c", ".cpp", ".a", ".lib", ".whl"})
_USELESS_NAMES = frozenset({"py.typed", "RECORD", "INSTALLER", "entry_points.txt"})
_USELESS_FOLDERS = frozenset({"tests", "__pycache__"})
_USELESS_PREFIXES = ("boto3/examples/", "boto3/data/", "numpy/f2py/", "numpy/distutils/")
# botocore describes each service in a folder of its own; files outside these folders are needed by all.
_SERVICE_FILE = re.compile(r"botocore/data/(?P<service>[a-z0-9-]+)/.+")
# Services that botocore loads by itself, when credentials come from a role.
_BOTOCORE_OWN = frozenset({"sts"})


@dataclass(frozen=True)
class Distribution:
    """One wheel."""

    path: Path

    @cached_property
    def entries(self) -> Mapping[str, ZipEntry]:
        """Its files by their path when installed, without scripts."""
        return dict(_installed(read_entries(self.path)))

    @cached_property
    def name(self) -> str:
        """Its normalized name."""
        return canonicalize_name(self.path.name.split("-", 1)[0])

    @cached_property
    def modules(self) -> frozenset[str]:
        """The top-level modules it provides; for a part of a namespace package, the name of the namespace."""
        tops = {PurePosixPath(name).parts[0] for name in self.entries if not _is_metadata(name)}
        return frozenset(top.split(".")[0] for top in tops if not top.endswith(".libs"))

    def requires(self, platform: Platform) -> frozenset[str]:
        """Return the normalized names of its requirements on ``platform``, without extras."""
        with zipfile.ZipFile(self.path) as archive:
            (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            message = email.parser.BytesHeaderParser().parsebytes(archive.read(metadata))
        needed = [Requirement(line) for line in message.get_all("Requires-Dist", [])]
        environment = platform.environment | {"extra": ""}
        return frozenset(
            canonicalize_name(one.name)
            for one in needed
            if one.marker is None or one.marker.evaluate(dict(environment))
        )

    def useful(self, services: frozenset[str]) -> dict[str, ZipEntry]:
        """Return the files that a function may need; of botocore, only the given ``services``."""
        return {name: entry for name, entry in self.entries.items() if _is_useful(name, services | _BOTOCORE_OWN)}


def needed(modules: frozenset[str], *, among: Iterable[Distribution], platform: Platform) -> tuple[Distribution, ...]:
    """Return the distributions that provide ``modules``, and their requirements; WindrowError if one is missing."""
    known = {one.name: one for one in among}
    waiting = []
    for module in sorted(modules):
        providers = [name for name, one in known.items() if module in one.modules]
        if not providers:
            raise WindrowError(
                f"no requirement of the functions provides {module}", hint="see requirements/functions.in"
            )
        waiting += providers
    found: dict[str, Distribution] = {}
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in known:
            raise WindrowError(f"{name} is required but not locked", hint="run: make lock")
        found[name] = known[name]
        waiting += known[name].requires(platform)
    return tuple(found[name] for name in sorted(found))


def _installed(entries: Iterable[ZipEntry]) -> Iterable[tuple[str, ZipEntry]]:
    for entry in entries:
        parts = PurePosixPath(entry.name).parts
        if not parts[0].endswith(".data"):
            yield entry.name, entry
        elif parts[1] in {"purelib", "platlib"}:
            yield "/".join(parts[2:]), entry


def _is_metadata(name: str) -> bool:
    return name.split("/", maxsplit=1)[0].endswith(".dist-info")


def _is_useful(name: str, services: frozenset[str]) -> bool:
    path = PurePosixPath(name)
    if path.suffix in _USELESS_SUFFIXES or path.name in _USELESS_NAMES or name.startswith(_USELESS_PREFIXES):
        return False
    if _USELESS_FOLDERS & set(path.parts[:-1]):
        return False
    service = _SERVICE_FILE.fullmatch(name)
    return service is None or service["service"] in services
