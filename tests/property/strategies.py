"""Hypothesis strategies for readings, made so that duplicates, conflicts and window edges are common."""

from dataclasses import replace

from hypothesis import strategies as st

from windrow.quantities import (
    MILLI_MAX,
    MILLI_MIN,
    SEPARATOR,
    TEMPERATURE,
    TEMPERATURE_MAX_MILLI,
    TEMPERATURE_MIN_MILLI,
    Quantity,
)
from windrow.reading import SEQUENCE_MAX, Reading
from windrow.window import WINDOW_MS

FIRST_WINDOW_MS = 1_763_640_300_000

# Ids that are hostile to keys, to sorting and to fixed-width columns, among plain ones.
sensor_ids = st.one_of(
    st.sampled_from(
        ["a", "b", "a~", "a\u00a0", "../../x", "'; --", "\u202eabc", "é", "e\u0301", "x" * 128, "日本" * 64]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128),
)
# U+0000 to U+001F and U+007F to U+009F, Unicode's category Cc, are no part of an id.
control_characters = st.sampled_from([chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))])
# Ids, and what is none: of no length, too long, or with a control character or more at any place, but no series.
alleged_sensor_ids = st.one_of(
    sensor_ids,
    st.sampled_from(["", "x" * 129, "é" * 129]),
    st.lists(st.one_of(st.sampled_from(["a", "~", "\u00a0", "日"]), control_characters), max_size=9).map("".join),
).filter(lambda text: text.count(SEPARATOR) != 2)
_offsets_ms = st.one_of(
    st.sampled_from([0, 1, WINDOW_MS - 1, WINDOW_MS, WINDOW_MS + 1, 2 * WINDOW_MS - 1]),
    st.integers(0, 3 * WINDOW_MS),
)
_sequences = st.one_of(st.sampled_from([0, 0, 0, 1, SEQUENCE_MAX]), st.integers(0, SEQUENCE_MAX))
values_milli = st.one_of(
    st.sampled_from([0, -1, 499, 500, TEMPERATURE_MIN_MILLI, TEMPERATURE_MAX_MILLI]),
    st.integers(TEMPERATURE_MIN_MILLI, TEMPERATURE_MAX_MILLI),
)


_names = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True).filter(lambda name: name != "temperature")
_units = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=32).filter(
    lambda unit: not unit.startswith(" ") and not unit.endswith(" ")
)
quantities = st.one_of(
    st.sampled_from(
        [TEMPERATURE, TEMPERATURE, Quantity("humidity", "%"), Quantity("humidity", "1"), Quantity("co2", "ppm")]
    ),
    st.builds(Quantity, _names, _units),
)
# What only other quantities have: thousandths up to the limits of 32 bits.
wide_values_milli = st.one_of(
    st.sampled_from([MILLI_MIN, MILLI_MIN + 1, MILLI_MAX - 1, MILLI_MAX]), st.integers(MILLI_MIN, MILLI_MAX)
)


def readings(*, windows: int = 3) -> st.SearchStrategy[Reading]:
    """One reading of a small world: few sensors and quantities, few instants, so that identities repeat."""
    return quantities.flatmap(
        lambda quantity: st.builds(
            Reading,
            sensor_id=sensor_ids,
            event_time_ms=_offsets_ms.map(lambda offset: FIRST_WINDOW_MS + offset % (windows * WINDOW_MS)),
            sequence=_sequences,
            value_milli=values_milli if quantity == TEMPERATURE else st.one_of(values_milli, wide_values_milli),
            quantity=st.just(quantity),
        )
    )


def batches(*, windows: int = 3, max_size: int = 60) -> st.SearchStrategy[list[Reading]]:
    """A multiset of readings, some of them again and some of them with another value."""
    return st.lists(readings(windows=windows), max_size=max_size).flatmap(_with_repeats)


def _with_repeats(readings: list[Reading]) -> st.SearchStrategy[list[Reading]]:
    if not readings:
        return st.just(readings)
    repeats = st.lists(st.tuples(st.sampled_from(readings), st.one_of(st.none(), values_milli)), max_size=20)
    return repeats.map(lambda pairs: readings + [_again(reading, value) for reading, value in pairs])


def _again(reading: Reading, value_milli: int | None) -> Reading:
    value = reading.value_milli if value_milli is None else value_milli
    return replace(reading, value_milli=value)
