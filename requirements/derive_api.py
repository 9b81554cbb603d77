"""The lock of the API's function, taken out of that of the command: `python -m requirements.derive_api` writes it.

It has what the function needs beside the lock of all functions, with the command's versions and hashes; so a deployment
without Web=on fetches none of it.
"""

from pathlib import Path

from requirements.derive_demo import entries_of, name_of

FOLDER = Path(__file__).parent
COMMAND, TARGET = FOLDER / "windrow.txt", FOLDER.parent / "infra" / "api.txt"
ADDED = frozenset({"anyio", "duckdb", "idna", "mangum", "pandas", "sqlglot", "starlette"})
HEAD = "# Made of requirements/windrow.txt by derive_api.py, which make lock runs.\n"


def text() -> str:
    """Return the part of the command's lock that the function needs; ValueError if it lacks a package."""
    found = {name_of(entry): entry for entry in entries_of(COMMAND) if name_of(entry) in ADDED}
    if found.keys() != ADDED:
        raise ValueError(f"{COMMAND.name} lacks {', '.join(sorted(ADDED - found.keys()))}")
    return HEAD + "".join(found[name] for name in sorted(found))


if __name__ == "__main__":
    TARGET.write_text(text())
