"""Parameters that follow: the first day of the tables, and the age at which records are given up."""

from datetime import date, timedelta

import pytest

from infra import template
from infra.parameters import first_day, settle
from windrow.errors import UsageError

TODAY = date(2026, 11, 28)
PARAMETERS = template.load()["Parameters"]


def stack(**values: str) -> dict:
    """A stack with these parameters, as DescribeStacks tells it."""
    return {
        "StackStatus": "CREATE_COMPLETE",
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    }


DEPLOYED = {"FirstDay": "2026-05-01", "StreamRetentionHours": "24", "GiveUpHours": "23"}


def test_a_new_stage_begins_with_the_earliest_day_that_can_count():
    """The day of the first deployment, less the largest lateness horizon."""
    longest = timedelta(hours=PARAMETERS["LatenessHorizonHours"]["MaxValue"])
    assert settle({"Stage": "dev"}, {}, today=TODAY)["FirstDay"] == (TODAY - longest).isoformat()
    assert first_day(TODAY) == date(2026, 11, 14)


def test_a_chosen_first_day_is_kept():
    """As is that of a stage that is deployed again."""
    assert settle({"FirstDay": "2020-01-01"}, {}, today=TODAY)["FirstDay"] == "2020-01-01"
    assert "FirstDay" not in settle({}, stack(**DEPLOYED), today=TODAY)


def test_the_template_alone_has_a_first_day():
    """Whoever deploys it without the command finds all that can be found."""
    assert date.fromisoformat(PARAMETERS["FirstDay"]["Default"]) <= date(2026, 1, 1)


@pytest.mark.parametrize(
    ("chosen", "had", "expected"),
    [
        pytest.param({}, DEPLOYED, None, id="nothing is chosen"),
        pytest.param({"StreamRetentionHours": "168"}, DEPLOYED, "167", id="longer"),
        pytest.param(
            {"StreamRetentionHours": "24"}, {"StreamRetentionHours": "168", "GiveUpHours": "167"}, "23", id="shorter"
        ),
        pytest.param({"StreamRetentionHours": "48", "GiveUpHours": "6"}, DEPLOYED, "6", id="both"),
        pytest.param({"StreamRetentionHours": "48"}, DEPLOYED | {"GiveUpHours": "6"}, None, id="was chosen once"),
        pytest.param({}, {"StreamRetentionHours": "72"}, "71", id="from a template without it"),
    ],
)
def test_giving_up_stays_an_hour_before_the_end(chosen: dict[str, str], had: dict[str, str], expected: str | None):
    """It follows the stream's retention, up and down, until somebody chooses another; None keeps what the stage has."""
    assert settle(chosen, stack(**had), today=TODAY).get("GiveUpHours") == expected


def test_a_new_stage_with_a_longer_retention_gives_up_later():
    """The template's default would be far too early."""
    assert settle({"StreamRetentionHours": "168"}, {}, today=TODAY)["GiveUpHours"] == "167"
    assert "GiveUpHours" not in settle({}, {}, today=TODAY)


@pytest.mark.parametrize(
    ("chosen", "had"),
    [
        ({"GiveUpHours": "24"}, DEPLOYED),
        ({"GiveUpHours": "30"}, {}),
        ({"StreamRetentionHours": "24"}, {"StreamRetentionHours": "168", "GiveUpHours": "100"}),
    ],
)
def test_giving_up_too_late_is_refused(chosen: dict[str, str], had: dict[str, str]):
    """Also if only one of the two is chosen now; the hint names a value that is accepted."""
    with pytest.raises(UsageError, match="is not less than StreamRetentionHours=24") as refused:
        settle(chosen, stack(**had) if had else {}, today=TODAY)
    assert refused.value.hint == "--set GiveUpHours=23"


@pytest.mark.parametrize("text", ["a day", "-1", "٣"])
def test_what_is_no_number_of_hours_is_refused(text: str):
    """CloudFormation would say less."""
    with pytest.raises(UsageError, match="is not a whole number of hours"):
        settle({"GiveUpHours": text}, {}, today=TODAY)


def test_packages_are_for_the_python_of_the_stage():
    """A stage on 3.14 would be handed packages for 3.13, whose modules it cannot load; what is chosen is right."""
    had = stack(**DEPLOYED, PythonVersion="3.14")
    with pytest.raises(UsageError, match=r"run on Python 3\.14, and .* are for 3\.13") as refused:
        settle({}, had, today=TODAY, python="3.13")
    assert refused.value.hint is not None
    assert "--set PythonVersion=3.14" in refused.value.hint
    for chosen, python in (({"PythonVersion": "3.14"}, "3.14"), ({"PythonVersion": "3.13"}, "3.13")):
        assert settle(chosen, had, today=TODAY, python=python)["PythonVersion"] == python
    assert "PythonVersion" not in settle({}, stack(**DEPLOYED), today=TODAY, python="3.13")
