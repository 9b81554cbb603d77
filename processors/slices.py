"""Cutting a batch into slices that are processed one after another, so that memory is bounded whatever it holds.

As a rule a batch is one slice: 6 MB of JSON are 80,000 readings at most. A batch of blocks may hold several millions,
and one of bombs says that it does. Each slice writes its own partials, which union absorbs.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from processors.blocks import readings_max
from processors.event import MalformedRecord, Record
from windrow.reading import READINGS_PER_RECORD_MAX

# No less than one record may hold, so that every slice but those of one record keeps to it.
SLICE_READINGS_MAX = READINGS_PER_RECORD_MAX

_Record = TypeVar("_Record", Record, MalformedRecord, Record | MalformedRecord)


def slices(records: Iterable[_Record], *, readings_max_per_slice: int = SLICE_READINGS_MAX) -> Iterator[list[_Record]]:
    """`records` in order, cut into slices that hold at most so many readings, but at least one record."""
    one: list[_Record] = []
    readings = 0
    for record in records:
        grows_by = readings_max(record.payload) if isinstance(record, Record) else 1
        if one and readings + grows_by > readings_max_per_slice:
            yield one
            one, readings = [], 0
        one.append(record)
        readings += grows_by
    if one:
        yield one
