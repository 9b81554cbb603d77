"""The help of every command, as kept in help/. Write it anew with `python -m tests.golden.cli_help`."""

from pathlib import Path

import click
from click.testing import CliRunner

from windrow.cli.main import windrow

FOLDER = Path(__file__).parent / "help"
_COLUMNS = 100


def names() -> list[str]:
    """Every command, in the order of the help."""
    return windrow.list_commands(click.Context(windrow))


def help_of(*words: str) -> str:
    """What `windrow WORDS --help` prints, on a terminal of _COLUMNS columns."""
    result = CliRunner().invoke(windrow, [*words, "--help"], prog_name="windrow", terminal_width=_COLUMNS)
    return result.output


def pages() -> dict[str, str]:
    """File name and text of every page."""
    return {"windrow.txt": help_of()} | {f"{name}.txt": help_of(name) for name in names()}


def main() -> None:
    """Write every page, and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
