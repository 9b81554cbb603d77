"""The AWS clients: bounded, shared, and readable when nothing answers."""

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from windrow.aws import EMBEDDED, FUNCTION, Place, client, client_config, readable, readable_errors
from windrow.deployment import find_deployment
from windrow.errors import WindrowError

NOBODY = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")  # port 1 (tcpmux) has no server
AWS = Place("aws", None, "eu-central-1")


@pytest.mark.slow
def test_dead_endpoint_is_one_line_with_a_hint():
    """Nothing at the endpoint: the error names it in one line and says how to start it."""
    with pytest.raises(WindrowError) as caught:
        find_deployment(NOBODY, "dev")
    assert caught.value.message == "nothing answers at http://127.0.0.1:1"
    assert caught.value.hint == "run: windrow up"


def test_client_is_made_once_per_service_and_place():
    """The same service and place give the same client, another place another one."""
    assert client("s3", NOBODY) is client("s3", Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1"))
    assert client("s3", NOBODY) is not client("s3", Place(EMBEDDED, "http://127.0.0.1:2", "us-east-1"))


def test_every_wait_is_bounded():
    """No client waits for ever to connect or to read, or retries without end."""
    for service in ("s3", "kinesis", "lambda", "cloudformation"):
        config = client_config(service, AWS)
        assert 0 < config.connect_timeout <= 10
        assert 0 < config.read_timeout <= 300
        assert config.retries == {"mode": "standard", "total_max_attempts": 4}


def test_stand_in_is_reached_by_path_and_past_proxies(monkeypatch):
    """At a local endpoint buckets are in the path, and proxy settings of the environment do not count."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    local = client_config("s3", NOBODY)
    assert local.s3 == {"addressing_style": "path"}
    assert local.proxies == {}
    assert client_config("s3", AWS).proxies is None


def test_function_finds_its_place_in_the_environment():
    """A function at a stand-in is told its endpoint; on AWS there is none, and the region is Lambda's."""
    on_aws = Place.of_function({"AWS_REGION": "eu-central-1"})
    assert on_aws == Place(FUNCTION, None, "eu-central-1")
    stand_in = Place.of_function({"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    assert stand_in == Place(FUNCTION, "http://127.0.0.1:4566", "us-east-1")


def test_refusal_names_the_operation_and_stays_on_one_line():
    """What the service said is in the error, with its line breaks taken out."""
    refusal = ClientError({"Error": {"Code": "AccessDenied", "Message": "no\n  such right"}}, "PutObject")
    with pytest.raises(WindrowError) as caught, readable_errors(AWS):
        raise refusal
    assert caught.value.message == "AWS in eu-central-1 refused PutObject: AccessDenied: no such right"


def test_slow_answer_and_missing_keys_are_told_apart():
    """A timeout is not called a dead endpoint, and missing credentials say what to do."""
    assert "did not answer in time" in readable(ReadTimeoutError(endpoint_url="x"), NOBODY).message
    assert readable(NoCredentialsError(), AWS).hint == "set AWS_PROFILE, or run: aws configure"
