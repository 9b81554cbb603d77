"""Lag: a consumer that is throttled, or fails, for most of the stream's retention gives nothing up.

records      |───── retention, 24 h ──────────────|
consumer     |✗ throttled or failing, 22 h ✗|✓         all counts, nothing is put aside
                                          ^ 23 h: put aside, complete
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from infra import template
from tests.simulation.scenes import DIRECT, HOUR_MS, MINUTE_MS, World, faults_of, put_facts, settled_faults
from tests.simulation.simulated_mapping import ON_FAILURE, Options

GIVE_UP_HOURS = int(template.load()["Parameters"]["GiveUpHours"]["Default"])
BY_DEFAULT = replace(DIRECT, options=Options(window_ms=0))


def throttle(world: World, is_down: bool) -> None:
    """Every invocation of the consumer is refused; Lambda does not count these as attempts."""
    world.consumer.is_throttled = is_down


def fail(world: World, is_down: bool) -> None:
    """Every invocation of the consumer fails, about one a minute."""
    world.consumer.breaks = lambda _: is_down


CAUSES = pytest.mark.parametrize("cause", [throttle, fail])


@CAUSES
def test_a_lag_below_the_limit_puts_nothing_aside(cause: Callable[[World, bool], None]) -> None:
    """An hour below the limit the consumer is back, and everything counts without a redrive."""
    assert faults_of_lag(cause, BY_DEFAULT.options) == []


def faults_of_lag(cause: Callable[[World, bool], None], options: Options) -> list[str]:
    """What is wrong after the consumer was down until an hour before the template's limit."""
    with World(1, replace(BY_DEFAULT, options=options)) as world:
        world.pass_ms(10 * MINUTE_MS)
        cause(world, True)
        put_facts(world, [(f"s{number}", world.now_ms - number * MINUTE_MS, 0, number) for number in range(5)])
        world.pass_ms((GIVE_UP_HOURS - 1) * HOUR_MS)
        cause(world, False)
        world.drain()
        faults = ["a batch was given up"] if world.s3.buckets.get(ON_FAILURE) else []
        world.tick()
        return faults + faults_of(world) + settled_faults(world)


@CAUSES
def test_beyond_the_limit_all_is_put_aside_before_the_stream_forgets(cause: Callable[[World, bool], None]) -> None:
    """The stream loses nothing unread, and a redrive makes the rows whole."""
    with World(1, BY_DEFAULT) as world:
        world.pass_ms(10 * MINUTE_MS)
        cause(world, True)
        put_facts(world, [(f"s{number}", world.now_ms - number * MINUTE_MS, 0, number) for number in range(5)])
        world.pass_ms(GIVE_UP_HOURS * HOUR_MS + 10 * MINUTE_MS)
        cause(world, False)
        world.drain()
        assert world.s3.buckets[ON_FAILURE]
        assert world.mappings[0].lost == set()
        assert settled_faults(world) == []


def test_six_hours_as_the_limit_are_seen() -> None:
    """The check above bites: with the limit of six hours that the template once had, the same lag puts data aside."""
    assert "a batch was given up" in faults_of_lag(throttle, replace(BY_DEFAULT.options, age_ms_max=6 * HOUR_MS))


def test_a_number_of_attempts_as_the_limit_is_seen() -> None:
    """Ten thousand attempts would last; a thousand are used up within the lag."""
    assert "a batch was given up" in faults_of_lag(fail, replace(BY_DEFAULT.options, retries_max=1_000))
