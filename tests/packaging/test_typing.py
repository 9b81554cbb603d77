"""A user's script is type-checked strictly against the installed package."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("typing")  # what mypy read for one test, the other has in its cache

ROOT = Path(__file__).parents[2]
SCRIPT = """
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from windrow import BadReading, PermanentError, Producer, Reading, Readings, SpoolFull, Wire
from windrow import Windrow, WindrowError, connect


def send(measured: list[tuple[str, Decimal]]) -> int:
    with Producer.to_stream("windrow-dev", region="eu-central-1", spool="spool", wire=Wire.BLOCKS) as producer:
        for sensor_id, celsius in measured:
            try:
                producer.put(sensor_id, celsius, event_time=datetime.now(UTC))
            except BadReading as error:
                print(error.reason, error.detail)
        readings = Readings.of([Reading("roof", 1_795_176_000_000, 0, 21_437)])
        later: Readings = readings.take(np.flatnonzero(readings.event_time_ms > 0))
        producer.put_readings(later)
        return producer.counters.readings if producer.flush() else 0


def ask(stage: Windrow) -> None:
    print(stage.fleet("-2h"), stage.sensor("roof", "-1d"), stage.sql("SELECT 1"))


def main() -> None:
    try:
        print(send([("roof", Decimal("21.4"))]))
        ask(connect("dev", region="eu-central-1"))
    except (PermanentError, SpoolFull) as error:
        print(error.hint)
    except WindrowError as error:
        print(error.message)
"""
# Each line is wrong, and is only found if the package's types reach the script.
MISTAKES = """
from windrow import Producer, connect, Producr

Producer.to_stream("windrow-dev").put(1, "warm")
connect("dev").fleet(7)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel installed, which finds the libraries of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    places = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", vars=places))
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "python"


def checked(script: str, python: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """What `mypy --strict` says of a script in a folder of its own."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "script.py"]
    return subprocess.run(
        [*command, "--cache-dir", str(python.parents[2] / "cache")],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_a_users_script_is_clean_under_strict_types(python: Path, tmp_path: Path) -> None:
    """Producing and asking, with the names that the documentation uses."""
    result = checked(SCRIPT, python, tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_users_mistakes_are_found(python: Path, tmp_path: Path) -> None:
    """Wrong names and wrong arguments: the types come with the package, they are not taken as `Any`."""
    result = checked(MISTAKES, python, tmp_path)

    told = [line.rpartition("[")[2] for line in result.stdout.splitlines()[:-1]]
    assert told == ["attr-defined]", "arg-type]", "arg-type]", "arg-type]"], result.stdout + result.stderr
