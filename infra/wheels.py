"""The wheels of the functions' requirements, for the platform that functions run on.

The lock ``infra/functions.txt`` names each by version and hash. pip fetches them once into a cache, from wherever it is
configured to.
"""

import contextlib
import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

from windrow.errors import WindrowError

LOCK = Path(__file__).resolve().parent / "functions.txt"
API_LOCK = LOCK.with_name("api.txt")
"""What the API's function needs beside those; made of the command's lock by requirements/derive_api.py."""
CACHE_FOLDER = "wheels"
"""The cache's folder, under the home folder of windrow on this machine."""
DOWNLOAD_SECONDS_MAX = 900
# Lambda's Python 3.12 and later run on Amazon Linux 2023 with glibc 2.34; tags older than 2.17 are no longer in use.
GLIBC_MINOR_MAX, GLIBC_MINOR_MIN = 34, 17
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's name of an architecture -> the name in wheel tags."""
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)\s*(?:;\s*(?P<marker>[^\\]+?))?\s*(?=--hash|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What a function runs on: ``python`` such as ``3.13``, and Lambda's name of the ``architecture``."""

    python: str = "3.13"
    architecture: str = "arm64"

    def __str__(self) -> str:
        """Return it as shown to people."""
        return f"python{self.python} on {self.architecture}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The platform tags of wheels that run on it, best first."""
        machine = MACHINES[self.architecture]
        minors = range(GLIBC_MINOR_MAX, GLIBC_MINOR_MIN - 1, -1)
        return (*(f"manylinux_2_{minor}_{machine}" for minor in minors), f"manylinux2014_{machine}")

    @property
    def environment(self) -> dict[str, str]:
        """The values of environment markers on it."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


def requirements(platform: Platform, *, lock: Path = LOCK) -> tuple[str, ...]:
    """Return the lines of ``lock`` that apply to ``platform``, with hashes and without markers.

    Markers are evaluated here, because pip would evaluate them for the Python it runs on.
    """
    return tuple(_chosen(lock.read_text(), platform))


def fetch(platform: Platform, *, cache: Path, lock: Path = LOCK) -> tuple[Path, ...]:
    """Return the wheels of ``lock`` for ``platform``, by name; pip fetches them unless they are in ``cache``.

    WindrowError if pip cannot: there is no wheel for the platform, or no index can be reached.
    """
    wanted = "\n".join(requirements(platform, lock=lock)) + "\n"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    folder = cache / f"{platform.python}-{platform.architecture}-{digest[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            _download(wanted, platform, Path(scratch))
            # All or nothing: an interrupted download must not look complete.
            with contextlib.suppress(OSError):  # another process was faster
                (Path(scratch) / "wheels").rename(folder)
    return tuple(sorted(_checked(folder, wanted)))


def _chosen(lock: str, platform: Platform) -> Iterator[str]:
    logical_lines = re.sub(r"\\\n", " ", lock).splitlines()
    for line in (re.sub(r"\s+#.*|^#.*", "", one).strip() for one in logical_lines):
        if not line:
            continue
        found = _PINNED.match(line)
        if found is None:
            raise WindrowError(f"{LOCK.name} has a line that pins no version: {line[:80]!r}", hint="run: make lock")
        if found["marker"] and not Marker(found["marker"]).evaluate(dict(platform.environment)):
            continue
        hashes = " ".join(re.findall(r"--hash=\S+", line))
        yield f"{found['name']}=={found['version']} {hashes}"


def _download(wanted: str, platform: Platform, scratch: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        hint = f"run: {sys.executable} -m ensurepip"
        raise WindrowError("packaging needs pip, which this Python does not have", hint=hint)
    listed = scratch / "requirements.txt"
    listed.write_text(wanted)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--implementation=cp", f"--python-version={platform.python}"]
    command += [f"--platform={tag}" for tag in platform.tags]
    command += [f"--dest={scratch / 'wheels'}", f"--requirement={listed}"]
    try:
        ended = subprocess.run(  # noqa: S603 - this Python's pip
            command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS_MAX
        )
    except subprocess.TimeoutExpired as error:
        raise WindrowError(
            f"pip did not fetch the wheels within {DOWNLOAD_SECONDS_MAX // 60} minutes", hint="run it again"
        ) from error
    if ended.returncode != 0:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or ["it gave no reason"]
        raise WindrowError(f"pip cannot fetch the wheels for {platform}: {errors[-1].removeprefix('ERROR: ')}")


def _checked(folder: Path, wanted: str) -> Iterator[Path]:
    """Yield the wheels in ``folder``; WindrowError if one does not have a hash from the lock."""
    for path in folder.glob("*.whl"):
        if hashlib.sha256(path.read_bytes()).hexdigest() not in wanted:
            raise WindrowError(f"{path} is not the wheel that the lock names", hint=f"remove {folder} and try again")
        yield path
