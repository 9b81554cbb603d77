"""Keys: made and parsed in one place, and nothing of a reading in them."""

import pytest

from windrow.lake import layout
from windrow.lake.layout import MarkerKey, Origin, PartialKey, QuarantineKey, SilenceMarkerKey, UnionKey
from windrow.window import Window

WINDOW = Window(1_763_633_100_000)  # 2025-11-20 10:05 UTC
DIGEST = "0123456789abcdef" * 2
ORIGIN = Origin(stream="fleet-dev.v1", shard="shardId-000000000003", first=49590338, last=4959033827149025608555969)


def test_keys_are_as_documented() -> None:
    """The layout is public: people and lifecycle rules read it."""
    origin = "fleet-dev.v1-shardId-000000000003-49590338-4959033827149025608555969"
    partial = PartialKey(window=WINDOW, origin=ORIGIN, digest=DIGEST)
    bad = QuarantineKey(window=WINDOW, origin=ORIGIN, count=3, digest=DIGEST)
    assert str(partial) == f"partials/dt=2025-11-20/hour=10/1005-{origin}-{DIGEST}.parquet"
    assert str(bad) == f"quarantine/dt=2025-11-20/hour=10/1005-{origin}-3-{DIGEST}.jsonl.gz"
    united = UnionKey(window=WINDOW, fingerprint=DIGEST[::-1], digest=DIGEST)
    assert str(united) == f"unions/dt=2025-11-20/hour=10/1005-{DIGEST[::-1]}-{DIGEST}.parquet"
    assert layout.held_key(WINDOW, DIGEST[::-1], DIGEST) == str(united).replace("unions/", "held/")
    assert str(united).startswith(layout.unions_prefix(WINDOW))
    assert str(MarkerKey(window=WINDOW, digest=DIGEST)) == f"markers/dt=2025-11-20/hour=10/1005/{DIGEST}"
    of_silence = SilenceMarkerKey(window=WINDOW, digest=DIGEST)
    assert str(of_silence) == f"markers/silences/dt=2025-11-20/hour=10/1005/{DIGEST}"
    assert layout.rows_key(WINDOW) == "aggregates/dt=2025-11-20/hour=10/1005.parquet"
    assert layout.lineage_key(WINDOW) == "windows/dt=2025-11-20/hour=10/1005.json"
    assert layout.contract_key(DIGEST) == f"contracts/{DIGEST}.json"
    assert layout.hour_prefix(layout.PARTIALS, WINDOW.start_ms) == "partials/dt=2025-11-20/hour=10/"


def test_parsing_is_the_inverse_of_formatting() -> None:
    """Parsing a key gives the values it was made from."""
    partial = PartialKey(window=WINDOW, origin=ORIGIN, digest=DIGEST)
    bad = QuarantineKey(window=WINDOW, origin=ORIGIN, count=3, digest=DIGEST)
    marker = MarkerKey(window=WINDOW, digest=DIGEST)
    united = UnionKey(window=WINDOW, fingerprint=DIGEST[::-1], digest=DIGEST)
    assert layout.parse_union_key(str(united)) == united
    assert layout.parse_partial_key(str(partial)) == partial
    assert layout.parse_quarantine_key(str(bad)) == bad
    assert layout.parse_marker_key(str(marker)) == marker
    of_silence = SilenceMarkerKey(window=WINDOW, digest=DIGEST)
    assert layout.parse_silence_marker_key(str(of_silence)) == of_silence
    assert layout.parse_window_prefix(f"{layout.partials_prefix(WINDOW)}{layout.WINDOW_MARK}") == WINDOW
    assert layout.parse_result_key(layout.rows_key(WINDOW)) == WINDOW
    assert layout.parse_result_key(layout.lineage_key(WINDOW)) == WINDOW


def test_keys_of_the_first_version_are_read_and_found_by_the_same_listings() -> None:
    """A folder per window: what lies there is read where it is."""
    origin = "fleet-dev.v1-shardId-000000000003-49590338-4959033827149025608555969"
    partial = f"partials/dt=2025-11-20/hour=10/1005/{origin}-{DIGEST}.parquet"
    bad = f"quarantine/dt=2025-11-20/hour=10/1005/{origin}-3-{DIGEST}.jsonl.gz"
    assert str(layout.parse_partial_key(partial)) == partial
    assert layout.parse_partial_key(partial).window == WINDOW
    assert str(layout.parse_quarantine_key(bad)) == bad
    assert partial.startswith(layout.partials_prefix(WINDOW))
    assert bad.startswith(layout.quarantine_prefix(WINDOW))
    folded = partial[: partial.index(layout.WINDOW_MARK, len(layout.hour_prefix(layout.PARTIALS, WINDOW.start_ms))) + 1]
    assert layout.parse_window_prefix(folded) == WINDOW


@pytest.mark.parametrize(
    "key",
    [
        "",
        "partials/dt=2025-11-20/hour=10/1005/",
        f"partials/dt=2025-11-20/hour=10/1106/s-shardId-0-1-2-{DIGEST}.parquet",  # the minutes of another hour
        f"partials/dt=2025-11-20/hour=10/1007/s-shardId-0-1-2-{DIGEST}.parquet",  # no window starts then
        f"partials/dt=2025-13-20/hour=10/1005/s-shardId-0-1-2-{DIGEST}.parquet",
        f"partials/dt=2025-11-20/hour=10/1005/s-shardId-0-1-2-{DIGEST[1:]}.parquet",
        f"partials/dt=2025-11-20/hour=10/1005/s-shardId-0-1-2-{DIGEST}.parquet.tmp",
    ],
)
def test_a_stray_key_is_refused_by_name(key: str) -> None:
    """Objects that somebody else put there are not mistaken for windrow's."""
    with pytest.raises(ValueError, match="not a"):
        layout.parse_partial_key(key)
