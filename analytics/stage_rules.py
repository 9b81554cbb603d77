"""The rules of a stage, read when they are first asked for and kept: a stage with other rules has another digest."""

from collections.abc import Callable
from functools import cache

from windrow.rules.rule import Rule
from windrow.rules.stored import rules_of
from windrow.stage import Stage


def rules_reader(stage: Stage) -> Callable[[], tuple[Rule, ...]]:
    """Return what reads the rules that `stage` names; without any, it returns none and reads nothing."""

    @cache  # it keeps no failure, so a bucket that could not be read is asked again
    def read() -> tuple[Rule, ...]:
        return rules_of(stage.lake, stage.rules).rules if stage.rules else ()

    return read
