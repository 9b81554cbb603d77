"""A simulated fleet: its readings are a pure function of its spec.

Sensor i belongs to site `i % sites` and samples once every `interval_ms`, at its own phase and with a little jitter.
Its temperature is its site's climate (mean, daily swing, weather) plus its own bias, slow drift and autocorrelated
noise, rounded to its resolution. Samples are numbered from the epoch, and the number is the reading's sequence; with
several quantities a sample gives a reading of each. So a part of the time range gives exactly that part of the
readings, and runs of one seed agree where they overlap.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from producers import noise
from producers.faults import Faults
from producers.measured import SIMULATED, measured_milli, series_of_sensors
from producers.noise import Purpose, draw, keys_of
from windrow.columns.arrays import Int64s, Words
from windrow.columns.strings import Strings, offsets_of
from windrow.period import HOUR_MS
from windrow.reading import Readings
from windrow.timestamps import INSTANT_MS_MAX

SENSORS_MAX = 1_000_000
SITES_MAX = 100
INTERVAL_MS_MAX = 24 * 3_600_000
SEED_MAX = 2**63 - 1
RESOLUTION_MILLI_MAX = 10_000
# Bounds a batch's memory: a sample takes about 300 bytes while it is made.
BATCH_SAMPLES_MAX = 65_536

# How long a sensor is silent or stuck, and how wrong its clock may be: less than a reading may be early.
DROPOUT_MS = 600_000
STUCK_MS = 900_000
SKEW_MS_MAX = 120_000
SPIKE_MILLI_MIN, SPIKE_MILLI_MAX = 20_000, 80_000

_JITTER_PART = 10  # a sample comes up to a tenth of the interval after its time
_DAY_MINUTES = 1_440
_MINUTE_MS = 60_000
_SWING_UNIT = 1_000_000
# One day of a cosine that peaks in the first minute, in millionths.
_SWING = np.array(
    [round(_SWING_UNIT * math.cos(2 * math.pi * minute / _DAY_MINUTES)) for minute in range(_DAY_MINUTES)], np.int64
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """A fleet over `start_ms <= event time < end_ms`; raises ValueError naming the field that is out of bounds."""

    seed: int
    sensors: int
    start_ms: int
    end_ms: int
    interval_ms: int = 10_000
    sites: int = 10
    resolution_milli: int = 10
    quantities: tuple[str, ...] = ("temperature",)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        """Check every field against its bounds."""
        _check("seed", self.seed, 0, SEED_MAX)
        _check("sensors", self.sensors, 1, SENSORS_MAX)
        _check("sites", self.sites, 1, SITES_MAX)
        _check("interval_ms", self.interval_ms, 1, INTERVAL_MS_MAX)
        _check("resolution_milli", self.resolution_milli, 1, RESOLUTION_MILLI_MAX)
        _check("start_ms", self.start_ms, 0, INSTANT_MS_MAX)
        _check("end_ms", self.end_ms, self.start_ms + 1, INSTANT_MS_MAX)
        if not self.quantities or self.quantities != tuple(name for name in SIMULATED if name in self.quantities):
            raise ValueError(f"quantities must be some of {', '.join(SIMULATED)}, each once, in this order")

    @property
    def samples_expected(self) -> int:
        """Return about how many readings the fleet takes: exact to one sample per sensor."""
        return len(self.quantities) * self.sensors * max(1, (self.end_ms - self.start_ms) // self.interval_ms)

    def to_json(self) -> dict[str, Any]:
        """Return the fields in JSON's types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Make the spec that `to_json` gave; ValueError for a field that is missing, unknown or out of bounds."""
        try:
            quantities = tuple(fields.get("quantities", ("temperature",)))
            return cls(**{**fields, "quantities": quantities, "faults": Faults(**fields["faults"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the spec of a fleet: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n readings of samples, including those sent malformed, ordered by step, then by sensor, then by quantity.

    readings: what was measured; number: int64[n], the sensor's number in the fleet; step: int64[n], the number of the
    sensor's sample since the epoch.
    """

    readings: Readings
    number: Int64s
    step: Int64s

    def faulty(self, spec: FleetSpec, purpose: Purpose, rate: float) -> npt.NDArray[np.bool_]:
        """Return which samples the fault of this `purpose` happens to: bool[n]."""
        if not rate:
            return np.zeros(len(self.number), bool)
        return noise.happens(self.draw(spec, purpose), rate)

    def draw(self, spec: FleetSpec, purpose: Purpose) -> Words:
        """Return 64 random bits for each sample: uint64[n]."""
        return draw(keys_of(spec.seed, purpose, self.number), self.step)


def readings(spec: FleetSpec, *, batch_samples_max: int = BATCH_SAMPLES_MAX) -> Iterator[Readings]:
    """Yield the truth: every reading that must count, exactly once, in batches of at most `batch_samples_max`.

    Readings whose payload is sent malformed are left out. The concatenation of the batches does not depend on their
    size, and `dataclasses.replace(spec, start_ms=..., end_ms=...)` gives the truth of a part.
    """
    for batch in samples(spec, batch_samples_max=batch_samples_max):
        is_malformed = batch.faulty(spec, Purpose.MALFORMED, spec.faults.malformed)
        yield batch.readings.take(~is_malformed) if is_malformed.any() else batch.readings


def samples(
    spec: FleetSpec, *, batch_samples_max: int = BATCH_SAMPLES_MAX, batch_steps_max: int = BATCH_SAMPLES_MAX
) -> Iterator[Samples]:
    """Yield all samples of the fleet, step by step, in batches that are not empty."""
    # Phase and jitter put a sample less than 2 intervals after its step; a wrong clock moves it by up to SKEW_MS_MAX.
    skew_ms_max = SKEW_MS_MAX if spec.faults.skewed else 0
    first_step = max(0, (spec.start_ms - skew_ms_max) // spec.interval_ms - 1)
    end_step = (spec.end_ms + skew_ms_max - 1) // spec.interval_ms + 1
    sensors_max = max(1, batch_samples_max // len(spec.quantities))
    groups = [
        _Group(spec, first, min(first + sensors_max, spec.sensors)) for first in range(0, spec.sensors, sensors_max)
    ]
    steps_per_batch = max(1, min(batch_steps_max, sensors_max // spec.sensors))
    for step in range(first_step, end_step, steps_per_batch):
        steps = np.arange(step, min(step + steps_per_batch, end_step), dtype=np.int64)
        for group in groups:
            batch = group.samples(steps)
            if len(batch.number):
                yield batch


class _Group:
    """The constants of the sensors from `first` to `end` - 1, one entry per sensor."""

    def __init__(self, spec: FleetSpec, first: int, end: int) -> None:
        self._spec = spec
        self._number = np.arange(first, end, dtype=np.int64)
        site = self._number % spec.sites
        self._ids = series_of_sensors(_sensor_ids(site, self._number), spec.quantities)
        self._phase_ms = noise.below(self._constant(Purpose.PHASE, self._number), spec.interval_ms)
        self._mean = 6_000 + noise.below(self._constant(Purpose.SITE_MEAN, site), 12_000)
        self._swing = 2_000 + noise.below(self._constant(Purpose.SITE_SWING, site), 6_000)
        self._warmest_minute = 720 + noise.below(self._constant(Purpose.SITE_NOON, site), 240)
        self._bias = noise.normal(self._constant(Purpose.BIAS, self._number), 300)
        self._weather_keys = keys_of(spec.seed, Purpose.WEATHER, site)
        self._drift_keys = keys_of(spec.seed, Purpose.DRIFT, self._number)
        self._grain_keys = keys_of(spec.seed, Purpose.GRAIN, self._number)
        self._jitter_keys = keys_of(spec.seed, Purpose.JITTER, self._number)
        is_skewed = noise.happens(self._constant(Purpose.SKEWED, self._number), spec.faults.skewed)
        skew_ms = noise.below(self._constant(Purpose.SKEW, self._number), 2 * SKEW_MS_MAX + 1) - SKEW_MS_MAX
        self._skew_ms = np.where(is_skewed, skew_ms, 0)

    def _constant(self, purpose: Purpose, entities: Int64s) -> Words:
        return draw(keys_of(self._spec.seed, purpose, entities), np.zeros(1, np.int64))

    def samples(self, steps: Int64s) -> Samples:
        """Return the samples of these sensors at `steps`, int64[s], that are in the spec's range."""
        spec = self._spec
        rows = steps[:, np.newaxis]
        jitter_ms = noise.below(draw(self._jitter_keys, rows), max(1, spec.interval_ms // _JITTER_PART))
        times_ms = rows * spec.interval_ms + self._phase_ms + jitter_ms + self._skew_ms
        is_there = (times_ms >= spec.start_ms) & (times_ms < spec.end_ms)
        if spec.faults.dropout:
            is_there &= ~self._happens(Purpose.DROPOUT, slice(None), times_ms // DROPOUT_MS, spec.faults.dropout)
        row, sensor = np.nonzero(is_there)
        event_time_ms, step = times_ms[row, sensor], steps[row]
        value_milli = measured_milli(self._reported(sensor, step, event_time_ms), spec.quantities)
        each = len(spec.quantities)
        if each > 1:
            sensor, event_time_ms, step = (np.repeat(column, each) for column in (sensor, event_time_ms, step))
        readings = Readings(
            sensor_ids=self._ids,
            sensor=(sensor * each + np.arange(len(sensor)) % each).astype(np.int32),
            event_time_ms=event_time_ms,
            sequence=step,
            value_milli=value_milli,
        )
        return Samples(readings, self._number[sensor], step)

    def _happens(
        self, purpose: Purpose, sensor: npt.NDArray[np.intp] | slice, counter: Int64s, rate: float
    ) -> npt.NDArray[np.bool_]:
        """Return which of these the fault of this `purpose` happens to: bool, in the shape of `counter`."""
        return noise.happens(draw(keys_of(self._spec.seed, purpose, self._number[sensor]), counter), rate)

    def _reported(self, sensor: npt.NDArray[np.intp], step: Int64s, times_ms: Int64s) -> npt.NDArray[np.int32]:
        """Return what each sensor reports at each time, right or wrong: int32; all arguments have one length."""
        faults = self._spec.faults
        if faults.stuck:
            slot = times_ms // STUCK_MS
            is_stuck = self._happens(Purpose.STUCK, sensor, slot, faults.stuck)
            times_ms = np.where(is_stuck, slot * STUCK_MS, times_ms)
            step = np.where(is_stuck, times_ms // self._spec.interval_ms, step)
        shown = self._temperatures(sensor, step, times_ms)
        if faults.spikes:
            is_spike = self._happens(Purpose.SPIKE, sensor, step, faults.spikes)
            size = draw(keys_of(self._spec.seed, Purpose.SPIKE_SIZE, self._number[sensor]), step)
            height = SPIKE_MILLI_MIN + noise.below(size, SPIKE_MILLI_MAX - SPIKE_MILLI_MIN)
            shown = shown + np.where(is_spike, np.where(size & np.uint64(1), height, -height), 0)
        return shown.astype(np.int32)

    def _temperatures(self, sensor: npt.NDArray[np.intp], step: Int64s, times_ms: Int64s) -> Int64s:
        """Return the true temperature at each sensor and time, in m°C: int64; all arguments have one length."""
        resolution = self._spec.resolution_milli
        weather = noise.smooth(self._weather_keys[sensor], times_ms, period_ms=6 * HOUR_MS, deviation=2_500)
        drift = noise.smooth(self._drift_keys[sensor], times_ms, period_ms=HOUR_MS, deviation=200)
        grain = noise.autocorrelated(self._grain_keys[sensor], step, 60)
        daily = self._swing[sensor] * _swing_at(times_ms - self._warmest_minute[sensor] * _MINUTE_MS) // _SWING_UNIT
        exact = self._mean[sensor] + daily + weather + self._bias[sensor] + drift + grain
        rounded: Int64s = (exact + resolution // 2) // resolution * resolution
        return rounded


def _swing_at(since_warmest_ms: Int64s) -> Int64s:
    """Return the daily cycle in millionths, linear between full minutes."""
    minutes, within_ms = np.divmod(since_warmest_ms, _MINUTE_MS)
    here: Int64s = _SWING[minutes % _DAY_MINUTES]
    there: Int64s = _SWING[(minutes + 1) % _DAY_MINUTES]
    return here + (there - here) * within_ms // _MINUTE_MS


def _sensor_ids(site: Int64s, number: Int64s) -> Strings:
    """Return ids such as site-07/sensor-000123; the limits on sites and sensors give all of them one length."""
    pattern = b"site-00/sensor-000000"
    octets = np.tile(np.frombuffer(pattern, np.uint8), (len(number), 1))
    for counted, digits, last in ((site, 2, pattern.index(b"/") - 1), (number, 6, len(pattern) - 1)):
        for digit in range(digits):
            octets[:, last - digit] += (counted // 10**digit % 10).astype(np.uint8)
    return Strings(offsets_of(np.full(len(number), len(pattern), np.int64)), octets.ravel())


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
