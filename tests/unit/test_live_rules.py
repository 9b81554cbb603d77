"""The limits by which live values are tallied: those of the rules that the stage names, read once."""

from dataclasses import replace
from unittest import mock

import pytest

from analytics.dashboard import Dashboard
from analytics.stage_rules import rules_reader
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.test_deploy_command import STAGE
from tests.unit.test_open_windows import NOW_MS, START_MS, Lake
from windrow.errors import WindrowError
from windrow.lake.layout import rules_key
from windrow.lake.store import CountingStore
from windrow.reading import Reading
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
