"""Replaying a raw archive of the stream, object by object."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from processors.archive import (
    SHARD,
    ArchivedObject,
    UnreadableArchive,
    decompress,
    encode_archived,
    split,
)
from processors.chunk import EncodedRecord
from processors.invoke import LambdaInvoker
from processors.redrive import SkippedObject, oldest_arrival_ms
from processors.replay import DryRunInvoker, ReplayResult, deliver
from windrow.aws.clients import Place, client, readable_errors
from windrow.errors import UsageError
from windrow.lake.s3 import S3Store
from windrow.period import DAY_MS
from windrow.stage import Stage

_EXPIRED = "so old that partials of its windows may have expired"


@dataclass(slots=True)
class ArchiveReplay:
    """What was handed to the consumer, from how many objects, and what was skipped.

    `unrecognised` counts pieces that are none of our records; the consumer quarantines them.
    """

    delivered: ReplayResult = field(default_factory=ReplayResult)
    objects: int = 0
    unrecognised: int = 0
    skipped: list[SkippedObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """Where an archive is: a bucket, and what its keys begin with."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "ArchiveLocation":
        """Parse s3://bucket/prefix; UsageError for anything else."""
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise UsageError(f"{url!r} is not an archive", hint="for example: s3://bucket/kinesis-channel/")
        return cls(bucket, prefix)


def replay_archive(
    stage: Stage,
    location: ArchiveLocation,
    *,
    start_ms: int,
    end_ms: int,
    now_ms: int,
    with_older: bool = False,
    is_dry_run: bool = False,
    on_progress: Callable[[ReplayResult], object] = lambda _: None,
) -> ArchiveReplay:
    """Replay the objects that were written with `start_ms <= time < end_ms`.

    Objects so old that partials of their windows may have expired are skipped unless `with_older`: a window that has
    rows and not all of its partials is frozen. What AWS refuses is a WindrowError; failed invocations are returned.
    """
    oldest_ms = oldest_arrival_ms(
        now_ms=now_ms,
        horizon_ms=stage.lifetimes.lateness_horizon_ms,
        partials_retention_ms=stage.partials_retention_days * DAY_MS,
    )
    result = ArchiveReplay()
    chosen = []
    for found in _listed(stage.place, location):
        if not start_ms <= found.written_ms < end_ms:
            continue
        if found.written_ms < oldest_ms and not with_older:
            result.skipped.append(SkippedObject(found.location, 1, _EXPIRED))
        else:
            chosen.append(found)
    result.delivered = deliver(
        _records(stage, location, sorted(chosen, key=lambda found: found.order), result),
        invoker=DryRunInvoker() if is_dry_run else LambdaInvoker(stage.consumer),
        on_progress=on_progress,
    )
    return result


def _listed(place: Place, location: ArchiveLocation) -> Iterator[ArchivedObject]:
    with readable_errors(place):
        pages = client("s3", place).get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=location.bucket, Prefix=location.prefix):
            yield from (_object(location.bucket, entry) for entry in page.get("Contents", []))


def _object(bucket: str, entry: dict[str, Any]) -> ArchivedObject:
    written_ms = round(entry["LastModified"].timestamp() * 1_000)
    return ArchivedObject(location=f"s3://{bucket}/{entry['Key']}", written_ms=written_ms)


def _records(
    stage: Stage, location: ArchiveLocation, objects: list[ArchivedObject], result: ArchiveReplay
) -> Iterator[tuple[str, EncodedRecord]]:
    """Yield every record with its shard; add what is read and what is skipped to `result`."""
    store, stream_arn = S3Store(client("s3", stage.place), location.bucket), stage.stream.summary().arn
    for one in objects:
        stored = store.get(one.location.removeprefix(f"s3://{location.bucket}/"))
        if stored is None:
            continue  # it expired meanwhile
        try:
            body = decompress(stored.body)
        except UnreadableArchive as error:
            result.skipped.append(SkippedObject(one.location, 1, f"cannot be read: {error}"))
            continue
        result.objects += 1
        for span in split(body):
            result.unrecognised += not span.is_whole
            yield SHARD, encode_archived(one, span, stream_arn=stream_arn)
