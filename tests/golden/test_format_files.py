"""What the release before wrote can be read, whatever this one writes."""

import pytest

from tests.golden.format_files import (
    DELIVERY,
    LINEAGE,
    PERIOD_LINEAGE,
    WRITTEN,
    partial,
    path_of,
)
from windrow.period import Grain
from windrow.rows.format_version import check_readable, readable
from windrow.rows.lineage import Lineage
from windrow.rows.partial_parquet import decode_partial
from windrow.rows.period_lineage import from_json_lines
from windrow.rows.united_parquet import decode_range

VERSIONS = [(kind, version) for kind, written in WRITTEN.items() for version in readable(written)]


@pytest.mark.parametrize(("kind", "version"), VERSIONS)
def test_every_version_in_use_can_be_read(kind: str, version: int) -> None:
    """Each version that a release before may have left behind has a file here, and the file gives the same value.

    A new version needs a file of its own (`python -m tests.golden.format_files`) and a reader that still takes the old.
    """
    body = path_of(kind, version).read_bytes()
    match kind:
        case "partial":
            assert decode_partial(body) == (partial(), DELIVERY)
        case "united_range":
            assert decode_range(body) == partial()
        case "lineage":
            assert Lineage.from_json(body) == LINEAGE
        case _:
            assert list(from_json_lines(Grain.HOUR, body).values()) == [PERIOD_LINEAGE]


def test_a_release_reads_its_own_version_and_the_one_before() -> None:
    """No more: what is older was rewritten or has expired, and what is newer is not understood."""
    assert list(readable(1)) == [1]
    assert list(readable(3)) == [2, 3]
    check_readable(2, written=3)
    for found in (1, 4, "3", None, True):
        with pytest.raises(ValueError, match=f"format {found!r}, this release reads 2 and 3"):
            check_readable(found, written=3)
