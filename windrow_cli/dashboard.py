"""`windrow dashboard`: the results as a web page on this machine, or as one file."""

import errno
import os
import socket
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import UsageError
from windrow.likely import did_you_mean, likely
from windrow.quantities import TEMPERATURE, Quantity
from windrow.timerange import parse_range
from windrow_cli.console import err, out
from windrow_cli.stage import clock_ms, home_folder, open_stage, stage_option

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from analytics.dashboard import Dashboard
    from analytics.result import Engine
    from windrow.aws.clients import Place
    from windrow.stage import Stage

HOST = "127.0.0.1"
DEFAULT_PORT = 8310
DEFAULT_FROM = "-24h"


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Where to listen.  [default: {DEFAULT_PORT}, or another free one]"
)
@click.option("--quantity", metavar="NAME", help="What the page is about.  [default: temperature]")
@click.option("--unit", metavar="UNIT", help="Of a --quantity that comes in several units, the one to show.")
@click.option("--open", "is_opened", is_flag=True, help="Open the page in the browser.")
@click.option("--from", "start", metavar="TIME", help=f"With --export: first window start.  [default: {DEFAULT_FROM}]")
@click.option("--to", "end", metavar="TIME", help="With --export: end of the range, exclusive.  [default: now]")
@click.option("--export", "exported", metavar="FILE", help="Write the page of a range to one HTML file instead.")
@stage_option
def dashboard(
    *,
    port: int | None,
    quantity: str | None,
    unit: str | None,
    is_opened: bool,
    start: str | None,
    end: str | None,
    exported: str | None,
    stage_name: str,
) -> None:
    """Show the results as a web page on this machine: the fleet over time, each sensor, silent sensors, late readings.

    It listens on the loopback interface only, needs no network, and runs until Ctrl-C. It reads the rows themselves,
    each once, so using it costs no Athena queries.

    --export writes the same page with its numbers to one file that can be sent and opened anywhere.

    \b
    windrow dashboard
    windrow dashboard --open --port 8311
    windrow dashboard --quantity humidity
    windrow dashboard --export yesterday.html --from -24h
    """
    if exported is None and (start is not None or end is not None):
        raise UsageError("--from and --to belong to --export", hint="without it, choose the range on the page")
    stage = open_stage(stage_name)
    made = dashboard_of(stage, home=home_folder(), quantity=quantity, unit=unit)
    if exported is not None:
        parse_range(start or DEFAULT_FROM, end, now_ms=clock_ms())
        export_to(made, exported, start or DEFAULT_FROM, end, place=stage.place)
        return
    serve(made, stage.place, port=port, is_opened=is_opened)


def dashboard_of(stage: "Stage", *, home: Path, quantity: str | None = None, unit: str | None = None) -> "Dashboard":
    """Return the dashboard of a stage."""
    from analytics.dashboard import Dashboard
    from analytics.engine import local_engine
    from analytics.open_windows import LOOK_MS_MIN, OpenWindows
    from analytics.stage_rules import rules_reader
    from windrow.aws.clients import readable_errors

    engine = local_engine(stage, home=home)
    with readable_errors(stage.place), err.status("looking for the quantity"):
        shown = shown_quantity(engine, quantity, unit)
    return Dashboard(
        engine=engine,
        results=stage.results,
        stage=stage.name,
        clock_ms=clock_ms,
        quantity=shown,
        open_windows=OpenWindows(lake=stage.lake, results=stage.results, look_ms_min=LOOK_MS_MIN),
        rules=rules_reader(stage),
    )


def shown_quantity(engine: "Engine", name: str | None, unit: str | None) -> Quantity:
    """Return the quantity of that name, in its unit of the last day; UsageError for none, or if it has several units.

    Temperatures are not looked up.
    """
    from analytics import presets

    if name in {None, TEMPERATURE.name} and unit in {None, TEMPERATURE.unit}:
        return TEMPERATURE
    time_range = parse_range(DEFAULT_FROM, None, now_ms=clock_ms())
    found = engine.run(presets.units(time_range)).frame
    pairs = list(zip(found["quantity"].tolist(), found["unit"].tolist(), strict=True))
    units = [one for of, one in pairs if of == name and unit in {None, one}]
    if len(units) == 1:
        return Quantity(str(name), units[0])
    if units:
        named = " or ".join(f"--unit {one!r}" for one in units)
        raise UsageError(f"{name} comes in {len(units)} units", hint=f"choose one: {named}")
    known = sorted({of for of, _ in pairs})
    meant = likely(str(name), known) or known[:3]
    hint = did_you_mean([f"--quantity {one}" for one in meant]) or "leave out --quantity"
    raise UsageError(f"no {name}{f' in {unit!r}' if unit else ''} in the last day", hint=hint)


def export_to(made: "Dashboard", exported: str, start: str | None, end: str | None, *, place: "Place") -> None:
    """Write the page of a range to the file `exported`, whole or not at all."""
    from analytics.export import export
    from windrow.aws.clients import readable_errors

    path = Path(exported)
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise UsageError(f"cannot write to {exported}", hint="name a file in a folder that exists")
    with readable_errors(place), err.status("reading the results"):
        text, sensors, of_sensors = export(made, start, end)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write to {exported}: {error.strerror}", hint="name another file") from error
    finally:
        unfinished.unlink(missing_ok=True)
    some = f"{sensors:,}" if sensors == of_sensors else f"{sensors:,} of {of_sensors:,}"
    out.print(f"wrote {exported}: {some} sensors, {len(text.encode()) / 1e6:.1f} MB", markup=False)


def serve(made: "Dashboard", place: "Place", *, port: int | None, is_opened: bool) -> None:
    """Serve the page until Ctrl-C."""
    from analytics.web import application

    with listening(port) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}/"
        out.print(f"the dashboard is at {url}", markup=False)
        err.print("stop it with Ctrl-C")
        if is_opened:
            webbrowser.open(url)
        try:
            server_of(application(made, place)).run(sockets=[listener])
        except KeyboardInterrupt:
            err.print("stopped")


def server_of(app: "ASGIApp") -> "uvicorn.Server":
    """Return the server of the page; it is not started."""
    import uvicorn

    return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))


def listening(port: int | None) -> socket.socket:
    """Return a listening socket on loopback: on `port`, or, if none is given, on DEFAULT_PORT or another free one."""
    for candidate in (DEFAULT_PORT, 0) if port is None else (port,):
        listener = socket.socket()
        if os.name == "posix":  # elsewhere it would let two processes share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen()  # until then another process could bind the port too, and fail later
        except OSError as error:
            listener.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            return listener
    raise UsageError(f"port {port} is taken", hint="choose another --port, or leave it out")
