"""The tables of costs in docs/deploy.md, from the model. Write them anew with `python -m tests.golden.cost_table`."""

from pathlib import Path

from infra.cost import Cost, cost
from infra.cost_traffic import IDLE, Fleet
from infra.prices import price_table
from infra.shape import Shape

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
FLEET = Fleet(sensors=1_000, interval_seconds=10)
"""What the page calls a fleet."""
BEGIN, END = "<!-- the cost table: begin -->\n", "<!-- the cost table: end -->\n"


def idle_cost(**parameters: str) -> Cost:
    """An idle stage with some parameters set."""
    return cost(IDLE, "json", Shape(parameters), price_table())


def fleet_cost(**parameters: str) -> Cost:
    """The fleet of the page, in aggregates of JSON."""
    return cost(FLEET, "json", Shape(parameters), price_table())


def table() -> str:
    """The table of a new stage, in Markdown."""
    idle, fleet = idle_cost(), fleet_cost()
    lines = ["| what | the fleet's quantities | idle | fleet |", "|---|---|---|---|"]
    lines += [
        f"| {part.name} | {part.basis} | {idle.dollars(part.name):.2f} | {part.dollars:.2f} |" for part in fleet.parts
    ]
    lines.append(f"| **a month** | | **{idle.total:.2f}** | **{fleet.total:.2f}** |")
    return "\n".join(lines) + "\n"


def in_page() -> str:
    """The table as it stands in the page."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0]


def write() -> None:
    """Put the table into the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1])


if __name__ == "__main__":
    write()
