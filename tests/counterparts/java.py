"""The Java installations of this machine."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("/usr/lib/jvm/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home")


def java_home(*, oldest: int, newest: int) -> Path | None:
    """Return the home of a Java from version `oldest` to `newest`, JAVA_HOME first; None if there is none."""
    return next((home for home in _homes() if oldest <= _version(home) <= newest), None)


def _homes() -> Iterator[Path]:
    if "JAVA_HOME" in os.environ:
        yield Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("java")
    if on_path is not None:
        yield Path(on_path).resolve().parents[1]
    for pattern in FOLDERS:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)


def _version(home: Path) -> int:
    """Return the feature version in the `release` file, 8 for 1.8; 0 without such a file."""
    try:
        text = (home / "release").read_text()
    except OSError:
        return 0
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, flags=re.MULTILINE)
    return int(match[1]) if match else 0
