"""A raw archive of one stage's stream, as a channel would have written it, replayed into another stage: equal rows."""

import gzip
import io

import pytest
from click.testing import CliRunner

from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec
from tests.emulator.conftest import ignore
from tests.zstandard import ZstdFile
from windrow import settings
from windrow.aws.clients import Place, client
from windrow.lake.layout import MARKERS
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window
from windrow_cli.main import windrow
from windrow_cli.stage import clock_ms
from windrow_operations.archives import ArchiveLocation, replay_archive
from windrow_operations.draining import wait_until_drained
from windrow_operations.rewinding import rows_digests
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event

HOUR_MS = 3_600_000
BUCKET = "somebodys-raw-archive"
# The default template of a channel's keys, and a suffix of its own.
KEY = "kinesis-channel/raw/0123/2026/11/20/10/raw-0123-2026-11-20-10-{:02}{}-000000-105a4e6efaa"
LOCATION = ArchiveLocation(BUCKET, "kinesis-channel/")
FAULTS = Faults(malformed=0.05, duplicates=0.05, truncated=0.05)


def deployed(place: Place, name: str) -> Stage:
    options = DeploymentOptions(shard_count=1, is_scheduled=False)
    return stacks.apply(plan_deployment(place, name, options), ignore).stage


def archive_of(stage: Stage) -> int:
    """Write everything in the stage's stream as three objects, one of each compression; return the records."""
    records = [record.body for record in stage.stream.records_between(0, clock_ms() + HOUR_MS)]
    s3 = client("s3", stage.place)
    s3.create_bucket(Bucket=BUCKET)
    third = len(records) // 3
    zstd = io.BytesIO()
    with ZstdFile(zstd, "w") as file:
        file.write(b"".join(records[2 * third :]))
    for number, (extension, body) in enumerate(
        [
            ("", b"".join(records[:third])),
            (".gz", gzip.compress(b"\n".join(records[third : 2 * third]))),
            (".zst", zstd.getvalue()),
        ]
    ):
        s3.put_object(Bucket=BUCKET, Key=KEY.format(number, extension), Body=body)
    return len(records)


def lasting(stage: Stage) -> set[str]:
    """The partials and the quarantine of a stage; its markers come and go with every delivery and tick."""
    return {listed.key for listed in stage.lake.list_objects("") if not listed.key.startswith(MARKERS)}


def test_an_archive_fills_an_empty_stage_with_the_same_rows(
    place: Place, command_home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With malformed payloads and broken aggregates among the records; and a second replay changes nothing."""
    first, second = deployed(place, "source"), deployed(place, "rebuilt")
    start_ms = (clock_ms() // HOUR_MS - 2) * HOUR_MS
    windows = [Window(start_ms + n * WINDOW_MS) for n in range(2)]
    fleet = FleetSpec(
        seed=11,
        sensors=20,
        sites=2,
        interval_ms=5_000,
        start_ms=start_ms,
        end_ms=start_ms + 2 * WINDOW_MS,
        faults=FAULTS,
    )
    sent = simulate_fleet(fleet, first, now_ms=clock_ms())
    wait_until_drained(first, sent.last_sequence_numbers)
    invoke_tick(first, tick_event(clock_ms(), is_dry_run=False))
    records = archive_of(first)

    monkeypatch.setenv(settings.STAGE, "rebuilt")
    result = CliRunner().invoke(windrow, ["replay", "--archive", f"s3://{BUCKET}/kinesis-channel/"])
    assert result.exit_code == 0, result.output
    assert "archive: 3 objects, 0 skipped" in result.output
    invoke_tick(second, tick_event(clock_ms(), is_dry_run=False))
    rows = rows_digests(first, windows)
    assert len(rows) == len(windows)
    assert rows_digests(second, windows) == rows

    keys = lasting(second)
    again = replay_archive(second, LOCATION, start_ms=0, end_ms=clock_ms(), now_ms=clock_ms())
    assert (again.objects, again.delivered.failed) == (3, ())
    assert again.delivered.records >= records
    invoke_tick(second, tick_event(clock_ms(), is_dry_run=False))
    assert (lasting(second), rows_digests(second, windows)) == (keys, rows)


def test_what_partials_may_have_expired_for_is_left_alone(place: Place, stack: Stage) -> None:
    """An object of long ago is skipped, unless it is asked for; and one outside of the times is not looked at."""
    bucket = ArchiveLocation("another-raw-archive", "")
    s3 = client("s3", place)
    s3.create_bucket(Bucket=bucket.bucket)
    s3.put_object(Bucket=bucket.bucket, Key="old", Body=b"{}")
    long_after_ms = clock_ms() + 40 * 24 * HOUR_MS
    for with_older, objects, skipped in ((False, 0, 1), (True, 1, 0)):
        result = replay_archive(
            stack,
            bucket,
            start_ms=0,
            end_ms=long_after_ms,
            now_ms=long_after_ms,
            with_older=with_older,
            is_dry_run=True,
        )
        assert (result.objects, len(result.skipped)) == (objects, skipped)
    none = replay_archive(stack, bucket, start_ms=0, end_ms=1, now_ms=clock_ms(), is_dry_run=True)
    assert (none.objects, none.skipped) == (0, [])
