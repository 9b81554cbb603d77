"""The functions' zips: the same bytes every time, nothing too much, and a handler that can be imported from them."""

import io
import json
import os
import platform as machine
import shutil
import struct
import subprocess
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from infra import package
from infra.bytecode import find_compiler
from infra.distribution import Distribution
from infra.package import FUNCTIONS, SOURCES, Function, Package
from infra.wheels import Platform
from tests.packaging.conftest import fetched
from windrow.errors import WindrowError

ARM64 = Platform()
# Unzipped; Lambda's own limit is 250 MB.
LIMITS_MB = {
    "consumer": 100,
    "fanout": 100,
    "uploads": 100,
    "backfill": 100,
    "scaling": 60,
    "live": 100,
    "dispatcher": 150,
}
PURE = {"scaling"}
"""Functions that see no readings, and are Python alone."""
ELF_MACHINES = {62: "x86_64", 183: "arm64"}  # e_machine: EM_X86_64, EM_AARCH64
COMMAND_ONLY = ("click", "duckdb", "localstack_client", "matplotlib", "pandas", "rich", "samtranslator", "sqlglot")
pytestmark = pytest.mark.xdist_group("package")  # they are built once
by_name = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
# Imports the handler with nothing on the path but the unpacked zip and the standard library, makes every client it may
# ask for, and says which modules came.
IMPORT = """
import importlib, json, sys
folder, module, name, *services = sys.argv[1:]
sys.path.insert(0, folder)
assert callable(getattr(importlib.import_module(module), name))
from windrow.aws.clients import FUNCTION, Place, client
for service in services:
    client(service, Place(FUNCTION, None, "eu-central-1"))
print(json.dumps({n: m.__file__ for n, m in sys.modules.items() if getattr(m, "__file__", None)}))
"""


@pytest.fixture(scope="module")
def arm64(wheel_cache: Path) -> dict[str, Package]:
    """The packages as a deployment to AWS builds them: with bytecode if there is a Python of that version."""
    wheels, compiler = fetched(ARM64, wheel_cache), find_compiler(ARM64)
    return {one.name: package.build(one, wheels=wheels, platform=ARM64, compiler=compiler) for one in FUNCTIONS}


def here_with_wheels(wheel_cache: Path) -> tuple[Platform, tuple[Path, ...]]:
    """The running interpreter on this machine, and the wheels for it."""
    if sys.platform != "linux":
        pytest.skip("functions run on Linux, and so do their wheels")
    architecture = {"aarch64": "arm64"}.get(machine.machine(), machine.machine())
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    platform = Platform(python=version, architecture=architecture)
    return platform, fetched(platform, wheel_cache)


@pytest.fixture(scope="module")
def here(wheel_cache: Path) -> dict[str, Package]:
    """The packages for the running interpreter on this machine."""
    platform, wheels = here_with_wheels(wheel_cache)
    return {one.name: package.build(one, wheels=wheels, platform=platform) for one in FUNCTIONS}


SERVICES = {"fanout": ["s3", "lambda"], "live": ["dynamodb", "sqs"]}
"""Whose clients a function makes; the others those of S3 alone."""


@by_name
def test_zip_is_the_same_from_another_folder_at_another_time(function: Function, tmp_path: Path):
    """Neither the folder, the files' times and modes nor the order on disk reaches the bytes."""
    for name in ("windrow", "processors", "dispatcher", "infra"):
        shutil.copytree(SOURCES / name, tmp_path / name, copy_function=shutil.copyfile)
    for path in tmp_path.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)
    assert package.build(function, sources=tmp_path).body == package.build(function).body


@by_name
def test_packages_for_the_next_python_have_its_modules(function: Function, wheel_cache: Path):
    """Every wheel is locked for it too; zstd is in its standard library."""
    platform = Platform(python="3.14", architecture="arm64")
    built = package.build(function, wheels=fetched(platform, wheel_cache), platform=platform)
    names = zipfile.ZipFile(io.BytesIO(built.body)).namelist()
    assert any(".cpython-314-aarch64-" in name for name in names) != (function.name in PURE)
    assert not any(".cpython-313-" in name or name.startswith("backports/") for name in names)


@by_name
def test_zip_with_wheels_is_the_same_again(function: Function, arm64: dict[str, Package], wheel_cache: Path):
    """Built again, from wheels in another order: the same bytes."""
    wheels = fetched(ARM64, wheel_cache)
    again = package.build(function, wheels=reversed(wheels), platform=ARM64)
    assert again.sha256 == arm64[function.name].sha256


@by_name
def test_zip_knows_no_time_and_no_owner(function: Function, arm64: dict[str, Package]):
    """Every entry has the same date, mode and system, and zip tools find nothing wrong with it."""
    with opened(arm64[function.name]) as archive:
        facts = {(one.date_time, one.external_attr >> 16, one.create_system) for one in archive.infolist()}
        assert facts == {((1980, 1, 1, 0, 0, 0), 0o100644, 3)}
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())


@by_name
def test_zip_without_wheels_holds_what_the_handler_imports(function: Function):
    """Our own modules alone, and the prices where they are read: no command, no other stage."""
    with opened(package.build(function)) as archive:
        names = archive.namelist()
    stage = function.handler.split(".")[0]
    assert {name.split("/")[0] for name in names} == {"windrow", stage}
    data = {name for name in names if not name.endswith(".py")}
    assert data == ({"infra/prices.json"} if function.name == "scaling" else set())
    assert not [name for name in names if name.startswith("windrow_cli/")]


@by_name
def test_handler_imports_in_an_empty_folder(function: Function, here: dict[str, Package], tmp_path: Path):
    """With nothing on the path but the unpacked build, the handler imports and its clients can be made."""
    built = here[function.name]
    with opened(built) as archive:
        archive.extractall(tmp_path / "code")
    loaded = imported(function, tmp_path, SERVICES.get(function.name, ["s3"]))
    assert not [place for place in loaded.values() if "site-packages" in place]
    tops = {name.split(".")[0] for name in loaded}
    distributions = {"botocore", "aws_lambda_powertools"}
    if function.name not in PURE:
        distributions |= {"numpy"} if function.name == "live" else {"numpy", "nanoarrow", "arro3"}
    assert tops >= distributions
    assert not tops & set(COMMAND_ONLY)


@by_name
def test_everything_that_a_handler_imports_is_compiled(function: Function, wheel_cache: Path, tmp_path: Path):
    """Its own modules and its distributions', for this interpreter, at the place where Python looks for bytecode."""
    platform, wheels = here_with_wheels(wheel_cache)
    built = package.build(function, wheels=wheels, platform=platform, compiler=find_compiler(platform))
    with opened(built) as archive:
        archive.extractall(tmp_path / "code")
        names = set(archive.namelist())
    code = f"{tmp_path / 'code'}/"
    places = imported(function, tmp_path, SERVICES.get(function.name, ["s3"])).values()
    loaded = [place.removeprefix(code) for place in places if place.startswith(code) and place.endswith(".py")]

    assert len(loaded) > 100
    assert [name for name in loaded if cache_from_source(name) not in names] == []


@by_name
def test_arm64_build_is_for_arm64_and_small(function: Function, arm64: dict[str, Package]):
    """Every shared object is for 64-bit ARM, and the whole is far below what Lambda unpacks."""
    built = arm64[function.name]
    with opened(built) as archive:
        objects = [name for name in archive.namelist() if ".so" in Path(name).name]
        machines = {elf_machine(archive.read(name)) for name in objects}
    assert len(objects) > 10 or function.name in PURE
    assert machines == (set() if function.name in PURE else {"arm64"})
    assert built.unzipped_bytes == sum(one.file_size for one in opened(built).infolist())
    assert built.unzipped_bytes < LIMITS_MB[function.name] * 1_000_000


def test_arm64_wheels_are_tagged_for_it(wheel_cache: Path):
    """Each wheel is pure Python or for aarch64, and for this Python or its stable ABI."""
    for wheel in fetched(ARM64, wheel_cache):
        tags = parse_wheel_filename(wheel.name)[3]
        assert any(tag.platform == "any" or tag.platform in ARM64.tags for tag in tags), wheel.name
        assert any(tag.interpreter == "cp313" or tag.abi in {"none", "abi3"} for tag in tags), wheel.name


@by_name
def test_nothing_of_the_command_is_packaged(function: Function, arm64: dict[str, Package]):
    """What only people and the command use stays on their machines."""
    with opened(arm64[function.name]) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert not tops & set(COMMAND_ONLY)


def test_only_what_is_asked_for_is_taken_of_botocore(arm64: dict[str, Package]):
    """Each function has the descriptions of the services that a stage opens (and of STS), and no other."""
    with opened(arm64["fanout"]) as archive:
        names = [name.split("/") for name in archive.namelist() if name.startswith("botocore/data/")]
    assert {parts[2] for parts in names if len(parts) > 3} == {"kinesis", "lambda", "s3", "sns", "sts"}


def test_changed_source_changes_the_key_of_those_who_import_it(tmp_path: Path):
    """The key names the content: a function is deployed anew when something it imports changed, and only then."""
    for name in ("windrow", "processors", "dispatcher", "infra"):
        shutil.copytree(SOURCES / name, tmp_path / name)
    before = {one.name: package.build(one, sources=tmp_path).key for one in FUNCTIONS}
    (tmp_path / "dispatcher" / "roll.py").open("a").write("# changed\n")
    after = {one.name: package.build(one, sources=tmp_path).key for one in FUNCTIONS}
    assert [name for name in before if before[name] != after[name]] == ["dispatcher"]


def test_missing_handler_is_named(tmp_path: Path):
    """A package without its handler's module is refused here, not by Lambda at the first event."""
    (tmp_path / "windrow").mkdir()
    with pytest.raises(WindrowError, match=r"the consumer function has no handler: .*consumer_handler\.py is missing"):
        package.build(FUNCTIONS[0], sources=tmp_path)


def test_import_that_no_requirement_provides_is_named(tmp_path: Path, wheel_cache: Path):
    """A handler that imports what is not locked is refused here, with the module's name."""
    shutil.copytree(SOURCES / "windrow", tmp_path / "windrow")
    (tmp_path / "processors").mkdir()
    (tmp_path / "processors" / "consumer_handler.py").write_text("import pandas\n")
    wheels = fetched(ARM64, wheel_cache)
    with pytest.raises(WindrowError, match="no requirement of the functions provides pandas"):
        package.build(FUNCTIONS[0], sources=tmp_path, wheels=wheels, platform=ARM64)


def test_every_wheel_of_the_lock_is_needed_by_some_function(arm64: dict[str, Package], wheel_cache: Path):
    """The functions' lock holds nothing that no function imports."""
    packaged = set().union(*(built.parts for built in arm64.values())) - {package.OURS, package.BYTECODE}
    assert packaged == {Distribution(wheel).name for wheel in fetched(ARM64, wheel_cache)}


def imported(function: Function, folder: Path, services: list[str]) -> dict[str, str]:
    """Module and file of everything that importing the handler loads, in a fresh interpreter without site-packages."""
    module, _, name = function.handler.rpartition(".")
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT, str(folder / "code"), module, name, *services],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "POWERTOOLS_SERVICE_NAME": "test", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    loaded: dict[str, str] = json.loads(answer.stdout)
    return loaded


def elf_machine(body: bytes) -> str:
    """The architecture in an ELF header (64-bit, little-endian)."""
    assert body[:6] == b"\x7fELF\x02\x01"
    return ELF_MACHINES[struct.unpack_from("<H", body, 18)[0]]


def opened(built: Package) -> zipfile.ZipFile:
    """The package, opened."""
    return zipfile.ZipFile(io.BytesIO(built.body))
