"""The lineage as JSON, and the fingerprint of a listing."""

import dataclasses
import json

import pytest

from windrow.rows.lineage import COLUMNS, FORMAT, Lineage, UnreadableLineage, fingerprint
from windrow.rows.united import Delivery, UnitedRange, UnitedSet
from windrow.window import Window

ONCE = Delivery(objects=1, readings=5, late=2)
UNITED = UnitedSet(
    ranges=(
        UnitedRange(first="", fingerprint="a" * 32, digest="b" * 32),
        UnitedRange(first="é", fingerprint="c" * 32, digest="d" * 32),
    ),
    deliveries=(ONCE,),
)

LINEAGE = Lineage(
    window=Window(1_763_633_100_000),
    fingerprint="f" * 32,
    digests=("a" * 32, "b" * 32),
    rows_sha256="c" * 64,
    result_etag='"d"',
    revision=2,
    readings=24_000,
    sensors=800,
    conflicts=1,
    duplicates_removed=30,
    late=4,
    quarantined=5,
    partials=3,
    shards=("s-shardId-000000000000",),
    is_final=False,
    scheduled_time_ms=1_763_633_520_000,
    sensors_sha256="e" * 64,
    sensors_expected=1_000,
    silent=200,
    presence="9" * 32,
    silences_etag="5" * 32,
)


def test_a_lineage_survives_json() -> None:
    """from_json(to_json(x)) == x."""
    assert Lineage.from_json(LINEAGE.to_json()) == LINEAGE


def test_a_lineage_is_one_line_with_the_columns_of_the_table() -> None:
    """Athena's JSON tables want one object per line, and find columns by name."""
    body = LINEAGE.to_json()
    assert body.count(b"\n") == 1
    assert body.endswith(b"\n")
    fields = json.loads(body)
    assert list(fields) == [name for name, _ in COLUMNS]
    assert fields["window_start"] == "2025-11-20 10:05:00.000"
    assert fields["window_end"] == "2025-11-20 10:10:00.000"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", LINEAGE.to_json().replace(b'"revision"', b'"x"')])
def test_anything_else_is_unreadable(body: bytes) -> None:
    """A damaged lineage raises; nothing is guessed."""
    with pytest.raises(UnreadableLineage):
        Lineage.from_json(body)


def test_a_lineage_of_another_format_is_refused() -> None:
    """A format of the future is named, not misread."""
    fields = json.loads(LINEAGE.to_json()) | {"format": FORMAT + 1}
    with pytest.raises(UnreadableLineage, match=f"format {FORMAT + 1}"):
        Lineage.from_json(json.dumps(fields).encode())


def test_fingerprints_name_sets_of_digests() -> None:
    """Order and repetition do not matter; every digest does."""
    assert fingerprint(["a", "b"]) == fingerprint(["b", "a", "b"])
    assert len({fingerprint(d) for d in ([], ["a"], ["b"], ["a", "b"], ["ab"])}) == 5


def test_every_field_reaches_the_json() -> None:
    """A field that is changed changes the JSON."""
    for field in dataclasses.fields(Lineage):
        value = getattr(LINEAGE, field.name)
        other = {str: "z", int: 7, bool: True, tuple: ("z",), Window: Window(0), type(None): UNITED}[type(value)]
        assert dataclasses.replace(LINEAGE, **{field.name: other}).to_json() != LINEAGE.to_json()


def test_united_set_survives_and_takes_no_place_where_there_is_none() -> None:
    """With it the lineage reads as it was written; without it, its bytes are those of before."""
    united = dataclasses.replace(LINEAGE, united=dataclasses.replace(UNITED, deliveries=(ONCE,) * len(LINEAGE.digests)))
    assert Lineage.from_json(united.to_json()) == united
    assert b"united" not in LINEAGE.to_json()


def test_united_set_of_other_digests_is_refused() -> None:
    """A lineage that says how more or fewer partials were delivered than it names is not believed."""
    for deliveries in ((), (ONCE,) * (len(LINEAGE.digests) + 1)):
        other = dataclasses.replace(LINEAGE, united=dataclasses.replace(UNITED, deliveries=deliveries))
        with pytest.raises(UnreadableLineage, match="deliveries"):
            Lineage.from_json(other.to_json())


def test_completeness_is_what_was_heard_of_what_was_expected() -> None:
    """Unknown until the silence is computed, and if no sensor was expected; half of them or more is no outage."""
    assert json.loads(LINEAGE.to_json())["completeness"] == LINEAGE.completeness == 0.8
    for expected in (None, 0):
        unknown = dataclasses.replace(LINEAGE, sensors_expected=expected)
        assert (unknown.completeness, unknown.is_outage) == (None, False)
        assert Lineage.from_json(unknown.to_json()) == unknown
    assert not dataclasses.replace(LINEAGE, sensors_expected=1_600).is_outage
    assert dataclasses.replace(LINEAGE, sensors_expected=1_601).is_outage
