"""The help of every command, as kept in help/. Write it anew with `python -m tests.golden.cli_help`."""

import sys
from pathlib import Path

import click
from click.testing import CliRunner

from windrow_cli.main import windrow

FOLDER = Path(__file__).parent / "help"
_COLUMNS = 100


def names() -> list[str]:
    """Every command, in the order of the help."""
    return windrow.list_commands(click.Context(windrow))


def help_of(*words: str) -> str:
    """What `windrow WORDS --help` prints, on a terminal of _COLUMNS columns."""
    result = CliRunner().invoke(windrow, [*words, "--help"], prog_name="windrow", terminal_width=_COLUMNS)
    return result.output


def write(folder: Path) -> None:
    """Write every page into `folder`, and remove those of commands that are gone."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    (folder / "windrow.txt").write_text(help_of())
    for name in names():
        (folder / f"{name}.txt").write_text(help_of(name))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
