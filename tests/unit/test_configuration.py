"""Which stage a command means: options, then the environment, then the folder's file, then the user's."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from windrow.errors import UsageError
from windrow_cli import stage as common
from windrow_cli.main import run
from windrow_operations.configuration import FILE_BYTES_MAX, configured

FOLDER = 'target = "aws"\nstage = "folder"\n'
USER = 'stage = "user"\nregion = "eu-north-1"\nprofile = "user"\n'


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A folder and a user, each with a file, and nothing in the environment."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "WINDROW_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    (tmp_path / "aws").write_text("[profile user]\nregion = eu-west-3\n[profile other]\n")
    (tmp_path / "user/.config/windrow").mkdir(parents=True)
    (tmp_path / "user/.config/windrow/windrow.toml").write_text(USER)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/windrow.toml").write_text(FOLDER)
    monkeypatch.chdir(tmp_path / "here")
    return monkeypatch


@click.command()
@common.stage_option
def where(stage_name: str) -> None:
    """Print what a command would do."""
    place = common.chosen_place()
    click.echo(f"{place.name} {stage_name} {place.region} {place.profile}")


def said(*arguments: str) -> str:
    result = CliRunner().invoke(where, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


@pytest.mark.parametrize(
    ("variables", "arguments", "expected"),
    [
        ({}, [], "aws folder eu-north-1 user"),
        ({"WINDROW_STAGE": "variable"}, [], "aws variable eu-north-1 user"),
        ({"WINDROW_STAGE": "variable"}, ["--stage", "option"], "aws option eu-north-1 user"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, [], "aws folder eu-west-1 user"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, ["--region", "eu-west-2"], "aws folder eu-west-2 user"),
        ({"AWS_PROFILE": "other"}, [], "aws folder eu-north-1 None"),
        ({"AWS_PROFILE": "other"}, ["--profile", "user"], "aws folder eu-north-1 user"),
        ({"AWS_ACCESS_KEY_ID": "test"}, [], "aws folder eu-north-1 None"),
        ({"WINDROW_TARGET": "localstack"}, [], "localstack folder us-east-1 None"),
        ({}, ["--target", "localstack"], "localstack folder us-east-1 None"),
        ({"WINDROW_TARGET": "localstack"}, ["--target", "aws"], "aws folder eu-north-1 user"),
    ],
)
def test_who_is_nearer_is_heard(
    environment: pytest.MonkeyPatch, variables: dict[str, str], arguments: list[str], expected: str
) -> None:
    """Name by name; what a file says of AWS is not for a stand-in. boto3 reads AWS_PROFILE and keys itself."""
    for name, value in variables.items():
        environment.setenv(name, value)
    assert said(*arguments) == expected


def test_another_config_home(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CONFIG_HOME moves the user's file; one that is relative is ignored, as its specification has it."""
    (tmp_path / "other/windrow").mkdir(parents=True)
    (tmp_path / "other/windrow/windrow.toml").write_text('region = "sa-east-1"\n')
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    assert configured(os.environ, folder=Path.cwd())["region"].value == "sa-east-1"
    environment.setenv("XDG_CONFIG_HOME", "other")
    assert configured(os.environ, folder=Path.cwd())["region"].value == "eu-north-1"


def test_no_file_is_needed(tmp_path: Path) -> None:
    """Nor a home."""
    choices = configured({}, folder=tmp_path)
    assert {name: one.value for name, one in choices.items()} == {
        "target": "embedded",
        "stage": "dev",
        "region": None,
        "profile": None,
    }
    assert {one.source for one in choices.values()} == {""}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stagge = 'x'", "no setting 'stagge'", "did you mean stage"),
        ("target = 'azure'", "no target 'azure'", "one of: embedded, localstack, aws"),
        ("stage = 3", "stage is 3", 'stage = "..."'),
        ("region = ''", "region is ''", "quotes"),
        ("[aws]\nregion = 'x'", "no setting 'aws'", "one of: target"),
        ("stage: prod", "is not TOML", 'target = "aws"'),
        ("stage = 'a'\n" + "#" * FILE_BYTES_MAX + "\nstage = 3", "", ""),
        (b"stage = '\xff'", "is not TOML", "lines"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str | bytes, message: str, hint: str) -> None:
    """With what to write instead; nothing behind the bound is read."""
    path = tmp_path / "windrow.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if not message:
        assert configured({}, folder=tmp_path)["stage"].value == "a"
        return
    with pytest.raises(UsageError) as caught:
        configured({}, folder=tmp_path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_wrong_file_is_one_line_of_every_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also of one that the file does not concern otherwise."""
    (tmp_path / "here/windrow.toml").write_text("stagge = 'x'")
    for command in ("status", "config"):
        assert run([command]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "did you mean stage" in told


def test_config_shows_who_says_so(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Value and source of each, and where files are looked for."""
    environment.setenv("AWS_REGION", "eu-west-1")
    assert run(["config", "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    here, user = (str(tmp_path / one) for one in ("here/windrow.toml", "user/.config/windrow/windrow.toml"))
    assert facts["target"] == {"value": "aws", "source": here}
    assert facts["stage"] == {"value": "folder", "source": here}
    assert facts["region"] == {"value": "eu-west-1", "source": "AWS_REGION"}
    assert facts["profile"] == {"value": "user", "source": user}
    assert facts["files"] == [{"path": here, "is_there": True}, {"path": user, "is_there": True}]
    assert run(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["target", "aws", here]
    assert lines[4].split() == ["home", str(tmp_path / "user/.windrow"), "default"]
    assert lines[-1] == f"read: {user}"
