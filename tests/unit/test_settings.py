"""The settings: what the functions read from their environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.environment import environment_of
from windrow import settings
from windrow.errors import WindrowError
from windrow.settings import Settings

ENVIRONMENT = {
    "WINDROW_STAGE": "dev",
    "WINDROW_STREAM_NAME": "windrow-dev",
    "WINDROW_LAKE_BUCKET": "lake",
    "WINDROW_RESULTS_BUCKET": "results",
    "WINDROW_LATENESS_HORIZON_HOURS": "168",
    "WINDROW_STREAM_RETENTION_HOURS": "24",
}
names = st.text(min_size=1, max_size=20)
hours = st.integers(min_value=1, max_value=10_000)


@given(
    st.builds(
        Settings,
        stage=names,
        stream_name=names,
        lake_bucket=names,
        results_bucket=names,
        lateness_horizon_hours=hours,
        stream_retention_hours=hours,
        payload_contract=st.none() | names,
        processor_function=st.none() | names,
        uploads_bucket=st.none() | names,
        late_roll_minutes=st.none() | st.integers(min_value=0, max_value=10_000),
        rules=st.none() | names,
        info_topic_arn=st.none() | names,
        warning_topic_arn=st.none() | names,
        critical_topic_arn=st.none() | names,
        is_live=st.booleans(),
        live_topic_arn=st.none() | names,
    )
)
def test_settings_survive_the_way_through_an_environment(written: Settings):
    """Reading what was written gives an equal value."""
    assert Settings.from_environment(environment_of(written)) == written


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", [None, ""])
def test_missing_variable_is_named(name: str, value: str | None):
    """An unset variable and an empty one both raise an error with the variable's name."""
    environment = {key: text for key, text in ENVIRONMENT.items() if key != name}
    if value is not None:
        environment[name] = value
    with pytest.raises(WindrowError, match=name):
        Settings.from_environment(environment)


@pytest.mark.parametrize("name", [settings.LATENESS_HORIZON_HOURS, settings.STREAM_RETENTION_HOURS])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "a week", " 24", "²", "٢٤"])
def test_hours_that_are_no_whole_number_are_refused(name: str, value: str):
    """Hours are plain decimal digits, 1 or more; digits of other scripts are not."""
    with pytest.raises(WindrowError, match=name):
        Settings.from_environment(ENVIRONMENT | {name: value})


@pytest.mark.parametrize("value", ["-1", "1.5", "an hour", " 24", "²", "٢٤"])
def test_minutes_that_are_no_whole_number_are_refused(value: str):
    """Minutes are plain decimal digits; 0 is one of them, and a function that is not told has none."""
    with pytest.raises(WindrowError, match="WINDROW_LATE_ROLL_MINUTES"):
        Settings.from_environment(ENVIRONMENT | {settings.LATE_ROLL_MINUTES: value})
    assert Settings.from_environment(ENVIRONMENT | {settings.LATE_ROLL_MINUTES: "0"}).late_roll_minutes == 0
    assert Settings.from_environment(ENVIRONMENT).late_roll_minutes is None


@pytest.mark.parametrize(("value", "is_live"), [("off", False), ("on", True), ("push", True), ("", False)])
def test_a_stage_that_pushes_is_live_too(value: str, is_live: bool):
    """push is on and more."""
    assert Settings.from_environment(ENVIRONMENT | {settings.LIVE: value}).is_live == is_live


def test_function_without_processor_has_none():
    """Only the fan-out function is told of a processor."""
    assert Settings.from_environment(ENVIRONMENT).processor_function is None
    named = Settings.from_environment(ENVIRONMENT | {"WINDROW_PROCESSOR_FUNCTION": "p"})
    assert named.processor_function == "p"
