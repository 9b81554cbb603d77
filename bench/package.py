"""The functions' packages, as Lambda unpacks them: their size, and what it costs to import the consumer from one."""

import io
import os
import platform as machine
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.measure import Finding
from infra import package, wheels
from infra.bytecode import find_compiler
from windrow import settings

# Lambda's own limit is 250 MB for a function.
AT_MOST_MB = {"api": 262, "consumer": 100, "fanout": 100}
OTHERS_AT_MOST_MB = 150

IMPORT_MS_MAX = 160
"""On cores without other work; two hyperthreads that share one with it take more than twice as long for all imports."""
API_IMPORT_MS_MAX = 2_000
IMPORT_TARGET = 2

_IMPORTS = 7
_USUAL = "import pandas, pyarrow.parquet, boto3, aws_kinesis_agg.deaggregator"
_USUAL_CLIENT = f"{_USUAL}; boto3.client('s3', region_name='eu-central-1')"
_OURS = "import processors.consumer_handler"
_OURS_CLIENT = f"""{_OURS}
from windrow.aws import clients
clients.client("s3", clients.Place(clients.FUNCTION, None, "eu-central-1"))"""
_PROGRAM = """
import sys, time
statements, *folders = sys.argv[1:]
sys.path[:0] = folders
start = time.process_time()
exec(statements)
print((time.process_time() - start) * 1e3)
"""


def unzipped() -> Iterator[Finding]:
    """MB of each function for Python 3.13 on arm64, with its bytecode if there is a Python 3.13."""
    platform = wheels.Platform()
    found = wheels.fetch(platform, cache=settings.home_folder(os.environ) / wheels.CACHE_FOLDER)
    compiler = find_compiler(platform)
    for function in (*package.FUNCTIONS, package.API):
        more = _of_api(platform) if function is package.API else ()
        built = package.build(function, wheels=(*found, *more), platform=platform, compiler=compiler)
        name = "package.unzipped" if function.name == "consumer" else f"package.unzipped.{function.name}"
        at_most = AT_MOST_MB.get(function.name, OTHERS_AT_MOST_MB)
        yield Finding(name=name, ours=built.unzipped_bytes / 1e6, at_most=at_most, unit="MB")


def _of_api(platform: wheels.Platform) -> tuple[Path, ...]:
    """Return the wheels that only the API's function needs."""
    cache = settings.home_folder(os.environ) / wheels.CACHE_FOLDER
    return wheels.fetch(platform, cache=cache, lock=wheels.API_LOCK)


def api_import() -> Iterator[Finding]:
    """The same of the API's handler, which a user waits for at a cold start; DuckDB and pandas are most of it."""
    platform = _here()
    found = wheels.fetch(platform, cache=settings.home_folder(os.environ) / wheels.CACHE_FOLDER)
    every = (*found, *_of_api(platform))
    built = package.build(package.API, wheels=every, platform=platform, compiler=find_compiler(platform))
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(built.body)).extractall(folder)
        (ours,) = _medians_ms(_running("import analytics.api_handler", Path(folder)))
    yield Finding(name="api.import", ours=ours, at_most=API_IMPORT_MS_MAX, unit="cpu-ms")


def _here() -> wheels.Platform:
    """Return the running Python on this machine."""
    return wheels.Platform(
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        architecture={"aarch64": "arm64"}.get(machine.machine(), machine.machine()),
    )


def cold_import() -> Iterator[Finding]:
    """The import of the consumer's handler in a fresh process, from its package, which is never written to.

    For the running Python on this machine, against the warm import of what the consumer is usually written with, in
    turns; then the same package without its bytecode, and both up to a client of S3.
    """
    platform = _here()
    found = wheels.fetch(platform, cache=settings.home_folder(os.environ) / wheels.CACHE_FOLDER)
    built = package.build(package.FUNCTIONS[0], wheels=found, platform=platform, compiler=find_compiler(platform))
    assert built.without_bytecode is not None
    with tempfile.TemporaryDirectory() as folder:
        compiled, plain = Path(folder) / "compiled", Path(folder) / "plain"
        for place, body in ((compiled, built.body), (plain, built.without_bytecode)):
            zipfile.ZipFile(io.BytesIO(body)).extractall(place)
        ours, bare, usual, ours_client, usual_client = _medians_ms(
            _running(_OURS, compiled),
            _running(_OURS, plain),
            [sys.executable, "-c", _PROGRAM, _USUAL],
            _running(_OURS_CLIENT, compiled),
            [sys.executable, "-c", _PROGRAM, _USUAL_CLIENT],
        )
    yield Finding(
        name="consumer.import",
        ours=ours,
        baseline=usual,
        ratio=usual / ours,
        target=IMPORT_TARGET,
        at_most=IMPORT_MS_MAX,
        unit="cpu-ms",
    )
    yield Finding(name="consumer.import.uncompiled", ours=bare, ratio=usual / bare, unit="cpu-ms")
    # The handler imports botocore with its first client; the usual import has it already.
    yield Finding(
        name="consumer.import.client",
        ours=ours_client,
        baseline=usual_client,
        ratio=usual_client / ours_client,
        unit="cpu-ms",
    )


def _running(statements: str, folder: Path) -> list[str]:
    """Return the command that imports from `folder` and the standard library alone, and writes no bytecode."""
    return [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, statements, str(folder)]


def _medians_ms(*commands: list[str]) -> list[float]:
    """Return the median of what each command prints, all in turns: CPU milliseconds."""

    def once(command: list[str]) -> float:
        environment = {**os.environ, "POWERTOOLS_SERVICE_NAME": "bench"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        run = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)  # noqa: S603 - our own interpreter
        return float(run.stdout)

    rounds = [[once(command) for command in commands] for _ in range(1 + _IMPORTS)]
    return [statistics.median(column) for column in zip(*rounds[1:], strict=True)]


BENCHES: dict[str, Callable[[], Iterator[Finding]]] = {
    "package.unzipped": unzipped,
    "consumer.import": cold_import,
    "api.import": api_import,
}
