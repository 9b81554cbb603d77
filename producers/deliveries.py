"""What a simulated fleet sends, in the order it sends it: its readings with their faults."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producers import noise
from producers.faults import MALFORMED
from producers.fleet import FleetSpec, Samples, samples
from producers.noise import Integers, Purpose
from windrow.reading import Readings
from windrow.reading_json import encode_readings


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A batch on its way.

    readings: n samples in the order they are sent; malformed: int64[n], what breaks the payload of each (an index
    of MALFORMED), or -1 for a sound one; repeated: how many of the readings were sent before.
    """

    readings: Readings
    malformed: Integers
    repeated: int = 0

    @property
    def malformed_count(self) -> int:
        """How many payloads are broken."""
        return int(np.count_nonzero(self.malformed >= 0))

    def payloads(self) -> list[bytes]:
        """The JSON payloads, n of them."""
        payloads = encode_readings(self.readings)
        for position in np.flatnonzero(self.malformed >= 0).tolist():
            payloads[position] = MALFORMED[self.malformed[position]].apply(payloads[position])
        return payloads


def deliveries(spec: FleetSpec) -> Iterator[Delivery]:
    """Everything but the late readings, once, in batches by time."""
    for batch in samples(spec):
        order = _order(spec, batch)
        kept = order[~_is_late(spec, batch)[order]]
        if len(kept):
            yield Delivery(batch.readings.take(kept), _malformed(spec, batch)[kept])


def redeliveries(spec: FleetSpec) -> Iterator[Delivery]:
    """What comes after all `deliveries`, in other records: late readings, and others once more."""
    if not spec.faults.late and not spec.faults.duplicates:
        return
    for batch in samples(spec):
        is_late, is_sound = _is_late(spec, batch), _malformed(spec, batch) < 0
        is_again = batch.faulty(spec, Purpose.DUPLICATE, spec.faults.duplicates) & is_sound & ~is_late
        chosen = np.flatnonzero(is_late | is_again)
        if len(chosen):
            sound = np.full(len(chosen), -1)
            yield Delivery(batch.readings.take(chosen), sound, repeated=int(np.count_nonzero(is_again)))


def _is_late(spec: FleetSpec, batch: Samples) -> npt.NDArray[np.bool_]:
    return batch.faulty(spec, Purpose.LATE, spec.faults.late) & (_malformed(spec, batch) < 0)


def _malformed(spec: FleetSpec, batch: Samples) -> Integers:
    """For each sample the index of what breaks its payload, or -1: int64[n]."""
    is_malformed = batch.faulty(spec, Purpose.MALFORMED, spec.faults.malformed)
    if not is_malformed.any():
        return np.full(len(is_malformed), -1)
    kind = noise.below(batch.draw(spec, Purpose.MALFORMED_KIND), len(MALFORMED))
    return np.where(is_malformed, kind, -1)


def _order(spec: FleetSpec, batch: Samples) -> Integers:
    """The positions of the samples in the order they are sent: a permutation, int64[n]."""
    order = np.arange(len(batch.number))
    moved = np.flatnonzero(batch.faulty(spec, Purpose.SHUFFLED, spec.faults.shuffled))
    if len(moved):
        order[moved] = moved[np.argsort(batch.draw(spec, Purpose.SHUFFLED_PLACE)[moved])]
    return order
