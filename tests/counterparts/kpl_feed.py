"""Readings given to the native KPL, which sends them to a stream of the embedded stack.

`python -m tests.counterparts.kpl_feed` writes tests/golden/kpl/native.json.gz anew: what the KPL made of GOLDEN, as
Lambda hands it to a function. So every test run sees its mixture of plain and aggregated records without Java.
"""

import base64
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from infra import embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.stack_events import StackEvent
from tests.counterparts import maven, tls_proxy
from windrow.aws.clients import Place
from windrow.stage import Stage
from windrow.window import WINDOW_MS

FEED = Path(__file__).parent / "kpl" / "Feed.java"
FEED_SECONDS_MAX = 300
KPL, KPL_OLDER = "1.0.4", "0.15.12"
_PACKAGE, _PACKAGE_OLDER = "software.amazon.kinesis.producer", "com.amazonaws.services.kinesis.producer"
_POM_OLDER = FEED.parents[1] / "kpl015" / "pom.xml"
WINDOWS = 3
ODD_IDS = ("a", "ü/∞", "with space", "quote\"'", "x" * 60, "emoji-\U0001f321", "back\\slash", "0")
GOLDEN = Path(__file__).parents[1] / "golden" / "kpl" / "native.json.gz"
GOLDEN_START_MS = 1_795_860_000_000  # the start of a window
GOLDEN_READINGS = 600
GOLDEN_OPTIONS = ("rate=300",)  # so that some come before the KPL knows the shards, and some after


@dataclass(frozen=True, slots=True)
class Given:
    """A reading as its device has it; `milli` are thousandths of a degree."""

    sensor_id: str
    event_time_ms: int
    sequence: int
    milli: int


def given(seed: int, count: int, start_ms: int) -> list[Given]:
    """Return `count` readings of WINDOWS windows from `start_ms`, in order of time; equal seeds give equal ones."""
    chance = Random(seed)
    ids = [*ODD_IDS, *(f"site-{number % 7}/sensor-{number:04}" for number in range(200))]
    step_ms = WINDOWS * WINDOW_MS / count
    return [
        Given(chance.choice(ids), start_ms + int(number * step_ms), number, chance.randrange(-40_000, 60_000))
        for number in range(count)
    ]


def feed(
    place: Place,
    stream: str,
    readings: Sequence[Given],
    folder: Path,
    *,
    options: Sequence[str] = (),
    swallowed: float = 0.0,
    version: str = KPL,
) -> dict[str, int]:
    """Have the KPL send each reading as one user record; return the last sequence number of each shard.

    `options` are those of Feed.java; of the stream's good answers the part `swallowed` is lost.
    """
    lines = folder / "lines"
    lines.write_text("".join(f"{one.sensor_id}\t{_payload(one)}\n" for one in readings))
    port = urlsplit(str(place.endpoint_url)).port
    assert port is not None
    with tls_proxy.running(port, folder, swallowed=swallowed) as secure:
        program, pom = _program(folder, version)
        command, environment = maven.command(program, str(lines), stream, str(secure), *options, pom=pom)
        environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=FEED_SECONDS_MAX
        )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return {shard: int(number) for shard, number in (line.split() for line in ended.stdout.splitlines())}


def _program(folder: Path, version: str) -> tuple[Path, Path]:
    """Return the source that feeds the KPL of `version`, and the pom of its class path."""
    if version == KPL:
        return FEED, FEED.with_name("pom.xml")
    assert version == KPL_OLDER, version
    older = folder / FEED.name
    older.write_text(FEED.read_text().replace(_PACKAGE, _PACKAGE_OLDER))
    return older, _POM_OLDER


def _payload(reading: Given) -> str:
    fields = {
        "sensor_id": reading.sensor_id,
        "event_time": reading.event_time_ms,
        "temperature": reading.milli / 1000,
        "sequence": reading.sequence,
    }
    return json.dumps(fields)


def _captured(stage: Stage) -> Iterator[dict[str, object]]:
    """Yield the stream's records in the form of a Lambda event ("Using Lambda to process records from Kinesis")."""
    for record in stage.stream.records_between(0, 2**53):
        yield {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": record.sequence_number,
                "data": base64.b64encode(record.body).decode(),
                "approximateArrivalTimestamp": record.arrival_ms / 1000,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{record.shard_id}:{record.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
            "awsRegion": "us-east-1",
            "eventSourceARN": f"arn:aws:kinesis:us-east-1:123456789012:stream/{stage.stream_name}",
        }


def _ignore(event: StackEvent) -> None:
    """Show no progress."""


def main() -> int:
    """Write the golden file."""
    readings = given(0, GOLDEN_READINGS, GOLDEN_START_MS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embedded.up(folder, port=0)
        try:
            options = DeploymentOptions(shard_count=2, mode="direct", is_scheduled=False)
            stage = stacks.apply(plan_deployment(embedded.place(folder), "kpl", options), _ignore).stage
            feed(stage.place, stage.stream_name, readings, folder, options=GOLDEN_OPTIONS)
            event = {"Records": list(_captured(stage))}
        finally:
            embedded.down(folder)
    GOLDEN.write_bytes(gzip.compress(json.dumps(event, indent=1).encode(), mtime=0))
    return 0


if __name__ == "__main__":
    sys.exit(main())
