"""Records as Lambda's mapping hands them over, and the consumer applied to them in one step."""

from collections.abc import Iterable, Sequence

from processors.consumer import WrittenPlan, act, plan
from processors.event import MalformedRecord, Record, encode_record, join_records
from processors.judge import PayloadReader
from windrow.lake.store import Mapper, ObjectStore


def encode_event(records: Iterable[Record]) -> bytes:
    """Return the event that the mapping would send for `records`."""
    return join_records(encode_record(record) for record in records)


def consume(
    records: Sequence[Record | MalformedRecord],
    *,
    store: ObjectStore,
    now_ms: int,
    horizon_ms: int,
    run: Mapper = map,
    reader: PayloadReader | None = None,
) -> WrittenPlan:
    """Plan what `records` become and write it; what the store raises is raised."""
    return act(plan(records, now_ms=now_ms, horizon_ms=horizon_ms, reader=reader), store=store, run=run)
