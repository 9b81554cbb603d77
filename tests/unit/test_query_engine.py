"""Which engine answers is decided by the endpoint and the workgroup alone."""

from pathlib import Path

import pytest

from analytics.athena import AthenaEngine
from analytics.engine import engine_of
from analytics.local import LocalEngine
from windrow.aws.clients import Place
from windrow.stage import Stage


@pytest.mark.slow
@pytest.mark.parametrize(
    ("endpoint_url", "workgroup", "expected"),
    [
        (None, "windrow-dev", AthenaEngine),
        (None, "", LocalEngine),
        ("http://127.0.0.1:4566", "windrow-dev", LocalEngine),
        ("http://127.0.0.1:4566", "", LocalEngine),
    ],
)
def test_athena_answers_only_where_it_is_real_and_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint_url: str | None, workgroup: str, expected: type
) -> None:
    """An emulator's Athena is incomplete; a stage deployed without analytics has no workgroup."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    stage = Stage(
        place=Place("anywhere", endpoint_url, "eu-central-1"),
        name="dev",
        lateness_horizon_hours=168,
        stream_retention_hours=24,
        stream_name="s",
        lake_bucket="l",
        results_bucket="r",
        failures_bucket="f",
        consumer_function="c",
        dispatcher_function="d",
        database="windrow_dev",
        workgroup=workgroup,
        mode="direct",
    )
    assert isinstance(engine_of(stage, home=tmp_path), expected)
