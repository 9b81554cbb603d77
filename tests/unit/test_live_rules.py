"""The limits by which live values are tallied: those of the rules that the stage names, read once."""

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from analytics.dashboard import LIVE_ANSWERS_MAX, Dashboard
from analytics.live_values import live_values
from analytics.stage_rules import rules_reader
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.test_deploy_command import STAGE
from tests.unit.test_open_windows import NOW_MS, START_MS, Lake
from windrow.errors import WindrowError
from windrow.lake.layout import rules_key
from windrow.lake.store import CountingStore
from windrow.reading import Reading
from windrow.rules.load import load_rules
from windrow.rules.stored import store_rules
from windrow.stage import Stage

TEXT = b'[[rule]]\nname = "hot"\nsensors = "a/*"\nabove = 1.5\n'


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> CountingStore:
    store = CountingStore(SimulatedStore(S3State().apply, "lake"))
    monkeypatch.setattr(Stage, "lake", store)
    return store


def test_a_stage_without_rules_reads_nothing(lake: CountingStore) -> None:
    """And has no limits."""
    assert rules_reader(replace(STAGE, rules=""))() == ()
    assert lake.calls == {}


def test_rules_are_read_once_and_a_failure_is_not_kept(lake: CountingStore) -> None:
    """Whoever deploys them again need not start the server again."""
    digest = store_rules(lake, TEXT)
    body = lake.get(rules_key(digest))
    assert body is not None
    lake.delete(rules_key(digest))
    lake.calls.clear()
    read = rules_reader(replace(STAGE, rules=digest))
    with pytest.raises(WindrowError, match=digest[:12]):
        read()
    lake.put(rules_key(digest), body.body)
    assert [rule.name for rule in (*read(), *read())] == ["hot", "hot"]
    assert lake.calls["get"] == 2


def test_live_values_are_tallied_by_them(lake: CountingStore) -> None:
    """At their sites; a server that reads no open windows reads no rules either."""
    opened = Lake()
    opened.deliver(
        [Reading("a/1", START_MS, 0, 1_501), Reading("a/2", START_MS, 0, 1_500), Reading("b/1", START_MS, 0, 9_000)]
    )
    rules = rules_reader(replace(STAGE, rules=store_rules(lake, TEXT)))
    lake.calls.clear()
    parts = {
        "engine": mock.Mock(),
        "results": opened.results,
        "stage": "dev",
        "clock_ms": lambda: NOW_MS,
        "rules": rules,
    }
    without = Dashboard(**parts).live(search="", page=0, per_page=1)
    assert (without["is_live"], without["limits"], lake.calls) == (False, 0, {})
    found = Dashboard(**parts, open_windows=opened.open).live(search="", page=0, per_page=1)
    assert (found["limits"], found["sites"]["site"], found["sites"]["beyond"]) == (1, ["a", "b"], [1, 0])


def test_the_same_question_about_the_same_windows_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anew for another page or search, once a partial has come, and under other rules."""
    opened, made = Lake(), []
    monkeypatch.setattr(
        "analytics.dashboard.live_values", lambda *asked, **named: made.append(named) or live_values(*asked, **named)
    )
    opened.deliver([Reading(f"a/{number}", START_MS, 0, 1_000 * number) for number in range(3)])
    rules = [load_rules(TEXT.decode())]
    asked = Dashboard(
        engine=mock.Mock(),
        results=opened.results,
        stage="dev",
        clock_ms=lambda: NOW_MS,
        open_windows=opened.open,
        rules=lambda: rules[-1],
    )

    def last(**query: Any) -> Any:
        return asked.live(**({"search": "", "page": 0, "per_page": 1} | query))["last"]

    assert [last(), last(), last(page=1), last(search="2"), last()] == [[0.0], [0.0], [1.0], [2.0], [0.0]]
    assert len(made) == 3
    opened.deliver([Reading("a/0", START_MS + 1, 0, 7_000)])
    assert [last(), last()] == [[7.0], [7.0]]
    assert len(made) == 4
    rules.append(())
    assert asked.live(search="", page=0, per_page=1)["limits"] == 0
    for number in range(2 * LIVE_ANSWERS_MAX):
        assert last(search=f"a/{number}") == (
            [1_000.0 * number / 1_000] if number in {1, 2} else [7.0] if number == 0 else []
        )
