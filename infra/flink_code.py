"""The code of the Flink application: one jar, made by Maven from infra/flink and kept on this machine.

Maven fetches Flink's connectors, which no index of Python packages has. A jar is kept by the digest of its sources, so
a machine makes it once.
"""

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from windrow.errors import WindrowError

SOURCES = Path(__file__).resolve().parent / "flink"
CACHE_FOLDER = "flink"
JAR = "windrow-flink.jar"
LIBRARIES = "libraries.txt"
"""Beside the jar: the class path of what the service has itself, for a run elsewhere."""
BUILD_SECONDS_MAX = 1_800
_MADE = "target"


def build(cache: Path, *, sources: Path = SOURCES, reads_stream: bool = True) -> Path:
    """Return the application's jar from `cache`, made on first use.

    Without `reads_stream` it has no connector for Kinesis and reads files only. WindrowError if there is no Maven, or
    if it cannot make the jar.
    """
    files = {str(path.relative_to(sources)): path.read_bytes() for path in _files(sources)}
    folder = cache / f"{_digest(files)[:16]}-{'stream' if reads_stream else 'files'}"
    if not (folder / JAR).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = _make(files, Path(scratch), reads_stream=reads_stream)
            # All or nothing: an interrupted build must not look complete.
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(folder)
    return folder / JAR


def _files(sources: Path) -> list[Path]:
    return sorted(path for path in sources.rglob("*") if path.is_file() and _MADE not in path.parts)


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, body in files.items():
        whole.update(f"{name}\n{len(body)}\n".encode() + body)
    return whole.hexdigest()


def _make(files: Mapping[str, bytes], scratch: Path, *, reads_stream: bool) -> Path:
    """Write the sources to `scratch`, make the jar there, and return a folder with it and LIBRARIES."""
    maven = shutil.which("mvn")
    if maven is None:
        hint = "install Maven (mvn) and Java 17 or newer, or leave Engine at none"
        raise WindrowError("the Flink application is made by Maven, which this machine does not have", hint=hint)
    for name, body in files.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(body)
    command = [maven, "-q", "-B", "-f", str(scratch / "pom.xml"), *(() if reads_stream else ("-P", "!stream"))]
    command += ["package", "dependency:build-classpath", f"-Dmdep.outputFile={scratch / LIBRARIES}"]
    try:
        ended = subprocess.run(  # noqa: S603 - the user's own Maven
            command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS_MAX
        )
    except subprocess.TimeoutExpired as error:
        message = f"Maven did not make the Flink application within {BUILD_SECONDS_MAX // 60} minutes"
        raise WindrowError(message, hint="run it again") from error
    if ended.returncode != 0:
        told = [line for line in (ended.stdout + ended.stderr).splitlines() if "ERROR" in line] or ["it gave no reason"]
        raise WindrowError(f"Maven cannot make the Flink application: {told[0].rpartition('[ERROR] ')[2][:500]}")
    made = scratch / "made"
    made.mkdir()
    (scratch / _MADE / JAR).rename(made / JAR)
    (scratch / LIBRARIES).rename(made / LIBRARIES)
    return made
