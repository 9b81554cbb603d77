"""`windrow deploy --rules`: checked before anything happens, stored by digest, named by the dispatcher, and told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatcher.handler import Topics, topics_of
from infra import stack, value_rules
from infra.plan import DeploymentOptions, parse_parameters, plan_deployment
from infra.value_rules import rules_to_store
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.simulated_aws import SimulatedAws, answering
from tests.unit.test_deploy_aws import plan
from tests.unit.test_stack_operations import deployed, ignore
from windrow.aws.clients import EMBEDDED, Place
from windrow.errors import UsageError, WindrowError
from windrow.lake.by_digest import digest_of
from windrow.lake.layout import rules_key, rules_start_key
from windrow.lake.store import PreconditionFailed
from windrow.payloads.table import ContractError
from windrow.rules.messages import Message
from windrow.rules.rule import Severity
from windrow.rules.stored import first_window, rules_of, store_rules
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window

PLACE = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")
TEXT = b'[[rule]]\nname = "warm"\nabove = 8\n'
STAGE = Stage(
    place=PLACE,
    name="test",
    stream_name="s",
    lake_bucket="lake",
    results_bucket="results",
    lateness_horizon_hours=1,
    stream_retention_hours=24,
)


def test_a_file_becomes_what_a_stage_stores(tmp_path: Path) -> None:
    """Its bytes, once they were read as rules; `none` is no file."""
    file = tmp_path / "rules.toml"
    file.write_bytes(TEXT)
    assert rules_to_store(str(file)) == TEXT
    assert rules_to_store("none") == b""
    file.write_text('[[rule]]\nname = "warm"\nabvoe = 8\n')
    with pytest.raises(ContractError, match=r"rules\.toml, line 1"):
        rules_to_store(str(file))
    with pytest.raises(UsageError, match="cannot be read"):
        rules_to_store(str(tmp_path / "other.toml"))
    file.write_bytes(b"#" * 300_000)
    with pytest.raises(UsageError, match="300,000 bytes"):
        rules_to_store(str(file))


@pytest.mark.slow
def test_the_plan_names_the_rules_by_their_digest() -> None:
    """None keeps the stage's; empty takes them away; and --set does not name them past their check."""
    plans = [plan_deployment(PLACE, "test", DeploymentOptions(rules=one)) for one in (None, b"", TEXT)]
    assert [one.parameters.get(value_rules.PARAMETER) for one in plans] == [None, "", digest_of(TEXT)]
    with pytest.raises(UsageError, match="not a parameter you can set"):
        parse_parameters((f"ValueRules={'0' * 64}",))


@pytest.mark.parametrize("is_new", [True, False])
def test_the_rules_are_in_the_lake_before_the_dispatcher_names_them(*, is_new: bool) -> None:
    """A stage that exists has them before its stack changes; a new one as soon as it has a lake."""
    aws = SimulatedAws() if is_new else deployed()
    base = plan()
    base.parameters[value_rules.PARAMETER] = digest_of(TEXT)
    with answering(aws):
        prepared = stack.prepare(replace(base, rules=TEXT), ignore)
        aws.calls.clear()
        stack.execute(prepared, ignore)
    puts = [at for at, call in enumerate(aws.calls) if call == "put_object"]
    changed = aws.calls.index("execute_change_set")
    assert [at < changed for at in puts] == ([False] if is_new else [True, False])


def test_stored_rules_are_what_their_name_says() -> None:
    """What is missing, or was changed by hand, is refused."""
    lake = SimulatedStore(S3State().apply, "lake")
    digest = store_rules(lake, TEXT)
    assert store_rules(lake, TEXT) == digest
    assert [rule.name for rule in rules_of(lake, digest).rules] == ["warm"]
    with pytest.raises(WindrowError, match="not in the lake"):
        rules_of(lake, "0" * 64)
    lake.put(rules_key(digest), TEXT + b"windows = 2\n")
    with pytest.raises(WindrowError, match="does not hold what its name says"):
        rules_of(lake, digest)


def test_the_first_tick_says_from_when_on_rules_are_in_force() -> None:
    """Every later one is told the same; what cannot be read is not guessed."""
    lake = SimulatedStore(S3State().apply, "lake")
    assert first_window(lake, "a", proposed=Window(WINDOW_MS)) == Window(WINDOW_MS)
    assert first_window(lake, "a", proposed=Window(9 * WINDOW_MS)) == Window(WINDOW_MS)
    assert first_window(lake, "b", proposed=Window(9 * WINDOW_MS)) == Window(9 * WINDOW_MS)
    lake.put(rules_start_key("a"), b"yesterday")
    with pytest.raises(WindrowError, match="from when on"):
        first_window(lake, "a", proposed=Window(0))


class FakeSns:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> None:
        self.published.append(message)


def test_each_severity_has_its_topic_and_each_reader_its_form() -> None:
    """Mails are text, everything else is JSON; subscriptions can filter by rule and severity."""
    sns = FakeSns()
    topics = Topics(sns, {severity: f"arn:{severity.value}" for severity in Severity})
    topics.tell(
        Message(rule="warm", severity=Severity.CRITICAL, subject="s" * 200, text="read me", document='{"a": 1}')
    )
    (one,) = sns.published
    assert one["TopicArn"] == "arn:critical"
    assert one["Subject"] == "s" * 100
    assert json.loads(one["Message"]) == {"default": '{"a": 1}', "email": "read me", "sms": "s" * 200}
    assert one["MessageStructure"] == "json"
    assert {name: value["StringValue"] for name, value in one["MessageAttributes"].items()} == {
        "rule": "warm",
        "severity": "critical",
    }


def test_storing_rules_reads_nothing_and_mends_what_is_damaged() -> None:
    """The policy of who deploys lets them write rules, and read no object of the lake."""
    stored: dict[str, bytes] = {}

    class WriteOnly:
        def put(self, key: str, body: bytes, *, if_absent: bool = False) -> str:
            if if_absent and key in stored:
                raise PreconditionFailed(key)
            stored[key] = body
            return "etag"

    for _ in range(2):
        digest = store_rules(WriteOnly(), TEXT)  # type: ignore[arg-type]
        assert stored == {rules_key(digest): TEXT}
        stored[rules_key(digest)] = b"what is this?"


def test_stage_without_rules_has_no_topics() -> None:
    """And makes no client for them."""
    assert topics_of(STAGE) is None
