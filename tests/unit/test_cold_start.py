"""What a function loads before its first event, and a gateway before its first reading: nothing it can do without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each costs more to import than all of ours, or belongs to the command, to tests or to producers.
UNWANTED = {
    "boto3",
    "s3transfer",
    "pandas",
    "pyarrow",
    "duckdb",
    "sqlglot",
    "click",
    "rich",
    "yaml",
    "ministack",
    "moto",
    "msgspec",
}
# Of these a gateway that sends JSON has the first, and needs it for the first answer that names another shard; the
# others come with the extra [blocks]. Readers are for what an earlier process left in the spool.
UNWANTED_OF_GATEWAYS = {
    "google",
    "arro3",
    "nanoarrow",
    "backports",
    "compression",
    "botocore.session",
    "windrow.columns.arrow",
    "windrow.wire.block.block",
    "windrow.wire.json.strict",
    "windrow.wire.json.layout",
    "asyncio",
    "email",
    "http",
}
PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({*sys.modules, *(name.split(".")[0] for name in sys.modules)})))
"""


@pytest.mark.slow
@pytest.mark.parametrize("handler", ["processors.consumer_handler", "processors.fanout_handler"])
def test_a_handler_imports_nothing_it_can_do_without(handler: str) -> None:
    """Import time is paid by every new execution environment; docs/performance.md has the milliseconds."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, handler], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )

    assert UNWANTED.isdisjoint(json.loads(ended.stdout))


@pytest.mark.slow
def test_a_gateway_imports_nothing_it_can_do_without() -> None:
    """The producer of JSON loads numpy, the errors of botocore, and little else."""
    loaded = subprocess.run(
        [sys.executable, "-c", PROGRAM, "producers"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (UNWANTED | UNWANTED_OF_GATEWAYS).isdisjoint(json.loads(loaded.stdout))
