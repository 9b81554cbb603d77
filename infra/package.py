"""The functions' code: one zip per function, the same bytes from the same sources on any machine."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from windrow.errors import WindrowError

SOURCES = Path(__file__).resolve().parent.parent
# The earliest date a zip can hold, and plain files: neither clock nor umask may reach the bytes.
ENTRY_DATE = (1980, 1, 1, 0, 0, 0)
ENTRY_MODE = 0o100644


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What goes into one function's package: our own packages it imports from, and its handler."""

    name: str
    packages: tuple[str, ...]
    handler: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One function's zip. ``sha256`` (hexadecimal) names its content, and so its key in the code bucket."""

    function: str
    body: bytes
    sha256: str

    @property
    def key(self) -> str:
        """Its key in the code bucket."""
        return f"functions/{self.function}-{self.sha256}.zip"


FUNCTIONS = (
    Function(name="consumer", packages=("windrow", "processors"), handler="processors.consumer_handler.handle"),
    Function(name="fanout", packages=("windrow", "processors"), handler="processors.fanout_handler.handle"),
    Function(name="dispatcher", packages=("windrow", "dispatcher"), handler="dispatcher.handler.handle"),
)
# The command and all it draws in; no function imports it.
LEFT_OUT = ("windrow/cli/",)


def build(function: Function, *, sources: Path = SOURCES, wheels: Mapping[str, bytes] | None = None) -> Package:
    """Zip ``function``'s modules under ``sources``, and ``wheels`` (path in the zip -> content) beside them.

    The embedded place needs no wheels: its functions run with this interpreter's own packages. Raises WindrowError
    if the handler's module is not among the files.
    """
    files = _modules(function, sources) | dict(wheels or {})
    module = function.handler.rpartition(".")[0].replace(".", "/") + ".py"
    if module not in files:
        raise WindrowError(f"the {function.name} function has no handler: {sources / module} is missing")
    body = _zip(files)
    return Package(function=function.name, body=body, sha256=hashlib.sha256(body).hexdigest())


def _modules(function: Function, sources: Path) -> dict[str, bytes]:
    files = {}
    for package in function.packages:
        for path in (sources / package).rglob("*.py"):
            name = path.relative_to(sources).as_posix()
            if not name.startswith(LEFT_OUT):
                files[name] = path.read_bytes()
    return files


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Stored, not deflated: what deflate writes differs between builds of zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, ENTRY_DATE)
            entry.create_system = 3  # Unix, also when built on another system
            entry.external_attr = ENTRY_MODE << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()
