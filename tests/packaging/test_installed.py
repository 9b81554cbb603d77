"""The wheel, installed by pip as a stranger would do it, works in an empty folder far from the repository."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.closure import OUR_PACKAGES
from infra.package import FUNCTIONS
from infra.wheels import CACHE_FOLDER, Platform
from tests.packaging.conftest import fetched
from windrow import settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMAND_SECONDS_MAX = 600
NO_INDEX = "from versions: none"
pytestmark = pytest.mark.xdist_group("installed")


@dataclass(frozen=True)
class Installation:
    """An environment with nothing but the wheel and what pip chose for it, and an empty folder to work in."""

    scripts: Path
    folder: Path

    def __call__(self, *arguments: str) -> str:
        """Run the command as a user does and return what it prints on stdout; it must succeed."""
        return self._run(self.scripts / "windrow", *arguments)

    def program(self, source: str) -> str:
        """Run a program as a user does and return what it prints on stdout; it must succeed."""
        return self._run(self.scripts / "python", "-c", source)

    def _run(self, *command: str | Path) -> str:
        kept = ("PATH", "TMPDIR", "LANG")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=environment | {"HOME": str(self.folder), settings.HOME: str(self.folder / "home")},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout}\n{ended.stderr}"
        return ended.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel in a new environment, with the dependencies that pip finds today; skips where pip reaches no index."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    scripts = folder / "venv" / "bin"
    command = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    ended = subprocess.run(
        [*command, wheel], cwd=folder, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX
    )
    if NO_INDEX in ended.stderr:
        pytest.skip(f"pip reaches no index here: {ended.stderr.splitlines()[-1]}")
    assert ended.returncode == 0, ended.stderr
    (folder / "work").mkdir()
    return Installation(scripts, folder / "work")


@pytest.mark.slow
def test_the_demo_runs(installed: Installation) -> None:
    """All of it: the embedded stack, packages, the functions, the answers, the proof."""
    told = installed("demo", "--once", "--sensors", "50")

    assert "lost 0, duplicated 0, wrong 0" in told
    assert "rewind: results unchanged" in told


@pytest.mark.slow
def test_the_functions_are_packaged_as_from_the_repository(
    installed: Installation, wheel_cache: Path, tmp_path: Path
) -> None:
    """Byte by byte: the lock is in the wheel, and neighbours in site-packages are not taken for our sources."""
    fetched(Platform(), wheel_cache)
    (installed.folder / "home").mkdir(exist_ok=True)
    (installed.folder / "home" / CACHE_FOLDER).symlink_to(wheel_cache)
    installed("package", "--into", "zips")
    windrow = Path(sys.executable).with_name("windrow")
    environment = os.environ | {settings.HOME: str(installed.folder / "home")}
    subprocess.run([windrow, "package", "--into", tmp_path], env=environment, check=True, capture_output=True)

    names = [zipped.name for zipped in sorted(tmp_path.glob("*.zip"))]
    assert names == sorted(f"{one.name}.zip" for one in FUNCTIONS)
    for name in names:
        assert (installed.folder / "zips" / name).read_bytes() == (tmp_path / name).read_bytes(), name


@pytest.mark.slow
def test_the_page_has_its_files(installed: Installation) -> None:
    """An exported page of a stage on the embedded stack, and what a program says of it: all came with the wheel."""
    try:
        installed("up", "--port", "4599")
        installed("deploy")
        installed("dashboard", "--export", "page.html")
        said = installed.program(
            "from windrow import connect; found = connect(); print(found, len(found.fleet('-2h')))"
        )
    finally:
        installed("down")

    assert "<script" in (installed.folder / "page.html").read_text()
    assert "dev" in said
    assert said.endswith(" 0\n")


def test_every_package_is_installed(wheel: Path) -> None:
    """What the closure takes for ours is what the wheel has, and what the project names."""
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert tops == OUR_PACKAGES == set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_dependencies_are_bounded_below_by_what_the_locks_have() -> None:
    """Each has a lower bound or a pin that the lock satisfies, in the version that the tests run with."""
    lock = (ROOT / "requirements" / "windrow.txt").read_text()
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    for line in PROJECT["project"]["dependencies"]:
        requirement = Requirement(line)
        assert {one.operator for one in requirement.specifier} <= {">=", "=="}, line
        assert len(requirement.specifier) == 1, line
        if requirement.name != "pip":  # not locked: the one that installs is the one that runs
            found = versions[canonicalize_name(requirement.name)]
            assert any(requirement.specifier.contains(version) for version in found), line
