"""What docs/devices.md shows: output of `windrow payloads`, and the table of costs.

`python -m tests.golden.device_page` writes both anew. The rest of the page is run on the embedded stack by
tests/emulator/test_devices_page.py.
"""

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click.testing

from infra.cost import Cost, cost
from infra.cost_traffic import Fleet
from infra.prices import price_table
from infra.shape import Shape
from windrow.errors import WindrowError
from windrow_cli.payloads import payloads

PAGE = Path(__file__).parents[2] / "docs" / "devices.md"
BEGIN, END = "<!-- the table of ways: begin -->\n", "<!-- the table of ways: end -->\n"
SENSORS, INTERVAL_SECONDS, BATCH = 10_000, 10, 30
_COMMAND = re.compile(r"```\n\$ (windrow payloads .*)\n((?:(?!```).*\n)*)```\n")


def files(text: str) -> dict[str, str]:
    """The files that the page tells to save, by name."""
    sample, contract = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("json", "toml"))
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert sample is not None
    assert contract is not None
    assert program is not None
    return {"samples.jsonl": sample[1], "payloads.toml": contract[1], "device.py": program[1]}


@contextmanager
def folder_of_reader(text: str) -> Iterator[Path]:
    """A folder with the page's files, as the working directory."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        for file, content in files(text).items():
            (Path(name) / file).write_text(content)
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def commands(text: str) -> list[tuple[str, str]]:
    """The commands about payloads, and what the page shows of their output."""
    return _COMMAND.findall(text)


def output_of(command: str) -> str:
    """What a command says now, as a terminal shows it; in a folder of the reader."""
    result = click.testing.CliRunner().invoke(payloads, shlex.split(command)[2:], standalone_mode=False)
    if result.exception is None:
        return result.output
    if not isinstance(result.exception, WindrowError):
        raise result.exception
    return f"{result.output}error: {result.exception.message}\n"


def _cost(wire: str, readings_per_message: int = 1) -> Cost:
    fleet = Fleet(sensors=SENSORS, interval_seconds=INTERVAL_SECONDS, readings_per_message=readings_per_message)
    return cost(fleet, wire, Shape({}), price_table())


def table() -> str:
    """The ways from devices to the stage and what each costs, in Markdown."""
    one, batched, produced = _cost("mqtt"), _cost("mqtt", BATCH), _cost("json")
    ways = [
        ("a message a reading", one, True),
        ("a message a reading, Basic Ingest", one, False),
        (f"a message of {BATCH} readings", batched, True),
        (f"a message of {BATCH} readings, Basic Ingest", batched, False),
        ("`Producer`", produced, True),
    ]
    lines = ["| | messages | rule and action | connections | the stage | together |", "|---|---|---|---|---|---|"]
    for name, found, pays_messages in ways:
        messages = found.dollars("IoT Core: messages") if pays_messages else 0.0
        others = [found.dollars(f"IoT Core: {what}") for what in ("rule and action", "connections")]
        stage = sum(part.dollars for part in found.parts if not part.name.startswith("IoT"))
        cells = [messages, *others, stage, messages + sum(others) + stage]
        lines.append(f"| {name} | {' | '.join(f'{cell:,.0f}' for cell in cells)} |")
    return "\n".join(lines) + "\n"


def table_in(text: str) -> str:
    """The table as it stands in the page."""
    return text.split(BEGIN)[1].split(END, maxsplit=1)[0]


def main() -> None:
    """Write the page with the output and the prices of today."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    text = before + BEGIN + table() + END + rest.split(END)[1]
    with folder_of_reader(text):
        text = _COMMAND.sub(lambda found: f"```\n$ {found[1]}\n{output_of(found[1])}```\n", text)
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
