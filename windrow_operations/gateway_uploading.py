"""Uploading files by a gateway's token: what `windrow upload --gateway` does."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from windrow.aws.uploads import checksum_of
from windrow.errors import UsageError, WindrowError
from windrow.lake.gateway_api import GatewayApi
from windrow.lake.receipt import Receipt
from windrow_operations.uploading import FileUpload

POLL_SECONDS = 2.0


def upload(api: GatewayApi, one: FileUpload) -> tuple[str, bool]:
    """Upload a planned file; return its key, and whether it is new. WindrowError says what was refused."""
    body = one.path.read_bytes()
    if checksum_of(body) != one.checksum:
        raise UsageError(f"{one.path} has changed while it was read", hint="upload it when nobody writes to it")
    try:
        return api.store(body, content_type=one.content_type)
    except WindrowError as error:
        raise type(error)(f"{one.path}: {error.message}", hint=error.hint) from error


def receipt_of(api: GatewayApi, key: str) -> Receipt | None:
    """Return the receipt of an object; None if there is none yet."""
    found = api.receipt(key)
    return None if found is None else Receipt.from_json(json.dumps(found).encode())


def receipts(
    api: GatewayApi,
    keys: Mapping[Path, str],
    *,
    seconds_max: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[Path, Receipt]:
    """Return the receipts of objects, by file, when all are there, or those that are when the time is up."""
    found: dict[Path, Receipt] = {}
    deadline = clock() + seconds_max
    while True:
        for path in keys.keys() - found.keys():
            receipt = receipt_of(api, keys[path])
            if receipt is not None:
                found[path] = receipt
        if len(found) == len(keys) or clock() >= deadline:
            return found
        sleep(POLL_SECONDS)
