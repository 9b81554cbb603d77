"""`windrow package`: build the functions' zips, and show what is in them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import home_folder

if TYPE_CHECKING:
    from infra.package import Package


@click.command()
@click.option("--python", "version", default="3.13", show_default=True, metavar="X.Y", help="The functions' Python.")
@click.option("--architecture", type=OneOf(["arm64", "x86_64"]), default="arm64", show_default=True)
@click.option(
    "--into",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the zips to this folder, as <function>.zip; default: only show their sizes.",
)
@click.option("--api", "has_api", is_flag=True, help="With the API's function, which a stage with Web=on has.")
@click.option("--audit", "has_audit", is_flag=True, help="With the audit's, which a stage with Audit=daily has.")
def package(*, version: str, architecture: str, folder: Path | None, has_api: bool, has_audit: bool) -> None:
    """Build the zip of each function, with only what it imports, and show how large each part is.

    The same sources and lock give the same sha256 on any machine. It leaves out the bytecode, which spares a function
    the compiling at each cold start: it is made if there is a Python of the functions' version, this one or on the
    PATH. `windrow deploy` does all this itself.

    \b
    windrow package
    windrow package --architecture x86_64 --into build
    windrow package --api
    """
    from infra import package as packaging
    from infra import wheels
    from infra.bytecode import find_compiler

    platform = wheels.Platform(python=version, architecture=architecture)
    with err.status(f"packaging for {platform}"):
        found = wheels.fetch(platform, cache=home_folder() / wheels.CACHE_FOLDER)
        compiler = find_compiler(platform)
        built = [
            packaging.build(one, wheels=found, platform=platform, compiler=compiler) for one in packaging.FUNCTIONS
        ]
        chosen = ((packaging.API, has_api), (packaging.AUDIT, has_audit))
        if has_api or has_audit:
            more = wheels.fetch(platform, cache=home_folder() / wheels.CACHE_FOLDER, lock=wheels.API_LOCK)
            built += [
                packaging.build(one, wheels=(*found, *more), platform=platform, compiler=compiler)
                for one, is_chosen in chosen
                if is_chosen
            ]
    if compiler is None:
        err.print(
            f"no python{version} on the PATH: without bytecode, so that every cold start compiles what it imports",
            style="yellow",
        )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for one in built:
            (folder / f"{one.function}.zip").write_bytes(one.body)
    _print_sizes(built)


def _print_sizes(built: "list[Package]") -> None:
    """A row for each distribution, a column for each function, in megabytes unzipped."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("MB unzipped")
    for one in built:
        table.add_column(one.function, justify="right")
    names = sorted(
        {name for one in built for name in one.parts}, key=lambda name: -max(_part(one, name) for one in built)
    )
    for name in names:
        table.add_row(name, *(_megabytes(_part(one, name)) for one in built))
    table.add_section()
    table.add_row("unzipped", *(_megabytes(one.unzipped_bytes) for one in built))
    table.add_row("zip", *(_megabytes(len(one.body)) for one in built))
    table.add_row("sha256", *(one.sha256[:12] for one in built))
    out.print(table)


def _part(package: "Package", name: str) -> int:
    return package.parts.get(name, 0)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f}" if count else "-"
