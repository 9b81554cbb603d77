"""When a stream that is away is tried again."""

from producers.outage import PROBE_SECONDS_MAX, Outage


def outage(*, is_away: bool) -> Outage:
    return Outage(is_away=is_away, probe_seconds_min=1.0, now_seconds=100.0)


def test_gaps_double_up_to_the_bound() -> None:
    """Each failed attempt makes the next one wait longer, half a minute at most."""
    away = outage(is_away=False)
    gaps = []
    for _ in range(7):
        away.record_failure(200.0)
        gaps.append(away.wait_seconds(200.0))
    assert gaps == [1, 2, 4, 8, 16, PROBE_SECONDS_MAX, PROBE_SECONDS_MAX]
    assert away.is_away


def test_an_attempt_is_due_once_its_time_has_come() -> None:
    """Not before, and at once for a stream that is away from the start."""
    assert outage(is_away=True).wait_seconds(100.0) == 0
    away = outage(is_away=False)
    away.record_failure(200.0)
    assert [away.wait_seconds(now) for now in (200.25, 201.0, 300.0)] == [0.75, 0, 0]


def test_after_its_end_the_next_absence_begins_with_the_shortest_gap() -> None:
    """As the first one did."""
    away = outage(is_away=True)
    away.record_failure(200.0)
    away.record_failure(201.0)
    away.end()
    assert not away.is_away
    away.record_failure(300.0)
    assert away.wait_seconds(300.0) == 1
