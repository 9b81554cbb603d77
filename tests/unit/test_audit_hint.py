"""What `windrow audit` advises: a replay where it helps, and not where it does not."""

import pytest

from analytics.audit import Audit, Evidence, Verdict, WindowAudit
from analytics.decode import StreamTotals
from analytics.verify import Verification
from windrow_cli.audit import hint_of


def audit_of(*windows: tuple[Verdict, Verification]) -> Audit:
    """An audit of windows with these verdicts."""
    audited = tuple(
        WindowAudit(start_ms=number * 300_000, verdict=verdict, verification=found)
        for number, (verdict, found) in enumerate(windows)
    )
    return Audit(totals=StreamTotals(), evidence=Evidence(stream_name="s", complete_from_ms=0), windows=audited)


@pytest.mark.parametrize("found", [Verification(lost=1, wrong=1), Verification(rows_missing=1), Verification(lost=3)])
def test_what_is_missing_is_replayed(found: Verification) -> None:
    """Readings or rows; beside another window with too many as well."""
    audited = audit_of((Verdict.DIFFERENT, Verification(duplicated=4)), (Verdict.DIFFERENT, found))
    assert hint_of(audited) == "windrow replay restores what is missing"


@pytest.mark.parametrize(
    "found", [Verification(duplicated=1, wrong=1), Verification(wrong=1), Verification(rows_extra=1)]
)
def test_nothing_is_replayed_where_nothing_is_missing(found: Verification) -> None:
    """Also while readings of another window, which is behind, have not been rolled yet."""
    audited = audit_of((Verdict.DIFFERENT, found), (Verdict.BEHIND, Verification(lost=7)))
    assert not audited.is_exact
    assert "would not help" in hint_of(audited)
