"""`windrow payloads guess|check`: propose a payload contract from samples, and show what samples become under one."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import WindrowError
from windrow.timestamps import format_rfc3339
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import clock_ms

if TYPE_CHECKING:
    from windrow.payloads.values import DecodedPayload

_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson", ".txt", ".log"})
# Sixteen records of the stream, far more than a sample needs.
_SAMPLE_BYTES_MAX = 16 * 1024 * 1024
_samples = click.argument("samples", nargs=-1, required=True, type=click.Path(allow_dash=True, path_type=str))


@click.group()
def payloads() -> None:
    """Propose a payload contract from samples, and show what samples become under one. Needs no stage.

    A sample is a file: each line of .jsonl, .ndjson, .txt, .log and standard input (-) is one payload; any other file
    is one whole record of the stream.

    \b
    windrow payloads guess uplinks.jsonl > payloads.toml
    windrow payloads check payloads.toml uplinks.jsonl
    """


@payloads.command("guess")
@_samples
def guess_command(*, samples: tuple[str, ...]) -> None:
    """Propose a contract for sample payloads, on standard output; what to check in it is said beside it.

    Exit code 1 if there is nothing to propose.

    \b
    windrow payloads guess uplinks.jsonl > payloads.toml
    """
    from windrow.payloads.guess import guess

    proposed = guess([payload for _, payload in _read(samples)], arrival_ms=clock_ms())
    for remark in proposed.remarks:
        err.print(remark, markup=False)
    if not proposed.text:
        raise WindrowError(
            "nothing to propose for these samples", hint="docs/payloads.md shows how to write a contract"
        )
    out.print(proposed.text, markup=False, end="")


@payloads.command("check")
@click.argument("contract", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_samples
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
def check_command(*, contract: Path, samples: tuple[str, ...], form: str) -> None:
    """Show for each sample payload what it becomes under CONTRACT: its readings, or the reason why not.

    A record arrives now, as far as this command is concerned. Exit code 0 if all samples are readings and nothing else,
    1 if something is refused or the contract is wrong.

    \b
    windrow payloads check payloads.toml uplinks.jsonl
    windrow payloads check payloads.toml record.bin --format json
    """
    from windrow.payloads.decode import decode
    from windrow.payloads.load import load_contract

    try:
        text = contract.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise WindrowError(f"{contract} cannot be read: {error}") from error
    compiled = load_contract(text, name=str(contract))
    readings = refused = 0
    for name, payload in _read(samples):
        decoded = decode(compiled, payload, arrival_ms=clock_ms())
        readings, refused = readings + len(decoded.readings), refused + len(decoded.refusals)
        for line in _json_lines(name, decoded) if form == "json" else _lines(name, decoded):
            out.print(line, markup=False)
    err.print(f"{readings:,} readings, {refused:,} refused")
    if refused or not readings:
        raise WindrowError("not everything in the samples is a reading" if readings else "the samples have no reading")


def _read(samples: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each sample payload."""
    for sample in samples:
        try:
            with click.open_file(sample, "rb") as file:
                body = file.read(_SAMPLE_BYTES_MAX + 1)
        except OSError as error:
            raise WindrowError(f"{sample} cannot be read: {error.strerror}") from error
        if len(body) > _SAMPLE_BYTES_MAX:
            raise WindrowError(f"{sample} has more than {_SAMPLE_BYTES_MAX:,} bytes", hint="a few payloads are enough")
        if sample == "-" or Path(sample).suffix.lower() in _LINE_SUFFIXES:
            lines = enumerate(body.splitlines(), 1)
            yield from ((f"{sample}:{number}", line) for number, line in lines if line.strip())
        else:
            yield sample, body


def _lines(name: str, decoded: "DecodedPayload") -> Iterator[str]:
    from windrow.payloads.values import plain_milli

    for one in decoded.readings:
        value = f"{one.quantity} {plain_milli(one.value_milli)} {one.unit}"
        yield f"{name}  {one.sensor_id}  {format_rfc3339(one.event_time_ms)}  #{one.sequence}  {value}"
    for refusal in decoded.refusals:
        yield f"{name}  refused: {refusal.reason}: {refusal}"


def _json_lines(name: str, decoded: "DecodedPayload") -> Iterator[str]:
    rows: list[dict[str, Any]] = [
        {
            "sample": name,
            "sensor_id": one.sensor_id,
            "quantity": one.quantity,
            "unit": one.unit,
            "event_time": format_rfc3339(one.event_time_ms),
            "sequence": one.sequence,
            "value_milli": one.value_milli,
        }
        for one in decoded.readings
    ]
    rows += [
        {"sample": name, "reason": one.reason, "where": one.where, "detail": one.detail} for one in decoded.refusals
    ]
    return (json.dumps(row, ensure_ascii=False) for row in rows)
