"""The package of the API's function: within Lambda's size, whole, and fetched only for who has the page."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra import package, wheels
from infra.distribution import Distribution
from infra.package import Package
from infra.wheels import API_LOCK, Platform
from requirements import derive_api
from tests.packaging.conftest import fetched

ARM64 = Platform()
UNZIPPED_BYTES_MAX = 262_144_000
"""What Lambda takes ("Lambda quotas": 250 MB)."""
BYTECODE_SHARE = 1.25
"""Bytecode adds about a fifth of what is Python; this is more."""


def with_api(platform: Platform, cache: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The wheels of all functions, and those of this one."""
    return fetched(platform, cache), wheels.fetch(platform, cache=cache, lock=API_LOCK)


@pytest.fixture(scope="module")
def arm64(wheel_cache: Path) -> Package:
    common, own = with_api(ARM64, wheel_cache)
    return package.build(package.API, wheels=(*common, *own), platform=ARM64)


def test_it_fits_into_lambda_with_its_bytecode(arm64: Package) -> None:
    """DuckDB and pandas are most of it."""
    assert arm64.is_complete
    assert arm64.unzipped_bytes * BYTECODE_SHARE < UNZIPPED_BYTES_MAX


def test_all_that_its_functions_ask_is_described(arm64: Package) -> None:
    """Live values are pushed from the same package."""
    with zipfile.ZipFile(io.BytesIO(arm64.body)) as archive:
        names = [name.split("/") for name in archive.namelist() if name.startswith("botocore/data/")]
    services = {parts[2] for parts in names if len(parts) > 3}
    assert services >= {"s3", "sts", "dynamodb", "apigatewaymanagementapi"}


def test_every_wheel_of_its_lock_is_needed(arm64: Package, wheel_cache: Path) -> None:
    """And none of them is in the other functions' lock."""
    common, own = with_api(ARM64, wheel_cache)
    names = {Distribution(wheel).name for wheel in own}
    assert names <= arm64.parts.keys()
    assert names.isdisjoint(Distribution(wheel).name for wheel in common)


def test_the_audits_function_needs_no_wheel_of_its_own(wheel_cache: Path) -> None:
    """It answers no HTTP, and otherwise is made of the same."""
    common, own = with_api(ARM64, wheel_cache)
    audit = package.build(package.AUDIT, wheels=(*common, *own), platform=ARM64)
    assert audit.unzipped_bytes * BYTECODE_SHARE < UNZIPPED_BYTES_MAX
    assert {"duckdb", "pandas", "botocore"} <= audit.parts.keys()
    assert "mangum" not in audit.parts


def test_the_lock_is_the_derived_one() -> None:
    """Whoever changes the command's lock derives it again."""
    assert derive_api.TARGET.read_text() == derive_api.text()


def test_its_own_code_finds_the_files_that_it_reads(tmp_path: Path) -> None:
    """Unpacked beside nothing of ours, it answers: the translations of its SQL came with it."""
    built = package.build(package.API)
    with zipfile.ZipFile(io.BytesIO(built.body)) as archive:
        archive.extractall(tmp_path)
        assert {name.split("/")[0] for name in archive.namelist()} == {"analytics", "windrow"}
    program = (
        "import sys; sys.path[:] = [sys.argv[1], *(p for p in sys.path if 'site-packages' in p or 'lib/python' in p)]\n"
        "import analytics.api_handler, analytics.presets as presets, json\n"
        "import analytics.sockets_handler, analytics.push_handler\n"
        "from analytics.translations import translation_of, _stored\n"
        "from windrow.timerange import TimeRange\n"
        "print(json.dumps([presets.__file__, len(_stored()), translation_of(presets.units(TimeRange(0, 1))).sql]))"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.addsitedir({_site()!r})\n{program}", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    file, translations, sql = json.loads(ended.stdout)
    assert file.startswith(str(tmp_path))
    assert translations > 10
    assert "SELECT" in sql


def _site() -> str:
    return next(path for path in sys.path if path.endswith("site-packages"))
