"""The dispatcher's answer: bounded whatever a tick met, counted where it is cut, and read back from any release."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.answer import MARKERS_MAX, PERIODS_MAX, UNKNOWN_KEYS_MAX, WINDOWS_MAX, cut
from dispatcher.due import DueReason
from dispatcher.report import PeriodReport, RollOutcome, TickReport, WindowReport
from windrow.period import Grain, Period
from windrow.window import Window

RESPONSE_BYTES_MAX = 6_000_000
"""Of a synchronous invocation ("Lambda quotas": 6 MB)."""
DAY_MS = 86_400_000
WORST = "\x00"
"""A character that JSON writes in six bytes."""


def window_report(index: int, outcome: RollOutcome, **more) -> WindowReport:
    """A window's report."""
    return WindowReport(window=Window.from_index(index), reasons=tuple(DueReason), outcome=outcome, **more)


def report_of(*windows: WindowReport, **more) -> TickReport:
    """A tick's report."""
    return TickReport(scheduled_time_ms=0, windows=windows, s3_calls={"list": 1}, **more)


def through_json(report: TickReport) -> TickReport:
    """The report as the command reads it."""
    return TickReport.from_fields(json.loads(json.dumps(report.to_fields())))


@pytest.mark.slow
def test_the_worst_answer_is_within_what_lambda_returns() -> None:
    """Windows of half a year, each with a long complaint and a thousand markers, and keys as long as S3 takes them."""
    windows = [
        window_report(index, RollOutcome.FAILED, detail=WORST * 10_000, markers_kept=("f" * 32,) * 1_000)
        for index in range(5_000)
    ]
    periods = tuple(
        PeriodReport(period=Period(Grain.DAY, number * DAY_MS), outcome=RollOutcome.FAILED, detail=WORST * 10_000)
        for number in range(1_000)
    )
    answer = cut(report_of(*windows, periods=periods, unknown_keys=(WORST * 1_024,) * 10_000))
    assert len(json.dumps(answer.to_fields()).encode()) < RESPONSE_BYTES_MAX
    assert answer.outcomes == {RollOutcome.FAILED: 5_000}
    assert answer.left_out == {
        "markers": 5_000 * 1_000 - WINDOWS_MAX * MARKERS_MAX,
        "hours and days": 1_000 - PERIODS_MAX,
        "keys that windrow does not write": 10_000 - UNKNOWN_KEYS_MAX,
    }
    assert through_json(answer) == answer


def test_what_needs_attention_is_listed_first_and_the_newest_of_the_rest() -> None:
    """The oldest window of all is frozen: it stays, whatever is newer."""
    settled = [window_report(index, RollOutcome.SETTLED) for index in range(10, 10 + WINDOWS_MAX)]
    rolled = [window_report(index, RollOutcome.ROLLED) for index in range(5, 10)]
    answer = cut(report_of(window_report(1, RollOutcome.FROZEN), *rolled, *settled))
    assert [one.window.index for one in answer.windows] == [1, *range(5, 10), *range(16, 10 + WINDOWS_MAX)]
    assert answer.unlisted == {RollOutcome.SETTLED: 6}
    assert answer.outcomes == {RollOutcome.FROZEN: 1, RollOutcome.ROLLED: 5, RollOutcome.SETTLED: WINDOWS_MAX}


@given(st.lists(st.sampled_from(list(RollOutcome)), max_size=50))
def test_a_usual_report_is_not_touched(outcomes: list[RollOutcome]) -> None:
    """Within the bounds nothing is cut, and cutting twice is cutting once."""
    report = report_of(*(window_report(index, outcome) for index, outcome in enumerate(outcomes)), unknown_keys=("x",))
    assert cut(report) == report
    assert through_json(cut(report)) == report


def test_an_answer_of_an_older_dispatcher_is_read() -> None:
    """It has none of the counts."""
    fields = report_of(window_report(1, RollOutcome.ROLLED)).to_fields()
    del fields["unlisted"], fields["left_out"]
    assert TickReport.from_fields(fields) == report_of(window_report(1, RollOutcome.ROLLED))
