"""Java programs of this folder, run from their source with what their pom.xml names."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from tests.counterparts.java import java_home

JAVA_OLDEST, JAVA_NEWEST = 17, 24
DOWNLOAD_SECONDS_MAX = 1_800


@cache
def class_path(pom: Path) -> str:
    """Return the class path of what `pom` names, fetched on first use; skip the test where that cannot be had."""
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("no Maven (mvn) on this machine")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "class-path"
        ended = subprocess.run(
            [maven, "-q", "-B", "-f", str(pom), "dependency:build-classpath", f"-Dmdep.outputFile={path}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS_MAX,
        )
        if ended.returncode != 0:
            pytest.skip(f"Maven cannot fetch what {pom} names: {(ended.stdout + ended.stderr).strip()[-300:]}")
        return path.read_text().strip()


def command(
    program: Path, *arguments: str, options: tuple[str, ...] = (), pom: Path | None = None
) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment that run the Java source `program` with the class path of its folder.

    With `pom` the class path is of that instead.
    """
    java = java_home(oldest=JAVA_OLDEST, newest=JAVA_NEWEST)
    if java is None:
        pytest.skip(f"{program.name} needs Java {JAVA_OLDEST} to {JAVA_NEWEST}: set JAVA_HOME")
    classes = class_path(pom or program.with_name("pom.xml"))
    environment = {"PATH": os.environ["PATH"], "JAVA_HOME": str(java), "LANG": "C.UTF-8"}
    # Otherwise the KPL's daemon asks the address where an EC2 instance has its credentials.
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    return [str(java / "bin" / "java"), *options, "-cp", classes, str(program), *arguments], environment
