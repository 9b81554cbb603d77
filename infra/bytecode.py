"""Bytecode for the functions' packages: a new execution environment need not compile what it imports.

Bytecode belongs to one minor version of Python. It is made by an interpreter of the functions' version if this machine
has one, and left out if not: the function then compiles its modules itself, at every cold start.
"""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from infra.wheels import Platform
from windrow.errors import WindrowError

# Where Lambda unpacks a package; tracebacks name it.
FUNCTION_FOLDER = "/var/task"
COMPILE_SECONDS_MAX = 300
_PROBE_SECONDS_MAX = 20
_WORKER = Path(__file__).with_name("bytecode_worker.py")
_PROBE = (
    "import json, sys; print(json.dumps([sys.implementation.name, list(sys.version_info[:4]), "
    "sys.implementation.cache_tag]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """An interpreter that compiles: its executable, its full ``version``, and the ``tag`` in the names of bytecode."""

    executable: str
    version: str
    tag: str
    _compiled: dict[tuple[str, bytes], bytes | None] = field(default_factory=dict, repr=False, compare=False)

    def compile(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the bytecode of ``sources``, both by path; what is no valid Python has none.

        Each source is compiled once, however many packages hold it. WindrowError if the interpreter fails.
        """
        new = {name: body for name, body in sources.items() if (name, body) not in self._compiled}
        if new:
            found = self._run(new)
            self._compiled.update({(name, body): found.get(name) for name, body in new.items()})
        bodies = {name: self._compiled[name, body] for name, body in sources.items()}
        return {_path(name, tag=self.tag): body for name, body in bodies.items() if body is not None}

    def _run(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as target:
            for name in sorted(sources):
                target.writestr(zipfile.ZipInfo(name), sources[name])
        command = [self.executable, "-I", str(_WORKER), FUNCTION_FOLDER]
        try:
            run = subprocess.run(  # noqa: S603 - an interpreter that was probed
                command, input=packed.getvalue(), capture_output=True, check=True, timeout=COMPILE_SECONDS_MAX
            )
        except (OSError, subprocess.SubprocessError) as error:
            told = getattr(error, "stderr", None) or str(error).encode()
            detail = told.decode(errors="replace").strip().rpartition("\n")[2]
            raise WindrowError(f"{self.executable} cannot compile the functions' modules: {detail}") from error
        with zipfile.ZipFile(io.BytesIO(run.stdout)) as compiled:
            return {name: compiled.read(name) for name in compiled.namelist()}


def find_compiler(platform: Platform) -> Compiler | None:
    """Return a CPython of the version of ``platform``: this one, or the first on the PATH; None if there is none.

    Its processor does not matter: bytecode is the same for all.
    """
    for executable in _candidates(platform):
        compiler = _probed(executable, platform)
        if compiler is not None:
            return compiler
    return None


def _candidates(platform: Platform) -> Iterator[str]:
    yield sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder) / f"python{platform.python}"
        if folder and path.is_file():
            yield str(path)


def _probed(executable: str, platform: Platform) -> Compiler | None:
    """Return the compiler if the executable runs, and is a released CPython of this version."""
    try:
        run = subprocess.run(  # noqa: S603 - a Python on the PATH
            [executable, "-I", "-c", _PROBE], capture_output=True, check=True, text=True, timeout=_PROBE_SECONDS_MAX
        )
        name, (major, minor, micro, level), tag = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None  # a broken installation, or a shim without a version behind it
    if (name, f"{major}.{minor}", level) != ("cpython", platform.python, "final") or not tag:
        return None
    return Compiler(executable=executable, version=f"{major}.{minor}.{micro}", tag=tag)


def _path(name: str, *, tag: str) -> str:
    """Return where Python looks for the bytecode of a source."""
    path = PurePosixPath(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc")
