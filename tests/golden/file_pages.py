"""The examples of docs/files.md; `python -m tests.golden.file_pages` writes their output anew.

Each block that begins with `$ windrow ingest` shows what the command says on standard error, in a dry run, for a file
of tests/golden/files.
"""

import os
import re
import shlex
from pathlib import Path
from unittest import mock

import click.testing

from windrow.errors import WindrowError
from windrow_cli import ingest as command_module
from windrow_cli.ingest import ingest

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
FILES = Path(__file__).parent / "files"
_CLOCK_MS = 1_796_083_200_000  # 2026-12-01, after all of the files
_BLOCK = re.compile(r"```\n\$ (windrow ingest .*)\n([^`]*)```\n")


def blocks(text: str) -> list[tuple[str, str]]:
    """The commands of a page and what it shows of their output."""
    return _BLOCK.findall(text)


def output_of(command: str) -> str:
    """What a command of the page says now, as `windrow` prints it."""
    arguments = shlex.split(command)[2:]
    assert "--dry-run" in arguments, command
    before = Path.cwd()
    os.chdir(FILES)
    try:
        with mock.patch.object(command_module, "clock_ms", return_value=_CLOCK_MS):
            result = click.testing.CliRunner().invoke(ingest, arguments, standalone_mode=False)
    finally:
        os.chdir(before)
    if result.exception is None:
        return result.stderr
    if not isinstance(result.exception, WindrowError):
        raise result.exception
    hint = f"; {result.exception.hint}" if result.exception.hint else ""
    return f"{result.stderr}error: {result.exception.message}{hint}\n"


def main() -> None:
    """Write the page with the output of today."""
    text = PAGE.read_text()
    PAGE.write_text(_BLOCK.sub(lambda found: f"```\n$ {found[1]}\n{output_of(found[1])}```\n", text))


if __name__ == "__main__":
    main()
