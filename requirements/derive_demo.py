"""The lock of `make demo`, taken out of that of the developers: `python requirements/derive_demo.py` writes it.

It has what the command's lock has and what installs the tree, with the same versions and hashes. What requires what is
in the comments of the developers' lock.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
DEVELOPERS, COMMAND, TARGET = FOLDER / "dev.txt", FOLDER / "windrow.txt", FOLDER / "demo.txt"
# They build the tree when it is installed.
BUILDERS = frozenset({"hatchling", "editables"})
HEAD = "# Made of dev.txt by derive_demo.py, which make lock runs.\n"


def text() -> str:
    """Return the part of the developers' lock that `make demo` installs."""
    entries = entries_of(DEVELOPERS)
    builders, found = set(), set(BUILDERS)
    while found - builders:
        builders |= found
        found = {name_of(entry) for entry in entries if required_by(entry) & builders}
    needed = builders | {name_of(entry) for entry in entries_of(COMMAND)}
    return HEAD + "".join(entry for entry in entries if name_of(entry) in needed)


def entries_of(lock: Path) -> list[str]:
    """Return the entries of a lock: a package with its version, marker, hashes and comments each."""
    return re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]


def name_of(entry: str) -> str:
    """Return the name of the package that an entry of a lock pins."""
    return entry.partition("==")[0]


def required_by(entry: str) -> set[str]:
    """Return which packages, or lists of asked ones, an entry is there for."""
    said = entry.partition("# via")[2]
    return {line.strip(" #") for line in said.splitlines() if line.strip(" #")}


if __name__ == "__main__":
    TARGET.write_text(text())
