"""Counts of what a recording holds, taken before anything of it is sent."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from producers.recording import BadRow, RecordingBatch
from windrow.reading import EARLINESS_MS_MAX, Readings

BAD_ROWS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Counts of a recording.

    readings: rows that are readings; bad: rows that are not; first_bad: the first BAD_ROWS_SHOWN of these; first_ms,
    last_ms: the earliest and latest event time, None without readings; too_late, too_early: readings that would be
    quarantined if they arrived at the time of the survey.
    """

    readings: int = 0
    bad: int = 0
    first_bad: tuple[BadRow, ...] = ()
    first_ms: int | None = None
    last_ms: int | None = None
    too_late: int = 0
    too_early: int = 0


def survey_rows(batches: Iterable[RecordingBatch]) -> Survey:
    """Count rows and find the range of event times; what depends on the time of arrival stays 0."""
    survey = Survey()
    for batch in batches:
        survey = replace(
            survey,
            readings=survey.readings + len(batch.readings),
            bad=survey.bad + len(batch.bad),
            first_bad=(survey.first_bad + batch.bad)[:BAD_ROWS_SHOWN],
        )
        if len(batch.readings):
            times_ms = batch.readings.event_time_ms
            first_ms, last_ms = int(times_ms.min()), int(times_ms.max())
            survey = replace(
                survey,
                first_ms=first_ms if survey.first_ms is None else min(first_ms, survey.first_ms),
                last_ms=last_ms if survey.last_ms is None else max(last_ms, survey.last_ms),
            )
    return survey


def survey_arrivals(
    survey: Survey, batches: Iterable[RecordingBatch], *, shift_ms: int, now_ms: int, horizon_ms: int
) -> Survey:
    """Return the survey with its times moved by `shift_ms`, and what would be quarantined on arrival at `now_ms`."""
    too_late = too_early = 0
    for batch in batches:
        ahead_ms = batch.readings.event_time_ms + shift_ms - now_ms
        too_late += int(np.count_nonzero(ahead_ms < -horizon_ms))
        too_early += int(np.count_nonzero(ahead_ms > EARLINESS_MS_MAX))
    bounds = [None if one is None else one + shift_ms for one in (survey.first_ms, survey.last_ms)]
    return replace(survey, first_ms=bounds[0], last_ms=bounds[1], too_late=too_late, too_early=too_early)


def shift_times(readings: Readings, shift_ms: int) -> Readings:
    """Return the readings with all times moved."""
    return readings if shift_ms == 0 else replace(readings, event_time_ms=readings.event_time_ms + shift_ms)
