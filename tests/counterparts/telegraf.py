"""Telegraf as producer: metrics from a file, through its own Kinesis output, into a stage's stream."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from windrow.stage import Stage

VERSION = "1.37.2"
MODULE = "github.com/influxdata/telegraf/cmd/telegraf"
# Only what is used here: with all its plugins it takes a quarter of an hour to build.
TAGS = "custom,inputs.file,outputs.kinesis,parsers.json,serializers.json"
BUILD_SECONDS_MAX = 1_800
RUN_SECONDS_MAX = 120
CONFIGURATION = """
[agent]
  metric_batch_size = 400
  metric_buffer_limit = 100000
  hostname = "gateway-7"
  precision = "1ms" # else it rounds the times of metrics to whole seconds, also those that metrics bring

[[inputs.file]]
  files = ["{metrics}"]
  name_override = "greenhouse"
  data_format = "json"
  tag_keys = ["device"]
  json_time_key = "ts"
  json_time_format = "unix_ms"

[[outputs.kinesis]]
  region = "{region}"
  endpoint_url = "{endpoint}"
  access_key = "test"
  secret_key = "test"
  streamname = "{stream}"
  data_format = "json"
  json_timestamp_units = "1ms"
  [outputs.kinesis.partition]
    method = "tag"
    key = "device"
    default = "none"
"""


def program() -> Path:
    """Return Telegraf from the user's cache, built on first use; skip the test where that cannot be done."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windrow"
    found = cache / f"telegraf-{VERSION}" / "telegraf"
    if found.exists():
        return found
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go on this machine, with which Telegraf is built")
    ended = subprocess.run(
        [go, "install", "-tags", TAGS, f"{MODULE}@v{VERSION}"],
        env=os.environ | {"GOBIN": str(found.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS_MAX,
    )
    if ended.returncode != 0 or not found.exists():
        pytest.skip(f"Go cannot build Telegraf {VERSION}: {ended.stderr.strip()[-300:]}")
    return found


def send(stage: Stage, metrics: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Have Telegraf read these metrics once and put them into the stage's stream.

    A metric has `device`, which becomes a tag, `ts` in milliseconds, and fields.
    """
    file, configuration = folder / "metrics.json", folder / "telegraf.conf"
    file.write_text(json.dumps(list(metrics)))
    configuration.write_text(
        CONFIGURATION.format(
            metrics=file, region=stage.place.region, endpoint=stage.place.endpoint_url, stream=stage.stream_name
        )
    )
    ended = subprocess.run(
        [program(), "--config", str(configuration), "--once"],
        env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS_MAX,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    assert " E! " not in ended.stderr, ended.stderr[-2_000:]
