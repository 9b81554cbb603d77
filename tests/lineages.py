"""A lineage in which a test names what it is about."""

from dataclasses import replace
from typing import Any

from windrow.rows.lineage import Lineage
from windrow.window import Window


def lineage_of(window: Window, **fields: Any) -> Lineage:
    """The lineage of a window without readings, rolled two minutes after its end, but for these fields."""
    lineage = Lineage(
        window=window,
        fingerprint="",
        digests=(),
        rows_sha256="",
        result_etag="",
        revision=1,
        readings=0,
        sensors=0,
        conflicts=0,
        duplicates_removed=0,
        late=0,
        quarantined=0,
        partials=0,
        shards=(),
        is_final=False,
        scheduled_time_ms=window.end_ms + 120_000,
    )
    return replace(lineage, **fields)
