"""What a function loads before its first event: no library that it can do without, and botocore only for a client."""

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
