"""Targets: what --target, --region and --profile mean, in any command, and what stays unsaid."""

from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from infra.targets import find_place
from windrow.aws.clients import AWS, EMBEDDED, LOCALSTACK, Place, client, readable
from windrow.errors import UsageError, WindrowError
from windrow_cli.stage import chosen_place, chosen_target, stage_option

CONFIGURATION = "[profile away]\nregion = ap-southeast-2\n[profile nowhere]\noutput = json\n"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS configuration of two profiles, and nothing else."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "LOCALSTACK_HOST"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(CONFIGURATION)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("WINDROW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WINDROW_TARGET", raising=False)


@click.command()
@stage_option
def where(stage_name: str) -> None:
    """Print the place."""
    place = chosen_place()
    click.echo(f"{stage_name} {chosen_target()} {place.name} {place.endpoint_url} {place.region} {place.profile}")


def said(*arguments: str, **variables: str) -> str:
    """What the command prints with these options and variables; errors are raised."""
    result = CliRunner().invoke(where, arguments, env=variables, catch_exceptions=False, standalone_mode=False)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.stdout.strip()


def test_target_names_are_the_same_for_the_command_and_the_clients():
    """The option is spelled without importing the clients."""
    (target,) = [one for one in where.params if one.name == "target"]
    assert isinstance(target.type, click.Choice)
    assert tuple(target.type.choices) == (EMBEDDED, LOCALSTACK, AWS)


def test_aws_takes_region_and_profile_as_aws_does():
    """The option, then the environment, then the profile."""
    assert said("--target", "aws", "--profile", "away") == "dev aws aws None ap-southeast-2 away"
    assert said("--target", "aws", "--profile", "away", "--region", "us-west-2") == "dev aws aws None us-west-2 away"
    assert said("--target", "aws", AWS_REGION="eu-west-1") == "dev aws aws None eu-west-1 None"
    assert said(WINDROW_TARGET="aws", AWS_DEFAULT_REGION="eu-west-1") == "dev aws aws None eu-west-1 None"


def test_aws_without_a_region_is_refused():
    """Nobody is sent to a region they did not choose."""
    with pytest.raises(UsageError, match="no AWS region is chosen"):
        said("--target", "aws", "--profile", "nowhere")


def test_unknown_profile_is_refused():
    """In one line, with where to look."""
    with pytest.raises(UsageError, match="there is no AWS profile 'typo'"):
        said("--target", "aws", "--profile", "typo")


def test_aws_is_never_another_endpoint():
    """A variable that sends every request elsewhere does not go with --target aws."""
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL is set, so this would not be AWS"):
        said("--target", "aws", "--region", "eu-west-1", AWS_ENDPOINT_URL="http://127.0.0.1:4566")


def test_localstack_is_where_its_own_client_looks():
    """This machine's port 4566, LOCALSTACK_HOST, or AWS_ENDPOINT_URL."""
    assert said("--target", "localstack") == "dev localstack localstack http://localhost:4566 us-east-1 None"
    assert "http://there:4599" in said("--target", "localstack", LOCALSTACK_HOST="there:4599")
    assert "http://there:4577" in said("--target", "localstack", AWS_ENDPOINT_URL="http://there:4577")


@pytest.mark.slow
def test_stand_ins_take_no_profile_and_see_no_credentials(monkeypatch: pytest.MonkeyPatch):
    """The user's keys stay out of a stand-in, whatever the environment holds."""
    with pytest.raises(UsageError, match="--profile is for --target aws"):
        said("--target", "localstack", "--profile", "away")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-user")
    for place in (Place(EMBEDDED, "http://127.0.0.1:2", "us-east-1"), Place(LOCALSTACK, "http://there:2", "us-east-1")):
        made = client("s3", place)
        keys = made._request_signer._credentials
        assert "AKIAIOSFODNN7EXAMPLE" not in (keys.access_key, keys.secret_key)
        assert keys.secret_key != "secret-of-the-user"
        assert made.meta.endpoint_url == place.endpoint_url


def test_embedded_stack_that_does_not_run_says_how_to_start_it(tmp_path: Path):
    """The default target."""
    with pytest.raises(WindrowError, match="the embedded stack is not running"):
        find_place(EMBEDDED, home=tmp_path)
    with pytest.raises(UsageError, match="always in us-east-1"):
        find_place(EMBEDDED, home=tmp_path, region="eu-west-1")


def test_key_ids_are_not_printed():
    """What AWS says about a key is told without the key."""
    message = "The security token of AKIAIOSFODNN7EXAMPLE included in the request is invalid"
    error = ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": message}}, "DescribeStacks")
    told = readable(error, Place(AWS, None, "eu-west-1"))
    assert "AKIA..." in told.message
    assert "IOSFODNN7EXAMPLE" not in told.message
    assert "sign in again" in told.hint
