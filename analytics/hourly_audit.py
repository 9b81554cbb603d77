"""The audit that a stage with Audit=daily makes by itself: an hour of the day before, every hour.

    hour that is audited                                                    scheduled time
    |-----------|                                                                |
    h         h + 1        the stream is read from h - 5 min to now           h + 22, and some minutes

So each hour of a day is audited once, while the youngest streams still have all of its records. The stream is read at
a part of what its shards give, because the consumer reads from the same shards.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from analytics.audit import CONSUMER_MS, Audit, Delays, Verdict, audit, contract_of_stage, evidence_of
from analytics.result import Engine
from windrow.aws.stream import StreamRecord
from windrow.lake.layout import audit_key
from windrow.period import HOUR_MS
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.timestamps import format_rfc3339

HOURS_BACK = 22
"""How many hours before a run the hour begins that it audits. A stream keeps records for 24 at least, so a run may come
an hour late."""
BYTES_PER_SECOND_MAX = 1024 * 1024
"""How fast one shard is read: half of the 2 MB a second that it gives to all of its readers together. The other half is
what the consumer needs for a shard that is full."""
RUN_MS_MAX = 900_000
"""How long a run takes at most: the function's timeout in the template. Meanwhile the stream goes on forgetting."""
BATCHING_MS_MAX = 300_000
"""The longest BatchingWindowSeconds that the template takes."""
SOON_MS = HOUR_MS
"""Records that arrived within this time after the hour's end are read first: nearly all of its readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyAudit:
    """The audit of the windows that start in `hour`. Without `is_all_read` time ran out before the stream's end."""

    hour: TimeRange
    scheduled_time_ms: int
    audited: Audit
    is_all_read: bool

    @property
    def different(self) -> int:
        """How many windows are not what the stream holds."""
        return self.audited.count(Verdict.DIFFERENT)

    def to_json(self) -> bytes:
        """Return the report that is kept, as one JSON object."""
        fields: dict[str, Any] = {
            "hour": format_rfc3339(self.hour.start_ms),
            "scheduled_time": format_rfc3339(self.scheduled_time_ms),
            "is_all_read": self.is_all_read,
            "verdicts": {verdict.value: self.audited.count(verdict) for verdict in Verdict},
            **self.audited.to_fields(),
        }
        return json.dumps(fields, ensure_ascii=False, indent=1).encode()


def hour_of(scheduled_time_ms: int) -> TimeRange:
    """Return the hour that a run audits, which is scheduled for this time."""
    start_ms = (scheduled_time_ms // HOUR_MS - HOURS_BACK) * HOUR_MS
    return TimeRange(start_ms, start_ms + HOUR_MS)


class PacedReading:
    """Records one after another, at most BYTES_PER_SECOND_MAX, until there is no time left. It is iterated once."""

    def __init__(
        self,
        records: Iterable[StreamRecord],
        *,
        time_left: Callable[[], bool],
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        """Read from `records`; `clock` returns seconds, `sleep` waits for as many."""
        self.is_all_read = False
        self._records = records
        self._time_left = time_left
        self._clock = clock
        self._sleep = sleep

    def __iter__(self) -> Iterator[StreamRecord]:
        """Yield the records; afterwards `is_all_read` tells whether these were all."""
        due_seconds = self._clock()  # when the next record may be read; what was slow before is not made up for
        for record in self._records:
            if not self._time_left():
                return
            yield record
            now_seconds = self._clock()
            due_seconds = max(due_seconds, now_seconds) + len(record.body) / BYTES_PER_SECOND_MAX
            if due_seconds - now_seconds > 1:
                self._sleep(due_seconds - now_seconds)
        self.is_all_read = True


def audit_hour(
    stage: Stage,
    engine: Engine,
    *,
    scheduled_time_ms: int,
    now_ms: int,
    time_left: Callable[[], bool],
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> HourlyAudit:
    """Audit the hour of a run, and keep the report in the results; a second run of the same hour replaces it."""
    hour = hour_of(scheduled_time_ms)
    evidence, _ = evidence_of(stage, now_ms=now_ms + RUN_MS_MAX)
    soon_ms = min(hour.end_ms + SOON_MS, now_ms)
    first_ms = min(evidence.reading_from_ms(hour), now_ms)
    reading = PacedReading(
        chain(
            stage.stream.records_between(min(first_ms, soon_ms), soon_ms),
            stage.stream.records_between(max(first_ms, soon_ms), now_ms),
        ),
        time_left=time_left,
        clock=clock,
        sleep=sleep,
    )
    audited = audit(
        reading,
        engine,
        time_range=hour,
        evidence=evidence,
        delays=Delays(consumer_ms=BATCHING_MS_MAX + CONSUMER_MS, late_roll_ms=stage.lifetimes.late_roll_ms),
        horizon_ms=stage.lifetimes.lateness_horizon_ms,
        now_ms=now_ms,
        contract=contract_of_stage(stage),
        is_all_read=lambda: reading.is_all_read,
    )
    report = HourlyAudit(
        hour=hour, scheduled_time_ms=scheduled_time_ms, audited=audited, is_all_read=reading.is_all_read
    )
    stage.results.put(audit_key(hour.start_ms), report.to_json())
    return report
