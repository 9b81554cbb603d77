"""What a simulated fleet sends, in the order it sends it: its readings, with the faults that happen on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from producers import noise
from producers.faults import MALFORMED
from producers.fleet import BATCH_SAMPLES_MAX, FleetSpec, Samples, samples
from producers.noise import Purpose
from windrow.columns.arrays import Int64s
from windrow.reading import Readings
from windrow.wire.json.encode import encode_readings

# A late reading is sent 1 s to a day after its time; every doubling of the delay is equally likely.
LATE_MS_MIN = 1_000
LATE_MS_MAX = 86_400_000
_LATE_DOUBLINGS = 17
# Readings later than this are sent after all others, so that memory does not grow with the run.
HELD_MS_MAX = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class FleetBatch:
    """A batch as the fleet sends it.

    readings: n samples in the order they are sent; malformed: int64[n], what breaks the payload of each (an index
    of MALFORMED), or -1 for a sound one; again: bool[n], which of them were sent before.
    """

    readings: Readings
    malformed: Int64s
    again: npt.NDArray[np.bool_]

    @classmethod
    def of_sound(cls, readings: Readings, again: npt.NDArray[np.bool_] | None = None) -> Self:
        """Make a batch of readings with sound payloads; `again` marks those sent before."""
        count = len(readings)
        return cls(readings, np.full(count, -1), np.zeros(count, bool) if again is None else again)

    @property
    def repeated(self) -> int:
        """Return how many readings were sent before."""
        return int(np.count_nonzero(self.again))

    @property
    def malformed_count(self) -> int:
        """Return how many payloads are broken."""
        return int(np.count_nonzero(self.malformed >= 0))

    @property
    def sound(self) -> Readings:
        """Return the readings whose payloads are not broken."""
        return self.readings.take(self.malformed < 0) if self.malformed_count else self.readings

    @property
    def broken(self) -> "FleetBatch":
        """Return the part whose payloads are broken."""
        return self.take(np.flatnonzero(self.malformed >= 0))

    def payloads(self) -> list[bytes]:
        """Return the n JSON payloads, broken ones broken."""
        payloads = encode_readings(self.readings)
        for position in np.flatnonzero(self.malformed >= 0).tolist():
            payloads[position] = MALFORMED[self.malformed[position]].apply(payloads[position])
        return payloads

    def take(self, positions: npt.NDArray[np.integer]) -> "FleetBatch":
        """Return the part at these positions."""
        return FleetBatch(self.readings.take(positions), self.malformed[positions], self.again[positions])


def first_pass(spec: FleetSpec, *, batch_steps_max: int = BATCH_SAMPLES_MAX) -> Iterator[FleetBatch]:
    """Yield every reading once, in batches by time, except those later than HELD_MS_MAX."""
    held = _LateReadings()
    for batch in samples(spec, batch_steps_max=batch_steps_max):
        late_ms = _late_ms(spec, batch)
        order = _order(spec, batch)
        order = order[late_ms[order] == 0]
        malformed = _malformed(spec, batch)
        echoed = batch.faulty(spec, Purpose.ECHO, spec.faults.echoes) & (malformed < 0)
        sent = np.repeat(order, 1 + echoed[order])
        if len(sent):
            yield FleetBatch(batch.readings.take(sent), malformed[sent], np.diff(sent, prepend=-1) == 0)
        held.keep(batch.readings, late_ms)
        yield from held.due(int(batch.readings.event_time_ms.min()))
    yield from held.due(spec.end_ms + HELD_MS_MAX)


def second_pass(spec: FleetSpec) -> Iterator[FleetBatch]:
    """Yield what is sent after the first pass, in other records: very late readings, and duplicates."""
    if not spec.faults.late and not spec.faults.duplicates:
        return
    for batch in samples(spec):
        late_ms, is_sound = _late_ms(spec, batch), _malformed(spec, batch) < 0
        is_again = batch.faulty(spec, Purpose.DUPLICATE, spec.faults.duplicates) & is_sound & (late_ms == 0)
        chosen = np.flatnonzero((late_ms > HELD_MS_MAX) | is_again)
        if len(chosen):
            yield FleetBatch.of_sound(batch.readings.take(chosen), is_again[chosen])


class _LateReadings:
    """Late readings that wait until they are due."""

    def __init__(self) -> None:
        self._held: list[tuple[Int64s, Readings]] = []

    def keep(self, readings: Readings, late_ms: Int64s) -> None:
        """Keep the readings that are late by at most HELD_MS_MAX; `late_ms`: int64[n]."""
        chosen = np.flatnonzero((late_ms > 0) & (late_ms <= HELD_MS_MAX))
        if len(chosen):
            late = readings.take(chosen)
            self._held.append((late.event_time_ms + late_ms[chosen], late))

    def due(self, now_ms: int) -> Iterator[FleetBatch]:
        """Remove and yield those due at `now_ms` of the fleet's time."""
        held, self._held = self._held, []
        for due_ms, readings in held:
            is_due = due_ms <= now_ms
            if is_due.any():
                yield FleetBatch.of_sound(readings.take(is_due))
            if not is_due.all():
                self._held.append((due_ms[~is_due], readings.take(~is_due)))


def _late_ms(spec: FleetSpec, batch: Samples) -> Int64s:
    """Return how late each sample is: int64[n], 0 if in time."""
    is_late = batch.faulty(spec, Purpose.LATE, spec.faults.late)
    if not is_late.any():
        return np.zeros(len(is_late), np.int64)
    drawn = batch.draw(spec, Purpose.LATENESS)
    least_ms = LATE_MS_MIN << noise.below(drawn, _LATE_DOUBLINGS)
    # `below` uses the upper bits; the lower ones are just as random.
    late_ms = least_ms + (drawn & np.uint64(0xFFFF)).astype(np.int64) * least_ms // 0x10000
    return np.where(is_late & (_malformed(spec, batch) < 0), np.minimum(late_ms, LATE_MS_MAX), 0)


def _malformed(spec: FleetSpec, batch: Samples) -> Int64s:
    """Return for each sample the index in MALFORMED of what breaks its payload, or -1: int64[n]."""
    is_malformed = batch.faulty(spec, Purpose.MALFORMED, spec.faults.malformed)
    if not is_malformed.any():
        return np.full(len(is_malformed), -1)
    kind = noise.below(batch.draw(spec, Purpose.MALFORMED_KIND), len(MALFORMED))
    return np.where(is_malformed, kind, -1)


def _order(spec: FleetSpec, batch: Samples) -> Int64s:
    """Return the positions of the samples in the order they are sent: a permutation, int64[n]."""
    order = np.arange(len(batch.number))
    moved = np.flatnonzero(batch.faulty(spec, Purpose.SHUFFLED, spec.faults.shuffled))
    if len(moved):
        order[moved] = moved[np.argsort(batch.draw(spec, Purpose.SHUFFLED_PLACE)[moved])]
    return order
