"""`windrow cost`: estimate what a stage costs per month on AWS, idle and with a fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import chosen_place, target_option

if TYPE_CHECKING:
    from infra.cost import Cost
    from infra.cost_others import Other
    from infra.prices import PriceTable
    from infra.shape import Shape

_SOME_RULES = "0" * 64
"""Stands for the digest of rules, which are none of a stage's yet."""
_WIRES = {
    "plain": "one record per reading",
    "json": "JSON, aggregated",
    "blocks": "blocks",
    "mqtt": "MQTT messages",
    "uploads": "uploaded blocks",
}


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
    "--wire",
    type=OneOf(["json", "blocks", "mqtt", "uploads"]),
    default="json",
    show_default=True,
    help="How readings are sent: encoded by Producer, as messages of devices to AWS IoT Core, or as objects.",
)
@click.option(
    "--readings-per-message",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With mqtt: how many readings a device sends at once.",
)
@click.option(
    "--gateways",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="With uploads: how many upload a block each.",
)
@click.option(
    "--upload-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="MINUTES",
    help="With uploads: time between two blocks of a gateway, by which readings are late.",
)
@click.option("--by-token", is_flag=True, help="With uploads and Web=on: gateways upload by tokens of the user pool.")
@click.option(
    "--late-windows",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Windows older than an hour that get late readings, an hour.",
)
@click.option(
    "--page-hours",
    type=click.FloatRange(min=0),
    default=160.0,
    show_default=True,
    metavar="HOURS",
    help="With Web=on: how long the hosted page is open, a month.",
)
@click.option(
    "--excursions",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="With rules: how many excursions begin in a month. 0 counts the rules alone.",
)
@click.option(
    "--backfill-gb",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="GB",
    help="With Backfill=on: text that the state machine backfills in a month.",
)
@click.option(
    "--stage", "stage_name", metavar="NAME", help="Read the parameters of this deployed stage; default: the template's."
)
@click.option("--shards", type=click.IntRange(1, 500), help="Shards of the stream, instead of the stage's.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter of the template, instead of the stage's; may be repeated.",
)
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@target_option
def cost(
    *,
    sensors: int,
    interval: float,
    wire: str,
    readings_per_message: int,
    gateways: int,
    upload_minutes: float,
    by_token: bool,
    late_windows: int,
    page_hours: float,
    excursions: int | None,
    backfill_gb: float,
    stage_name: str | None,
    shards: int | None,
    assignments: tuple[str, ...],
    form: str,
) -> None:
    """Estimate what a stage costs per month on AWS, part by part: idle, and with a fleet in two encodings.

    Shards, retention, functions, alarms and keys are those of a new stage; of a deployed one with --stage; or as you
    --set them. No price is looked up: prices are in infra/prices.json, each with its source and date, beside what was
    measured and what is assumed. Data transfer, free tiers and queries are not in the total. The same fleet on other
    services follows, for comparison.

    \b
    windrow cost
    windrow cost --sensors 20000 --interval 10 --shards 4
    windrow cost --sensors 1000000 --interval 60 --wire blocks --late-windows 24
    windrow cost --sensors 10000 --wire mqtt --readings-per-message 30
    windrow cost --wire uploads --set Uploads=bucket --set StreamMode=NONE
    windrow cost --wire uploads --by-token --gateways 5 --set Uploads=bucket --set Web=on
    windrow cost --set Web=on --set Live=on --page-hours 730
    windrow cost --set Web=on --set Live=push --set LiveIntervalSeconds=60
    windrow cost --excursions 300 --set Scaling=auto
    windrow cost --backfill-gb 200 --set Backfill=on
    windrow cost --sensors 5000 --set Reports=on
    windrow cost --set Operations=none --set StreamRetentionHours=168
    windrow cost --stage prod --target aws --format json
    """
    from infra import cost as costs
    from infra import value_rules
    from infra.cost_others import others
    from infra.cost_traffic import IDLE, Fleet
    from infra.plan import parse_parameters
    from infra.prices import price_table
    from infra.shape import Shape

    parameters = _parameters_of(stage_name) | parse_parameters(assignments)
    if shards is not None:
        parameters["ShardCount"] = str(shards)
    if excursions is not None:
        parameters.setdefault(value_rules.PARAMETER, _SOME_RULES)
    shape, table = Shape(parameters), price_table()
    if readings_per_message > 1 and wire != "mqtt":
        raise UsageError("--readings-per-message is about messages of devices", hint="add --wire mqtt")
    if backfill_gb and not shape.is_true("HasBackfill"):
        raise UsageError("--backfill-gb is about the state machine", hint="add: --set Backfill=on")
    fleet = Fleet(
        sensors=sensors,
        interval_seconds=interval,
        late_windows=late_windows,
        readings_per_message=readings_per_message,
        gateways=gateways,
        upload_seconds=upload_minutes * 60,
        by_token=by_token,
        page_hours=page_hours,
        excursions=excursions or 0,
        backfill_gb=backfill_gb,
    )
    wires = ("plain", wire) if shape.is_true("HasStream") else (wire,)
    found = [costs.cost(IDLE, wire, shape, table), *(costs.cost(fleet, one, shape, table) for one in wires)]
    elsewhere = others(fleet, wire, Shape(parameters | {"StreamMode": "PROVISIONED"}), table)
    if form == "json":
        out.print_json(data=_as_data(found, elsewhere, shape, table))
        return
    _print_table(found)
    _print_assumptions(found[-1], shape, table)
    _print_others(elsewhere)


def _parameters_of(stage_name: str | None) -> dict[str, str]:
    """Return the parameters of a deployed stage; none without a name, so that nothing is asked."""
    if stage_name is None:
        return {}
    from infra.template import parameter_names
    from windrow.deployment import stage_parameters

    with err.status(f"looking for stage {stage_name}"):
        found = stage_parameters(chosen_place(), stage_name)
    return {name: value for name, value in found.items() if name in parameter_names()}  # an older stage may have others


def _as_data(found: "Sequence[Cost]", elsewhere: "Sequence[Other]", shape: "Shape", table: "PriceTable") -> Any:
    def spelled(one: "Cost") -> dict[str, Any]:
        return asdict(one) | {"total": one.total}

    idle, *with_fleet = found
    return {
        "region": table.region,
        "note": table.note,
        "parameters": dict(shape.parameters),
        "idle": spelled(idle),
        "costs": [spelled(one) for one in with_fleet],
        "stream": _stream_prices(with_fleet[-1], shape, table),
        "elsewhere": [asdict(one) for one in elsewhere],
        "prices": {name: asdict(one) for name, one in table.prices.items()},
        "measured": {name: asdict(one) for name, one in table.figures.items()},
    }


def _print_table(found: "Sequence[Cost]") -> None:
    from rich.table import Table

    _, *with_fleet = found
    chosen = found[-1]
    table = Table(box=None, pad_edge=False)
    for heading in ("USD a month", "idle", *(_WIRES[one.traffic.wire] for one in with_fleet)):
        table.add_column(heading, justify="left" if heading == "USD a month" else "right")
    for part in chosen.parts:
        table.add_row(part.name, *(f"{one.dollars(part.name):,.2f}" for one in found))
    table.add_row("a month", *(f"{one.total:,.2f}" for one in found), style="bold")
    out.print(table)


def _print_assumptions(chosen: "Cost", shape: "Shape", table: "PriceTable") -> None:
    """Print what the last column is made of, what was never seen or measured, and what a query costs."""
    sent = chosen.traffic
    deployed = f"; the stage has {shape.parameters['ShardCount']}" if shape.is_true("IsProvisioned") else ""
    out.print(
        f"\n{_WIRES[sent.wire]}: {sent.bytes_per_second / 1e6:,.3f} MB a second, {sent.records_per_second:,.1f}"
        f" records a second; shards needed: {sent.shards_needed}{deployed}",
        markup=False,
    )
    for part in chosen.parts:
        out.print(f"  {part.name}: {part.basis}", markup=False)
    if prices := _stream_prices(chosen, shape, table):
        out.print(f"  {_stream_line(prices, is_provisioned=shape.is_true('IsProvisioned'))}", markup=False)
    out.print(f"  Athena: {chosen.query:,.4f} USD for a query over the rows of a day", markup=False)
    assumed = [f"{one.value:g} {one.unit}" for one in table.figures.values() if one.is_assumed]
    out.print(f"assumed, not measured: {'; '.join(assumed)}", markup=False)
    unseen = [f"{one.usd:g} USD a {one.unit}" for one in table.prices.values() if not one.is_seen]
    out.print(f"prices not seen in a dated copy: {'; '.join(unseen)}", markup=False)
    dates = sorted(one.seen for one in table.prices.values() if one.is_seen)
    err.print(f"prices of {table.region}, seen from {dates[0]} to {dates[-1]}. {table.note}", markup=False)


def _stream_prices(chosen: "Cost", shape: "Shape", table: "PriceTable") -> dict[str, float] | None:
    """Return what the stream alone costs a month with shards and on demand; None if the fleet does not use one."""
    from infra.cost_others import stream_bills

    if not chosen.traffic.shards_needed:
        return None
    provisioned, on_demand = stream_bills(chosen.traffic, shape, table)
    return {"provisioned": provisioned.total, "on_demand": on_demand.total}


def _stream_line(prices: Mapping[str, float], *, is_provisioned: bool) -> str:
    """Return which way of paying for the stream is cheaper, and how to change if that is the other one."""
    provisioned, on_demand = prices["provisioned"], prices["on_demand"]
    line = f"the stream alone: {provisioned:,.2f} USD with shards, {on_demand:,.2f} USD on demand"
    if is_provisioned == (provisioned <= on_demand):
        return line
    return f"{line}; cheaper: --set StreamMode={'ON_DEMAND --set Scaling=none' if is_provisioned else 'PROVISIONED'}"


def _print_others(elsewhere: "Sequence[Other]") -> None:
    out.print("\nthe same fleet elsewhere, USD a month, for comparison and not measured:", markup=False)
    for one in elsewhere:
        out.print(f"  {one.name}: {one.dollars:,.2f} ({one.basis}). Lacks: {one.lacks}", markup=False)
