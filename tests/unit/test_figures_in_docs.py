"""Figures in the runbook and in docs/deploy.md are those of the template: defaults of parameters, times of alarms."""

import re
from pathlib import Path

import pytest

from infra import template
from infra.shape import Shape

ROOT = Path(__file__).parents[2]
PAGES = ("runbook.md", "deploy.md")
TEXTS = {name: " ".join((ROOT / "docs" / name).read_text().split()) for name in PAGES}
SECTIONS = dict(
    re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE | re.DOTALL)
)
PARAMETERS = template.load()["Parameters"]
ALARMS = {
    str(one["Properties"]["AlarmName"]["Fn::Sub"]).removeprefix("windrow-${Stage}-"): one["Properties"]
    for one in template.load()["Resources"].values()
    if one["Type"] == "AWS::CloudWatch::Alarm"
}
NUMBER = r"(\d+(?:\.\d+)?|two|three|five|fifteen)"
WORDS = {"two": 2, "three": 3, "five": 5, "fifteen": 15}
FOR_SO_LONG = re.compile(rf"[Ff]or (?:(half an hour)|{NUMBER} minutes)")
SO_MANY_OF = re.compile(rf"{NUMBER} of {NUMBER} (?:minutes|ticks|periods)", re.IGNORECASE)


def number(word: str) -> float:
    """A number in digits or as a word."""
    return float(WORDS.get(word.lower(), 0) or word)


def period_seconds(alarm: dict[str, object]) -> int:
    """The period of an alarm, or of the metrics that its expression reads."""
    queries = alarm.get("Metrics")
    if not isinstance(queries, list):
        return int(str(alarm["Period"]))
    (seconds,) = {query["MetricStat"]["Period"] for query in queries if "MetricStat" in query}
    return int(seconds)


@pytest.mark.parametrize("page", PAGES)
def test_a_default_beside_its_parameter_is_the_template_s(page: str) -> None:
    """Such as "23 hours (`GiveUpHours`)", "24 hours by default, `StreamRetentionHours`", "`X` (1 %)"."""
    text = TEXTS[page]
    named = re.findall(r"(\d+) (?:hours|days)(?: by default,| \(|,) ?`(\w+)`", text)
    named += [(value, name) for name, value in re.findall(r"`(\w+)` \((\d+) %\)", text)]
    found = [(name, float(value)) for value, name in named if name in PARAMETERS]
    assert found == [(name, Shape().number(name)) for name, _ in found]
    if page == "runbook.md":
        expected = {"StreamRetentionHours", "GiveUpHours", "RejectedRetentionDays", "PartialsRetentionDays"}
        assert expected | {"QuarantinePercentMax"} <= {name for name, _ in found}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_rings_after_as_long_as_its_section_says(name: str) -> None:
    """ "For 15 minutes" is the alarm's periods that must all be bad; "three of five minutes" are its data points."""
    means = " ".join(SECTIONS[name].split("**Look.**")[0].split())
    alarm = ALARMS[name]
    seconds = period_seconds(alarm) * int(alarm["EvaluationPeriods"])
    if alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"] and (found := FOR_SO_LONG.search(means)):
        assert (30 if found[1] else number(found[2])) * 60 == seconds, means
    if alarm["DatapointsToAlarm"] != alarm["EvaluationPeriods"]:
        several = SO_MANY_OF.search(means)
        assert several is not None, means
        assert (number(several[1]), number(several[2])) == (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"])


def test_most_alarms_say_how_long() -> None:
    """So that the test above does not pass for want of words."""
    said = [name for name in ALARMS if (part := SECTIONS[name].split("**Look.**")[0]) and _says(part)]
    assert len(said) >= 0.6 * len(ALARMS), sorted(set(ALARMS) - set(said))


def _says(text: str) -> bool:
    flat = " ".join(text.split())
    return bool(FOR_SO_LONG.search(flat) or SO_MANY_OF.search(flat))
