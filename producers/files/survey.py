"""What some files hold, counted before anything of them is sent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from producers.files.identities import IdentityBook
from producers.files.options import FileFormat
from producers.files.recording import Recording
from producers.files.rows import FileBatch, QuantityReadings
from producers.files.values import are_sentinels
from windrow.columns.arrays import Int64s
from windrow.reading import EARLINESS_MS_MAX

SAMPLES_PER_REASON = 3
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class LeftOutSample:
    """A row that is left out, for people: where it is, why, and its own text."""

    where: str
    why: str
    text: str


@dataclass(slots=True)
class ValueRange:
    """The values of one quantity, in thousandths of its unit. least, most: of the usual ones, None without any."""

    unit: str
    least: int | None = None
    most: int | None = None
    sentinels: Counter[int] = field(default_factory=Counter)

    @property
    def suspects(self) -> dict[int, int]:
        """The values by which devices say that something is wrong, and how often each comes, if it lies apart."""
        if self.least is None or self.most is None:
            return dict(self.sentinels)
        return {value: count for value, count in self.sentinels.items() if not self.least <= value <= self.most}

    def extend(self, values: npt.NDArray[np.int32]) -> None:
        """Note more values, at least one: int32[n]."""
        is_sentinel = are_sentinels(values.astype(np.int64))
        self.sentinels.update(values[is_sentinel].tolist())
        usual = values[~is_sentinel]
        if len(usual):
            least, most = int(usual.min()), int(usual.max())
            self.least = least if self.least is None else min(least, self.least)
            self.most = most if self.most is None else max(most, self.most)


@dataclass(slots=True)
class FileSurvey:
    """Counts of some files.

    readings: by quantity; first_ms, last_ms: of all readings, None without any. left_out: rows (or cells) by reason,
    with samples. values: by quantity.
    """

    rows: int = 0
    readings: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    last_ms: int | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[LeftOutSample]] = field(default_factory=dict)
    filtered: int = 0
    missing: int = 0
    too_late: int = 0
    too_early: int = 0
    values: dict[str, ValueRange] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many readings would be sent."""
        return self.readings.total()

    @property
    def left_out_rows(self) -> int:
        """How many rows, or cells of wide files, are left out for a reason."""
        return sum(self.left_out.values())


def survey_files(recordings: Sequence[Recording], book: IdentityBook, *, now_ms: int, horizon_ms: int) -> FileSurvey:
    """Read all files once and count; what would be quarantined is counted for readings sent at `now_ms` unmoved."""
    survey = FileSurvey()
    for recording in recordings:
        wanted: dict[str, list[tuple[int, str]]] = {}
        prefix = f"{recording.file.name}, " if len(recordings) > 1 else ""
        for batch in recording.batches():
            _count(survey, batch, wanted)
            for one in batch.found:
                if len(one.readings):
                    _extend(survey, one, now_ms=now_ms, horizon_ms=horizon_ms)
                    book.add(one.quantity, one.readings)
        _add_samples(survey, recording, wanted, prefix)
    return survey


def count_arrivals(times_ms: Int64s, *, now_ms: int, horizon_ms: int) -> tuple[int, int]:
    """Return how many readings that arrive at `now_ms` would be too late, and too early."""
    ahead_ms = times_ms - now_ms
    return int(np.count_nonzero(ahead_ms < -horizon_ms)), int(np.count_nonzero(ahead_ms > EARLINESS_MS_MAX))


def _count(survey: FileSurvey, batch: FileBatch, wanted: dict[str, list[tuple[int, str]]]) -> None:
    survey.rows += batch.rows
    survey.filtered += batch.filtered
    survey.missing += batch.missing
    for one in batch.found:
        survey.readings[one.quantity] += len(one.readings)
    for left_out in batch.left_out:
        reason = str(left_out.reason)
        survey.left_out[reason] += 1
        some = wanted.setdefault(reason, [])
        if len(some) < SAMPLES_PER_REASON:
            some.append((left_out.row, left_out.detail))


def _extend(survey: FileSurvey, one: QuantityReadings, *, now_ms: int, horizon_ms: int) -> None:
    times_ms = one.readings.event_time_ms
    first_ms, last_ms = int(times_ms.min()), int(times_ms.max())
    survey.first_ms = first_ms if survey.first_ms is None else min(first_ms, survey.first_ms)
    survey.last_ms = last_ms if survey.last_ms is None else max(last_ms, survey.last_ms)
    too_late, too_early = count_arrivals(times_ms, now_ms=now_ms, horizon_ms=horizon_ms)
    survey.too_late, survey.too_early = survey.too_late + too_late, survey.too_early + too_early
    survey.values.setdefault(one.quantity, ValueRange(one.unit)).extend(one.readings.value_milli)


def _add_samples(
    survey: FileSurvey, recording: Recording, wanted: dict[str, list[tuple[int, str]]], prefix: str
) -> None:
    """Add samples of the rows that this file's batches left out, as far as there are not enough."""
    missing = {
        reason: some[: SAMPLES_PER_REASON - len(survey.samples.get(reason, []))] for reason, some in wanted.items()
    }
    texts = recording.table.rows_as_text(row for some in missing.values() for row, _ in some)
    for reason, some in missing.items():
        survey.samples.setdefault(reason, []).extend(
            LeftOutSample(f"{prefix}row {row:,}", why, texts.get(row, "")) for row, why in some
        )
    if recording.unreadable:
        count = sum(one.rows for one in recording.unreadable)
        survey.left_out[UNREADABLE] += count
        survey.rows += count if recording.file.file_format is FileFormat.CSV else 0  # JSON's are in its batches
        samples = survey.samples.setdefault(UNREADABLE, [])
        for one in recording.unreadable[: SAMPLES_PER_REASON - len(samples)]:
            samples.append(LeftOutSample(prefix + one.where, one.why, one.text))
