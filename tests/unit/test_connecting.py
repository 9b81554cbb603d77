"""`connect()` finds what the command finds: by arguments, then by the environment, else the embedded stack."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import analytics
import windrow
from windrow.aws.clients import Place
from windrow.errors import WindrowError
from windrow_operations import connecting

STAND_IN = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing is chosen, and no embedded stack runs."""
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "WINDROW_TARGET",
        "WINDROW_STAGE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("WINDROW_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def place_of(**arguments: Any) -> Place:
    return connecting._place(**dict.fromkeys(("target", "region", "profile", "endpoint_url")) | arguments)


def on_aws(region: str) -> Place:
    return Place("aws", None, region)


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ({"region": "eu-central-1"}, {}, on_aws("eu-central-1")),
        ({"target": "aws"}, {"AWS_REGION": "eu-west-1"}, on_aws("eu-west-1")),
        ({"target": "aws", "region": "eu-north-1"}, {"AWS_REGION": "eu-west-1"}, on_aws("eu-north-1")),
        ({}, {"WINDROW_TARGET": "aws", "AWS_DEFAULT_REGION": "eu-west-1"}, on_aws("eu-west-1")),
        ({}, {"AWS_ENDPOINT_URL": STAND_IN}, Place("embedded", STAND_IN, "us-east-1")),
        ({"endpoint_url": STAND_IN}, {"WINDROW_TARGET": "aws"}, Place("embedded", STAND_IN, "us-east-1")),
        (
            {},
            {"WINDROW_TARGET": "localstack", "AWS_ENDPOINT_URL": STAND_IN},
            Place("localstack", STAND_IN, "us-east-1"),
        ),
    ],
)
def test_arguments_come_before_the_environment(
    environment: pytest.MonkeyPatch, arguments: dict[str, str], environ: dict[str, str], expected: Place
) -> None:
    """As for the command."""
    for name, value in environ.items():
        environment.setenv(name, value)
    assert place_of(**arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "environ", "message", "hint"),
    [
        ({}, {}, "the embedded stack is not running", "windrow up"),
        ({"target": "aws"}, {}, "no AWS region is chosen", "give region="),
        ({"target": "azure"}, {}, "there is no target 'azure'", "embedded, localstack, aws"),
        ({"target": "embedded", "profile": "x"}, {}, 'profile= is for target="aws" only', "leave it out"),
        ({"target": "embedded", "region": "eu-west-1"}, {}, "always in us-east-1", "leave out region="),
        ({"target": "aws", "region": "x"}, {"AWS_ENDPOINT_URL": STAND_IN}, "would not be AWS", 'target="localstack"'),
        ({"target": "aws", "endpoint_url": STAND_IN}, {}, "both a target and an endpoint_url", "one of them"),
        pytest.param({"endpoint_url": STAND_IN}, {}, "nothing answers at", "", marks=pytest.mark.slow),
    ],
)
def test_a_place_that_is_not_there_is_told_in_words_of_python(
    environment: pytest.MonkeyPatch, arguments: dict[str, str], environ: dict[str, str], message: str, hint: str
) -> None:
    """No option of the command is named, but what to write instead."""
    for name, value in environ.items():
        environment.setenv(name, value)
    with pytest.raises(WindrowError) as caught:
        windrow.connect(**arguments)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "--" not in caught.value.message + caught.value.hint


def test_a_file_is_asked_last(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Arguments and the environment come before windrow.toml, as for the command."""
    (tmp_path / "windrow.toml").write_text('target = "aws"\nregion = "eu-north-1"\n')
    assert place_of() == on_aws("eu-north-1")
    assert place_of(region="eu-west-1") == on_aws("eu-west-1")
    assert place_of(target="localstack").name == "localstack"
    environment.setenv("AWS_REGION", "eu-central-1")
    assert place_of() == on_aws("eu-central-1")
    environment.setenv("AWS_ENDPOINT_URL", STAND_IN)
    assert place_of() == Place("embedded", STAND_IN, "us-east-1")


def test_a_file_names_the_stage(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stage that is looked for, and not found, is the file's."""
    (tmp_path / "windrow.toml").write_text('stage = "prod"\n')
    assert connecting._choices()["stage"].value == "prod"
    environment.setenv("WINDROW_STAGE", "staging")
    assert connecting._choices()["stage"].value == "staging"


def test_the_older_name_is_the_same() -> None:
    """`from analytics import connect` still works."""
    assert analytics.connect is windrow.connect is connecting.connect


@pytest.mark.slow
def test_a_program_that_only_sends_does_not_load_what_asks() -> None:
    """`from windrow import Producer` needs no pandas and no DuckDB."""
    script = "import sys; from windrow import Producer; sys.exit(bool({'pandas', 'duckdb'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], env=os.environ, check=False).returncode == 0
