"""The fleet: a pure function of its spec, the same on every machine and for every cut."""

import dataclasses
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from producers import noise
from producers.faults import MALFORMED, Faults, Malformation
from producers.fleet import (
    DROPOUT_MS,
    SENSORS_MAX,
    SKEW_MS_MAX,
    SPIKE_MILLI_MAX,
    SPIKE_MILLI_MIN,
    STUCK_MS,
    FleetSpec,
    readings,
)
from producers.measured import SIMULATED
from windrow.quantities import TEMPERATURE
from windrow.reading import EARLINESS_MS_MAX, BadReading, Reading, Readings
from windrow.window import WINDOW_MS, windows_between
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import parse_reading

START_MS = 1_763_640_000_000
SPEC = FleetSpec(
    seed=7,
    sensors=23,
    sites=4,
    interval_ms=7_000,
    start_ms=START_MS,
    end_ms=START_MS + 2 * WINDOW_MS,
    faults=Faults(malformed=0.05, duplicates=0.1, late=0.1, shuffled=0.5),
)


def flat(batches: Iterable[Readings]) -> list[Reading]:
    return [reading for batch in batches for reading in batch]


def test_a_seed_means_the_same_readings_on_every_machine_and_in_every_version() -> None:
    """The digest is part of the format of a seed: manifests in lakes rely on it."""
    rows = [f"{r.sensor_id},{r.event_time_ms},{r.sequence},{r.value_milli}" for r in flat(readings(SPEC))]
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    assert digest == "a79e3b42cd0a559c234eb1c9a4fdfe534fc7a665fec76b9674bc5f3f898e9393"


@pytest.mark.slow
@pytest.mark.parametrize("batch_samples_max", [1, 5, 23, 24, 100])
def test_the_readings_do_not_depend_on_the_size_of_batches(batch_samples_max: int) -> None:
    """However the samples are cut into batches, the same readings come in the same order."""
    batches = list(readings(SPEC, batch_samples_max=batch_samples_max))
    assert flat(batches) == flat(readings(SPEC))
    assert max(map(len, batches)) <= batch_samples_max


def test_a_part_of_the_time_has_exactly_that_part_of_the_readings() -> None:
    """The truth of one window can be made without the others."""
    whole = flat(readings(SPEC))
    for window in windows_between(SPEC.start_ms, SPEC.end_ms):
        part = dataclasses.replace(SPEC, start_ms=window.start_ms, end_ms=window.end_ms)
        inside = [reading for reading in whole if window.start_ms <= reading.event_time_ms < window.end_ms]
        assert flat(readings(part)) == inside


def test_more_sensors_leave_the_others_as_they_were() -> None:
    """A sensor's readings depend on its own number only."""
    spec = dataclasses.replace(SPEC, faults=Faults())
    more = dataclasses.replace(spec, sensors=40)
    ours = {reading.sensor_id for reading in flat(readings(spec))}
    assert [reading for reading in flat(readings(more)) if reading.sensor_id in ours] == flat(readings(spec))


def test_another_seed_is_another_fleet() -> None:
    """Nothing of the times or temperatures is shared."""
    other = dataclasses.replace(SPEC, seed=8)
    assert not set(flat(readings(SPEC))) & set(flat(readings(other)))


@pytest.mark.slow
def test_cutting_the_time_at_any_reading_loses_and_doubles_none() -> None:
    """Half-open at both ends, and samples that come late after their step are found from any start."""
    whole = flat(readings(SPEC))
    cuts_ms = sorted({SPEC.start_ms, SPEC.end_ms, *(reading.event_time_ms for reading in whole[::9])})
    parts = [
        dataclasses.replace(SPEC, start_ms=start_ms, end_ms=end_ms) for start_ms, end_ms in itertools.pairwise(cuts_ms)
    ]
    assert Counter(reading for part in parts for reading in flat(readings(part))) == Counter(whole)


def test_every_reading_is_in_the_range_and_identities_are_distinct() -> None:
    """Half-open: the start belongs to it, the end does not."""
    all_of_them = flat(readings(SPEC))
    assert all(SPEC.start_ms <= reading.event_time_ms < SPEC.end_ms for reading in all_of_them)
    assert len({(r.sensor_id, r.event_time_ms, r.sequence) for r in all_of_them}) == len(all_of_them)


def test_a_sensor_samples_in_sequence_at_its_interval() -> None:
    """Times ascend with the sequence; two samples are an interval apart, to a tenth."""
    spec = dataclasses.replace(SPEC, faults=Faults())
    mine = [reading for reading in flat(readings(spec)) if reading.sensor_id == "site-03/sensor-000007"]
    steps = np.diff([reading.sequence for reading in mine])
    gaps_ms = np.diff([reading.event_time_ms for reading in mine])
    assert set(steps) == {1}
    assert gaps_ms.min() > spec.interval_ms * 0.9
    assert gaps_ms.max() < spec.interval_ms * 1.1


@pytest.mark.slow
def test_sensor_ids_name_site_and_sensor() -> None:
    """Site i % sites, with leading zeros, up to the last of a million."""
    spec = dataclasses.replace(SPEC, sensors=SENSORS_MAX, sites=100, end_ms=START_MS + 10, faults=Faults())
    some = {reading.sensor_id for reading in flat(readings(spec))}
    assert some
    for sensor_id in some:
        site, sensor = sensor_id.removeprefix("site-").split("/sensor-")
        assert (len(site), len(sensor)) == (2, 6)
        assert int(site) == int(sensor) % 100


def test_temperatures_are_those_of_a_climate() -> None:
    """Over a day a sensor swings by some degrees, in steps of its resolution, within what a planet offers."""
    spec = FleetSpec(
        seed=1, sensors=50, start_ms=START_MS, end_ms=START_MS + 86_400_000, interval_ms=600_000, resolution_milli=250
    )
    columns = Readings.concat(list(readings(spec)))
    values = columns.value_milli
    assert not (values % 250).any()
    assert values.min() > -30_000
    assert values.max() < 60_000
    swings = [np.ptp(values[columns.sensor == sensor]) for sensor in range(50)]
    assert min(swings) > 2_000
    site_means = [values[columns.sensor % 10 == site].mean() for site in range(10)]
    assert np.ptp(site_means) > 1_000


def test_the_truth_leaves_out_what_was_malformed_and_nothing_else() -> None:
    """Duplicates, lateness and order do not touch it."""
    clean = flat(readings(dataclasses.replace(SPEC, faults=Faults())))
    truth = flat(readings(SPEC))
    assert set(truth) < set(clean)
    assert 0.02 < 1 - len(truth) / len(clean) < 0.1
    assert flat(readings(dataclasses.replace(SPEC, faults=Faults(duplicates=1.0, late=1.0, shuffled=1.0)))) == clean
    assert flat(readings(dataclasses.replace(SPEC, faults=Faults(malformed=1.0)))) == []


FAULTY = dataclasses.replace(SPEC, sensors=200, faults=Faults(dropout=0.2, stuck=0.2, spikes=0.02, skewed=0.3))


@pytest.mark.slow
def test_with_faulty_sensors_a_part_of_the_time_still_has_exactly_that_part() -> None:
    """Silent, stuck and skewed sensors too: a window's truth does not depend on where a range is cut."""
    whole = flat(readings(FAULTY))
    middle_ms = FAULTY.start_ms + 247_003
    parts = [(FAULTY.start_ms, middle_ms), (middle_ms, FAULTY.end_ms)]
    cut = [
        flat(readings(dataclasses.replace(FAULTY, start_ms=start_ms, end_ms=end_ms), batch_samples_max=37))
        for start_ms, end_ms in parts
    ]
    assert Counter(cut[0] + cut[1]) == Counter(whole)
    assert all(one.event_time_ms < middle_ms for one in cut[0])


@pytest.mark.slow
def test_a_silent_sensor_is_missing_for_ten_minutes() -> None:
    """The others are untouched."""
    clean, silent = (
        flat(readings(dataclasses.replace(FAULTY, end_ms=FAULTY.start_ms + 3_600_000, faults=faults)))
        for faults in (Faults(), Faults(dropout=0.2))
    )
    assert set(silent) < set(clean)
    missing = {(one.sensor_id, one.event_time_ms // DROPOUT_MS) for one in set(clean) - set(silent)}
    assert not missing & {(one.sensor_id, one.event_time_ms // DROPOUT_MS) for one in silent}
    assert 0.1 < 1 - len(silent) / len(clean) < 0.3


def test_a_stuck_sensor_repeats_one_value() -> None:
    """For as long as it is stuck; about as many as the rate says."""
    values: dict[tuple[str, int], set[int]] = {}
    for one in flat(readings(dataclasses.replace(FAULTY, resolution_milli=1, faults=Faults(stuck=0.3)))):
        values.setdefault((one.sensor_id, one.event_time_ms // STUCK_MS), set()).add(one.value_milli)
    assert 0.2 < sum(len(told) == 1 for told in values.values()) / len(values) < 0.4


def test_a_spike_is_far_from_what_was_measured() -> None:
    """Either way; all other readings are as they were."""
    clean, spiked = (
        {(one.sensor_id, one.sequence): one.value_milli for one in flat(readings(spec))}
        for spec in (dataclasses.replace(FAULTY, faults=faults) for faults in (Faults(), Faults(spikes=0.05)))
    )
    off = [spiked[which] - value for which, value in clean.items() if spiked[which] != value]
    assert 0.03 < len(off) / len(clean) < 0.07
    assert all(SPIKE_MILLI_MIN <= abs(height) < SPIKE_MILLI_MAX for height in off)
    assert min(off) < 0 < max(off)


@pytest.mark.slow
def test_a_wrong_clock_shifts_all_times_of_its_sensor() -> None:
    """By one amount, below what a reading may be early."""
    hour = dataclasses.replace(FAULTY, start_ms=START_MS - 600_000, end_ms=START_MS + 600_000, faults=Faults())
    clean, skewed = (
        {(one.sensor_id, one.sequence): one.event_time_ms for one in flat(readings(spec))}
        for spec in (hour, dataclasses.replace(hour, faults=Faults(skewed=0.5)))
    )
    shifts: dict[str, set[int]] = {}
    for which in clean.keys() & skewed.keys():
        shifts.setdefault(which[0], set()).add(skewed[which] - clean[which])
    assert all(len(told) == 1 for told in shifts.values())
    wrong = [shift for told in shifts.values() for shift in told if shift]
    assert 0.4 < len(wrong) / len(shifts) < 0.6
    assert -SKEW_MS_MAX <= min(wrong) < 0 < max(wrong) <= SKEW_MS_MAX < EARLINESS_MS_MAX


def test_the_noise_of_a_sensor_remembers_its_last_steps() -> None:
    """An AR(1) process with the coefficient 1/2: neighbours correlate by half, those three steps away by an eighth."""
    keys = noise.keys_of(1, noise.Purpose.GRAIN, np.arange(200))[:, np.newaxis]
    drawn = noise.autocorrelated(keys, np.arange(500)[np.newaxis], 60).astype(float)
    assert abs(drawn.std() - 60) < 3
    for apart, expected in ((1, 0.5), (2, 0.25), (3, 0.125), (6, 0.0)):
        correlation = np.mean(drawn[:, apart:] * drawn[:, :-apart]) / drawn.var()
        assert abs(correlation - expected) < 0.05


def test_a_spec_survives_json() -> None:
    """What the manifest stores is the spec itself, rates and all."""
    assert FleetSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


@pytest.mark.parametrize("damage", [{"colour": 1}, {"faults": {"plague": 0.1}}, {"faults": 3}, {"sensors": 0}])
def test_a_spec_that_we_do_not_understand_is_refused(damage: dict[str, Any]) -> None:
    """A manifest of another version must not be read as a smaller fleet."""
    with pytest.raises(ValueError, match=r"spec of a fleet|sensors"):
        FleetSpec.from_json({**SPEC.to_json(), **damage})


@pytest.mark.parametrize(
    "fields",
    [
        {"sensors": 0},
        {"sensors": SENSORS_MAX + 1},
        {"sites": 0},
        {"sites": 101},
        {"interval_ms": 0},
        {"seed": -1},
        {"end_ms": START_MS},
        {"start_ms": -1},
        {"resolution_milli": 0},
    ],
)
def test_a_fleet_that_cannot_be_is_refused_by_name(fields: dict[str, int]) -> None:
    """The error names the field."""
    name = next(iter(fields))
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(SPEC, **fields)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_that_is_none_is_refused_by_name(rate: float) -> None:
    """NaN is not a rate either."""
    with pytest.raises(ValueError, match="late"):
        Faults(late=rate)


@pytest.mark.slow
def test_several_quantities_are_readings_of_the_same_samples() -> None:
    """Under one time and one number; the temperatures are those of the fleet that measures nothing else."""
    several = dataclasses.replace(SPEC, quantities=("temperature", "humidity", "pressure"))
    found = flat(readings(several))
    assert [one for one in found if one.quantity == TEMPERATURE] == flat(readings(SPEC))
    identities = [{(r.sensor_id, r.event_time_ms, r.sequence) for r in found[place::3]} for place in range(3)]
    assert identities[0] == identities[1] == identities[2]
    assert [one.quantity.name for one in found[:3]] == ["temperature", "humidity", "pressure"]
    assert len({one.value_milli for one in found[:3]}) == 3
    assert flat(readings(several, batch_samples_max=7)) == found
    assert FleetSpec.from_json(json.loads(json.dumps(several.to_json()))) == several
    assert several.samples_expected == 3 * SPEC.samples_expected


@pytest.mark.parametrize("quantities", [(), ("humidity", "temperature"), ("humidity", "humidity"), ("noise",)])
def test_quantities_that_nobody_simulates_are_refused(quantities: tuple[str, ...]) -> None:
    """In one order only, so that equal fleets are equal specs."""
    with pytest.raises(ValueError, match="quantities must be some of temperature, humidity, pressure"):
        dataclasses.replace(SPEC, quantities=quantities)


@pytest.mark.parametrize("broken", MALFORMED, ids=[one.name for one in MALFORMED])
@pytest.mark.parametrize("name", SIMULATED)
def test_every_malformation_breaks_a_payload_of_every_quantity(name: str, broken: Malformation) -> None:
    """Or the truth of a fleet would lack a reading that counts; two are sound, and too late or too early."""
    one = Reading("site-01/sensor-000001", START_MS, 7, 21_437, SIMULATED[name][0])
    (payload,) = encode_readings(Readings.of([one]))
    if broken.name in {"a time long past", "a time far ahead"}:
        assert abs(parse_reading(broken.apply(payload)).event_time_ms - START_MS) > 400 * 86_400_000
        return
    with pytest.raises(BadReading):
        parse_reading(broken.apply(payload))
