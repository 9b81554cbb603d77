"""`windrow upload`: put files of readings into a stage's uploads bucket, and show what became of them."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow import settings
from windrow.errors import UsageError, WindrowError
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import open_stage, stage_option

if TYPE_CHECKING:
    from windrow.lake.receipt import Receipt
    from windrow_operations.uploading import FileUpload, UploadedFile

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", default="files", show_default=True, metavar="NAME", help="Who uploads: a part of each key.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.IntRange(0, 3_600),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for receipts; 0: not at all.",
)
@click.option(
    "--gateway",
    "credentials",
    envvar=settings.GATEWAY,
    show_envvar=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Upload by the token of a gateway, whose credentials this file has, as windrow gateways add printed them.",
)
@click.option("--sign", "is_signed", is_flag=True, help="Upload nothing; print requests by which anybody can, once.")
@click.option(
    "--minutes", type=click.IntRange(1, 60), default=15, show_default=True, help="With --sign: how long they live."
)
@click.option(
    "--sensors",
    "prefixes",
    multiple=True,
    metavar="PREFIX",
    help="With --sign: how the ids of its sensors must begin. May be repeated.",
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show keys and content types; upload nothing.")
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@stage_option
def upload(
    *,
    files: tuple[Path, ...],
    name: str,
    wait_seconds: int,
    credentials: Path | None,
    is_signed: bool,
    minutes: int,
    prefixes: tuple[str, ...],
    is_dry_run: bool,
    form: str,
    stage_name: str,
) -> None:
    """Upload files of readings to a stage that was deployed with Uploads=bucket.

    JSON lines, CSV, Parquet and blocks, packed or not; the stage's payload contract says what they mean. A file that
    was uploaded before is not uploaded again. Exits with 1 if a file, or some of its payloads, did not count.

    With --gateway no credentials of AWS are needed, nor is a stage named: the gateway's file has all.

    With --sign a device without credentials gets the right to upload one file: of this length, this checksum and this
    type, once, for minutes, and with --sensors with readings of these sensors alone.

    \b
    windrow upload readings.csv.gz
    windrow upload --name gateway-7 --wait 0 *.jsonl
    windrow upload --gateway roof.json readings.csv.gz
    windrow upload --sign --minutes 10 --sensors site-7/ readings.parquet
    """
    from windrow_operations.uploading import plan_uploads, sign_file, upload_file, wait_for_receipts

    _check(name, files, prefixes, is_signed=is_signed, is_by_token=credentials is not None)
    planned = plan_uploads(files, name=name)
    if is_dry_run:
        _print_plan(planned)
        return
    if credentials is not None:
        _upload_by_token(planned, credentials, wait_seconds=wait_seconds, form=form)
        return
    stage = open_stage(stage_name)
    if is_signed:
        for one in planned:
            signed = sign_file(stage, one, seconds=minutes * 60, sensors=prefixes or None)
            out.print(json.dumps({"file": str(one.path), **asdict(signed)}), markup=False, soft_wrap=True)
        return
    uploaded = []
    for number, one in enumerate(planned, start=1):
        with err.status(f"uploading {one.path} ({number} of {len(planned)})"):
            uploaded.append(upload_file(stage, one))
    with err.status("waiting for receipts"):
        receipts = wait_for_receipts(stage, uploaded, seconds_max=wait_seconds) if wait_seconds else {}
    _print_uploaded(uploaded, receipts, form=form)
    _complain(uploaded, receipts, has_waited=bool(wait_seconds))


def _check(
    name: str, files: tuple[Path, ...], prefixes: tuple[str, ...], *, is_signed: bool, is_by_token: bool
) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name", hint="letters, digits, _ . and -, at most 100")
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} is no file")
    if prefixes and not is_signed:
        raise UsageError("--sensors is for --sign: what you upload yourself may hold any sensor")
    if is_signed and is_by_token:
        raise UsageError("--sign signs with your own credentials, --gateway has none", hint="leave one of them out")
    if "" in prefixes:
        raise UsageError("an empty prefix is that of every sensor", hint="leave --sensors out")


def _upload_by_token(planned: "list[FileUpload]", credentials: Path, *, wait_seconds: int, form: str) -> None:
    """Upload as a gateway does; the receipt of what was uploaded before is waited for, too."""
    from windrow.lake.gateway_api import GatewayApi, read_credentials
    from windrow_operations import gateway_uploading

    api = GatewayApi(read_credentials(credentials))
    keys: dict[Path, str] = {}
    for number, one in enumerate(planned, start=1):
        with err.status(f"uploading {one.path} ({number} of {len(planned)})"):
            keys[one.path], _ = gateway_uploading.upload(api, one)
    with err.status("waiting for receipts"):
        receipts = gateway_uploading.receipts(api, keys, seconds_max=wait_seconds) if wait_seconds else {}
    uploaded = [_uploaded(one, keys[one.path], receipts.get(one.path)) for one in planned]
    _print_uploaded(uploaded, receipts, form=form)
    _complain(uploaded, receipts, has_waited=bool(wait_seconds))


def _uploaded(one: "FileUpload", key: str, receipt: "Receipt | None") -> "UploadedFile":
    """Return a file under the key that the stage chose; its version is in the receipt alone."""
    from windrow_operations.uploading import UploadedFile

    return UploadedFile(replace(one, key=key), "" if receipt is None else receipt.version)


def _print_plan(planned: "list[FileUpload]") -> None:
    for one in planned:
        out.print(
            f"{one.path}: {one.size_bytes:,} bytes, {one.content_type}, as {one.key}", markup=False, soft_wrap=True
        )


def _print_uploaded(uploaded: "list[UploadedFile]", receipts: "dict[Path, Receipt]", *, form: str) -> None:
    for one in uploaded:
        receipt = receipts.get(one.file.path)
        if form == "json":
            told = None if receipt is None else json.loads(receipt.to_json())
            line = {"file": str(one.file.path), "key": one.file.key, "version": one.version, "receipt": told}
            out.print(json.dumps(line), markup=False, soft_wrap=True)
        else:
            out.print(f"{one.file.path}: {_in_words(one, receipt)}", markup=False, soft_wrap=True)


def _in_words(one: "UploadedFile", receipt: "Receipt | None") -> str:
    if one.version is None:
        return "was uploaded before"
    if receipt is None:
        return "uploaded"
    if receipt.refusal:
        return f"does not count: {receipt.refusal}"
    parts = [f"{receipt.readings:,} readings in {len(receipt.windows):,} windows"]
    if receipt.duplicates:
        parts.append(f"{receipt.duplicates:,} duplicates")
    parts += [f"{count:,} rejected: {reason}" for reason, count in receipt.rejected.items()]
    return ", ".join(parts)


def _complain(uploaded: "list[UploadedFile]", receipts: "dict[Path, Receipt]", *, has_waited: bool) -> None:
    """Raise WindrowError if something does not count, or is not known to."""
    bad = [path for path, receipt in receipts.items() if receipt.rejected]
    if bad:
        hint = "windrow quarantine list shows what was rejected, and why"
        raise WindrowError(
            f"{len(bad):,} of {len(uploaded):,} files did not count whole, the first: {bad[0]}", hint=hint
        )
    missing = [one for one in uploaded if one.version is not None and one.file.path not in receipts]
    if has_waited and missing:
        hint = "receipts come within BatchingWindowSeconds; windrow logs shows what the function does"
        raise WindrowError(f"{len(missing):,} of {len(uploaded):,} files have no receipt yet", hint=hint)
