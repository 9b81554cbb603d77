"""Alarms, their topic, their runbook and the dashboard: what they name exists."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from infra import template
from windrow_cli.main import windrow

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
RESOURCES = template.load()["Resources"]
ALARMS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
NAMESPACE = "windrow"
STATES = {"notBreaching", "breaching"}


def short_name(alarm: dict[str, Any]) -> str:
    """The alarm's name without the stage."""
    return str(alarm["AlarmName"]["Fn::Sub"]).removeprefix("windrow-${Stage}-")


def metrics_of(alarm: dict[str, Any]) -> list[tuple[str, str]]:
    """Namespace and name of each metric that the alarm looks at."""
    if "MetricName" in alarm:
        return [(alarm["Namespace"], alarm["MetricName"])]
    stats = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    return [(metric["Namespace"], metric["MetricName"]) for metric in stats]


def widgets() -> list[dict[str, Any]]:
    """The dashboard's widgets, with `${X}` as they stand."""
    body: list[dict[str, Any]] = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][0])[
        "widgets"
    ]
    return body


def own_metrics_of_dashboard() -> set[str]:
    """Names of metrics in our namespace; "." repeats the entry above, "..." all but the last."""
    found, namespace, name = set(), "", ""
    for widget in widgets():
        for row in widget["properties"].get("metrics", []):
            if not isinstance(row[0], str):
                continue
            if row[0] != "...":
                namespace = namespace if row[0] == "." else row[0]
                name = name if row[1] == "." else row[1]
            if namespace == NAMESPACE:
                found.add(name)
    return found


def emitted() -> str:
    """The source of all functions, in which every metric's name is spelled."""
    folders = (ROOT / "processors", ROOT / "dispatcher")
    modules = [*(path for folder in folders for path in folder.glob("*.py"))]
    modules += [ROOT / "analytics" / f"{name}_handler.py" for name in ("audit", "push")]
    return "\n".join(path.read_text() for path in modules)


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_has_its_section_and_tells_of_it(name: str) -> None:
    """What it means, what to look at, what mends it; the alarm's text names the section."""
    alarm = ALARMS[name]
    short = short_name(alarm)
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
    assert short in sections
    for part in ("**Means.**", "**Look.**", "**Mend.**"):
        assert part in sections[short]
    description = alarm["AlarmDescription"]
    text = description["Fn::Sub"] if isinstance(description, dict) else description
    assert text.endswith(f"docs/runbook.md#{short}")


def test_every_section_has_its_alarm() -> None:
    """No section outlives its alarm."""
    assert re.findall(r"^## (\S+)$", RUNBOOK, re.MULTILINE) == [short_name(alarm) for alarm in ALARMS.values()]


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_is_told_to_the_topic(name: str) -> None:
    """When it rings and when it is over; and it is decided what no data means."""
    alarm = ALARMS[name]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert alarm["TreatMissingData"] in STATES
    assert alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]


def test_silent_sensors_page_nobody() -> None:
    """The dispatcher tells a topic of its own, which has its own address and no alarm."""
    told = RESOURCES["DispatcherFunction"]["Properties"]["Environment"]["Variables"]["WINDROW_SILENCE_TOPIC_ARN"]
    assert told == {"Fn::If": ["HasOperations", {"Ref": "SilenceTopic"}, ""]}
    subscriptions = {
        name: (one["Properties"]["TopicArn"]["Ref"], one["Properties"]["Endpoint"]["Ref"])
        for name, one in RESOURCES.items()
        if one["Type"] == "AWS::SNS::Subscription" and one["Properties"]["Protocol"] == "email"
    }
    assert subscriptions == {
        "AlarmSubscription": ("AlarmTopic", "AlarmEmail"),
        "SilenceSubscription": ("SilenceTopic", "SilenceEmail"),
        "InfoSubscription": ("InfoTopic", "InfoEmail"),
        "WarningSubscription": ("WarningTopic", "WarningEmail"),
        "CriticalSubscription": ("CriticalTopic", "CriticalEmail"),
    }
    assert "SilenceTopic" not in json.dumps(ALARMS)


def test_what_the_fan_out_counts_reaches_the_alarms() -> None:
    """Failed chunks, chunks processed in the function itself, and the quarantine of these."""
    looked_at = {
        (metric, one["Value"]["Fn::Sub"])
        for alarm in ALARMS.values()
        for metric, dimensions in dimensions_of(alarm)
        for one in dimensions
        if one["Name"] == "service"
    }
    of_fanout = {metric for metric, service in looked_at if service == "windrow-${Stage}-fanout"}
    assert of_fanout == {"ChunksFailed", "ChunksProcessedHere", "Readings", "Quarantined"}


def dimensions_of(alarm: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Name and dimensions of each metric that the alarm looks at."""
    if "MetricName" in alarm:
        return [(alarm["MetricName"], alarm["Dimensions"])]
    stats = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    return [(metric["MetricName"], metric["Dimensions"]) for metric in stats]


def test_own_metrics_are_written_by_the_functions() -> None:
    """An alarm or a graph on a metric that nobody writes would stay quiet for ever."""
    in_alarms = {name for alarm in ALARMS.values() for space, name in metrics_of(alarm) if space == NAMESPACE}
    source = emitted()
    for name in in_alarms | own_metrics_of_dashboard():
        is_outcome = name.startswith("Windows") and f'= "{name.removeprefix("Windows").lower()}"' in source
        assert f'"{name}"' in source or is_outcome, name


def test_only_the_alarms_of_this_stage_may_publish() -> None:
    """The topic and the key let in CloudWatch for them alone; that the key lets in Athena is tested elsewhere."""
    topic = RESOURCES["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    key = RESOURCES["Key"]["Properties"]["KeyPolicy"]["Statement"]
    of_service = [one for one in [*topic, *key] if "Service" in one["Principal"] and one["Sid"] != "Answers"]
    assert len(of_service) == 2
    for statement in of_service:
        assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":alarm:windrow-${Stage}-*")


def test_dashboard_answers_its_three_questions() -> None:
    """Is everything counted, how far behind, what does it cost; no two widgets overlap."""
    headings = [one["properties"]["markdown"].splitlines()[0] for one in widgets() if one["type"] == "text"]
    assert headings == ["## Is everything counted?", "## How far behind?", "## What does it cost?"]
    cells = [
        (column, row)
        for one in widgets()
        for column in range(one["x"], one["x"] + one["width"])
        for row in range(one["y"], one["y"] + one["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_commands_in_the_docs_exist(path: Path) -> None:
    """Every `windrow x` in the docs is a command, and every long option of it is one of its own."""
    for line in re.findall(r"(?:^|`)windrow ([a-z][^`\n]*)", path.read_text(), re.MULTILINE):
        for part in re.split(r"&& windrow |; windrow ", line):
            words = part.split()
            command = windrow.get_command(click.Context(windrow), words[0])
            if isinstance(command, click.Group) and len(words) > 1:
                command = command.get_command(click.Context(command), words[1])
            assert command is not None, line
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            given = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
            assert given <= options, line
