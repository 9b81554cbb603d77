"""A freezer warms up: it rings once, a late reading moves the beginning, a correction is told, and it clears.

Readings go through the stream, rules come by `windrow deploy --rules`, ticks run in the deployed function, and what is
told is read from a queue that is subscribed to the topic of the severity.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.by_command import Windrow, new_stage
from tests.emulator.test_dispatcher import send
from windrow.aws.clients import Place, client
from windrow.deployment import find_stage
from windrow.reading import Reading
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window

RULES = """
[[rule]]
name = "freezer-warm"
sensors = "freezer/*"
above = -15
clear = -17
windows = 2
clear_windows = 2
severity = "critical"
text = "{sensor_id} is at {extreme} {unit}"

[[rule]]
name = "freezer-thaws"
above = -15
minutes = 2.5
hold_minutes = 1
severity = "info"
"""


@pytest.fixture(scope="module")
def windrow(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Windrow:
    """The command, for a stage of its own that was deployed with rules."""
    file = tmp_path_factory.mktemp("rules") / "rules.toml"
    file.write_text(RULES)
    command = Windrow(home, "embedded", new_stage())
    command("deploy", "--no-schedule", "--set", "BatchingWindowSeconds=0", "--rules", str(file))
    return command


def subscribed_queue(place: Place, topic_arn: str) -> str:
    """The URL of a queue that gets what the topic is told."""
    queues = client("sqs", place)
    url: str = queues.create_queue(QueueName="oncall")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("sns", place).subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
    return url


def told(place: Place, queue_url: str) -> list[dict[str, Any]]:
    """The changes that came since this was last asked."""
    found = client("sqs", place).receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    for one in found.get("Messages", []):
        client("sqs", place).delete_message(QueueUrl=queue_url, ReceiptHandle=one["ReceiptHandle"])
    documents = [json.loads(json.loads(one["Body"])["Message"]) for one in found.get("Messages", [])]
    return [change for document in documents for change in document["changes"]]


def freezer(stage: Stage, window: Window, celsius: int, *, after_ms: int = 1_000) -> None:
    """One reading of the freezer."""
    send(stage, Reading("freezer/1", window.start_ms + after_ms, 0, celsius * 1_000))


def test_freezer_rings_once_is_corrected_and_clears(windrow: Windrow, place: Place, tmp_path: Path) -> None:
    """Each tick tells what is new; in the end there is one excursion, in its second revision, on the page too."""
    stage = find_stage(place, windrow.stage)
    queue = subscribed_queue(place, stage.critical_topic_arn)
    stages = json.loads(windrow("status", "--format", "json"))["stages"]
    assert [one["rules"] for one in stages if one["stage"] == stage.name] == [stage.rules]
    assert stage.rules
    first = Window.containing(time.time_ns() // 1_000_000 - 12 * WINDOW_MS)
    windows = [Window.from_index(first.index + place) for place in range(5)]

    def tick(last: Window) -> list[dict[str, Any]]:
        windrow("tick", "--at", format_rfc3339(last.end_ms + 120_000))
        return told(place, queue)

    for window, celsius in zip(windows[:3], (-18, -10, -9), strict=True):
        freezer(stage, window, celsius)
    (rang,) = tick(windows[2])
    assert (rang["change"], rang["sensor_id"], rang["text"]) == ("rang", "freezer/1", "freezer/1 is at -9 °C")
    assert rang["began"] == format_rfc3339(windows[1].start_ms)
    assert tick(windows[2]) == []
    freezer(stage, windows[0], 0, after_ms=2_000)
    (corrected,) = tick(windows[2])
    assert (corrected["change"], corrected["revision"]) == ("corrected", 2)
    assert (corrected["began"], corrected["before"]["began"]) == (format_rfc3339(windows[0].start_ms), rang["began"])
    for window in windows[3:]:
        freezer(stage, window, -20)
    (cleared,) = tick(windows[4])
    assert (cleared["change"], cleared["ended"]) == ("cleared", format_rfc3339(windows[3].start_ms))
    bounds = ("--from", format_rfc3339(windows[0].start_ms), "--to", format_rfc3339(windows[4].end_ms))
    rows = json.loads(windrow("query", "excursions", *bounds, "--format", "json"))
    found = [(row["rule"], row["state"], row["revision"], row["windows"]) for row in rows]
    assert sorted(found) == [("freezer-thaws", "cleared", 1, 3), ("freezer-warm", "cleared", 2, 3)]
    # Three readings above -15, each held for a minute; without the late one they would be two.
    assert [row["beyond_unit_minutes"] for row in rows if row["rule"] == "freezer-thaws"] == [15 + 5 + 6]
    page = tmp_path / "page.html"
    windrow("dashboard", "--export", str(page), *bounds)
    (held,) = re.findall(r'id="exported">(.*?)</script>', page.read_text(encoding="utf-8"))
    (shown,) = [one for one in json.loads(held)["excursions"]["excursions"] if one["rule"] == "freezer-warm"]
    assert (shown["sensor_id"], shown["state"], shown["revision"]) == ("freezer/1", "cleared", 2)
    assert (shown["began"], shown["ended"]) == (windows[0].start_ms, windows[3].start_ms)
