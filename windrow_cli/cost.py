"""`windrow cost`: estimate what a fleet needs and costs per month on AWS."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from windrow_cli.console import err, out

if TYPE_CHECKING:
    from infra.cost import Cost


@click.command()
@click.option("--sensors", type=click.IntRange(min=1), default=1_000, show_default=True, help="Number of sensors.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two readings of a sensor.",
)
@click.option(
    "--wire", type=click.Choice(["json", "blocks"]), default="json", show_default=True, help="How readings are encoded."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def cost(sensors: int, interval: float, wire: str, form: str) -> None:
    """Estimate what a fleet costs per month on AWS, part by part: one record per reading against the chosen encoding.

    Nothing is looked up: prices come from infra/prices.json, with their date and sources, and compute time from
    measured CPU time per reading. Logs, alarms, data transfer, free tiers and queries are not in the total.

    \b
    windrow cost --sensors 20000 --interval 10
    windrow cost --sensors 1000000 --interval 60 --wire blocks
    """
    from infra import cost as costs

    table = costs.prices()
    fleet = costs.Fleet(sensors=sensors, interval_seconds=interval)
    found = [costs.cost(fleet, one, table) for one in ("plain", wire)]
    if form == "json":
        spelled = [asdict(one) | {"total": one.total} for one in found]
        about = {name: table[name] for name in ("region", "known_as_of", "sources")}
        out.print_json(json.dumps({"fleet": asdict(fleet), "prices": about, "costs": spelled}))
        return
    _print(found)
    err.print(f"prices of {table['region']} as known in {table['known_as_of']}: {table['note']}", markup=False)


def _print(found: "list[Cost]") -> None:
    from rich.table import Table

    names = {"plain": "one record per reading", "json": "JSON, aggregated", "blocks": "blocks"}
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for one in found:
        table.add_column(names[one.wire], justify="right")
    table.add_row("shards", *(f"{one.shards:,}" for one in found))
    table.add_row("records/s", *(f"{one.records_per_second:,.1f}" for one in found))
    table.add_row("MB/s", *(f"{one.megabytes_per_second:,.3f}" for one in found))
    for part in found[0].dollars:
        table.add_row(part, *(f"${one.dollars[part]:,.2f}" for one in found))
    table.add_row("a month", *(f"${one.total:,.2f}" for one in found), style="bold")
    table.add_row("a query over one day", *(f"${one.query:,.4f}" for one in found))
    out.print(table)
