"""The tables of costs in docs/deploy.md, from the model. Write them anew with `python -m tests.golden.cost_table`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.cost import Cost, cost
from infra.cost_traffic import IDLE, Fleet
from infra.prices import price_table
from infra.shape import Shape

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
FLEET = Fleet(sensors=1_000, interval_seconds=10)
"""What the page calls a fleet."""


def idle_cost(**parameters: str) -> Cost:
    """An idle stage with some parameters set."""
    return cost(IDLE, "json", Shape(parameters), price_table())


def fleet_cost(more: dict[str, Any] | None = None, **parameters: str) -> Cost:
    """The fleet of the page, in aggregates of JSON, with `more` that it does."""
    return cost(replace(FLEET, **(more or {})), "json", Shape(parameters), price_table())


def table() -> str:
    """The table of a new stage, in Markdown."""
    idle, fleet = idle_cost(), fleet_cost()
    lines = ["| what | the fleet's quantities | idle | fleet |", "|---|---|---|---|"]
    lines += [
        f"| {part.name} | {part.basis} | {idle.dollars(part.name):.2f} | {part.dollars:.2f} |" for part in fleet.parts
    ]
    lines.append(f"| **a month** | | **{idle.total:.2f}** | **{fleet.total:.2f}** |")
    return "\n".join(lines) + "\n"


def operations_table() -> str:
    """What each level of the parameter `Operations` keeps and loses, in Markdown."""
    every = alarm_names("full")
    lines = ["| `Operations` | keeps | loses | idle | fleet |", "|---|---|---|---|---|"]
    for level in ("full", "simple", "none"):
        names = alarm_names(level)
        keeps = (
            f"{len(names)} alarms, their topic, the dashboard, custom metrics" if names else "logs, `windrow status`"
        )
        lost = ", ".join(f"`{name}`" for name in every if name not in names) or "nothing"
        loses = lost if names else "all alarms and the messages about silent sensors, the dashboard, custom metrics"
        idle, fleet = (one(Operations=level).total for one in (idle_cost, fleet_cost))
        lines.append(f"| `{level}` | {keeps} | {loses} | {idle:.2f} | {fleet:.2f} |")
    return "\n".join(lines) + "\n"


def alarm_names(level: str) -> list[str]:
    """The alarms of a stage with this level of operations, without the stage's name."""
    alarms = Shape({"Operations": level}).resources("AWS::CloudWatch::Alarm").values()
    return [str(alarm["AlarmName"]).removeprefix("windrow-dev-") for alarm in alarms]


EXTRAS: tuple[tuple[dict[str, str], dict[str, Any], str], ...] = (
    ({"Web": "on"}, {}, "the page is open for 160 hours"),
    ({"Web": "on", "Live": "on"}, {}, "the same, and it shows live values"),
    ({"Web": "on", "Live": "push"}, {}, "the same, and the newest value of each batch in a table"),
    ({"Web": "on", "Live": "push", "LiveIntervalSeconds": "60"}, {}, "the same, one a minute and series at most"),
    ({"Web": "on", "Uploads": "bucket"}, {"by_token": True}, "the page, and tokens of 20 gateways; no uploads yet"),
    ({"Audit": "daily"}, {}, "an hour of the day before, every hour"),
    ({"Scaling": "auto"}, {}, "a run every five minutes; shards as they are"),
    ({"ValueRules": "0" * 64}, {"excursions": 300}, "300 excursions, each told when it rings and clears"),
    ({"Reports": "on"}, {}, "a picture and a summary of each day"),
    ({"Backfill": "on"}, {}, "while none runs"),
    ({"Backfill": "on"}, {"backfill_gb": 200}, "200 GB of text, once"),
)
"""What is off by default, what the fleet does beside it, and what the table says of it."""


def extras_table() -> str:
    """What is added to a month by each part that is off by default, in Markdown."""
    lines = ["| with | what is counted | idle | fleet |", "|---|---|---|---|"]
    for parameters, more, words in EXTRAS:
        name = (
            "[rules](rules.md)"
            if "ValueRules" in parameters
            else ", ".join(f"`{key}={value}`" for key, value in parameters.items())
        )
        idle = idle_cost(**parameters).total - idle_cost().total
        fleet = fleet_cost(more, **parameters).total - fleet_cost().total
        lines.append(f"| {name} | {words} | {idle:.2f} | {fleet:.2f} |")
    return "\n".join(lines) + "\n"


TABLES = {"cost": table, "operations": operations_table, "extras": extras_table}
"""The tables of the page, each between two comments that name it."""


def marks(name: str) -> tuple[str, str]:
    """The comments around a table."""
    return f"<!-- the {name} table: begin -->\n", f"<!-- the {name} table: end -->\n"


def in_page(name: str) -> str:
    """A table as it stands in the page."""
    begin, end = marks(name)
    return PAGE.read_text().split(begin)[1].split(end)[0]


def write() -> None:
    """Put the tables into the page."""
    for name, made in TABLES.items():
        begin, end = marks(name)
        before, rest = PAGE.read_text().split(begin)
        PAGE.write_text(before + begin + made() + end + rest.split(end)[1])


if __name__ == "__main__":
    write()
