"""The AWS clients: bounded, shared, and readable when nothing answers."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)

from windrow.aws.clients import (
    EMBEDDED,
    FUNCTION,
    Place,
    client,
    client_config,
    readable,
    readable_errors,
    wrap_client,
)
from windrow.deployment import find_stage
from windrow.errors import PermanentError, WindrowError

NOBODY = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")  # port 1 (tcpmux) has no server
AWS = Place("aws", None, "eu-central-1")


@pytest.mark.slow
def test_dead_endpoint_is_one_line_with_a_hint():
    """Nothing at the endpoint: the error names it in one line and says how to start it."""
    with pytest.raises(WindrowError) as caught:
        find_stage(NOBODY, "dev")
    assert caught.value.message == "nothing answers at http://127.0.0.1:1"
    assert caught.value.hint == "run: windrow up"


@pytest.mark.slow
def test_client_is_made_once_per_service_and_place():
    """The same service and place give the same client, another place another one."""
    assert client("s3", NOBODY) is client("s3", Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1"))
    assert client("s3", NOBODY) is not client("s3", Place(EMBEDDED, "http://127.0.0.1:2", "us-east-1"))


@pytest.mark.slow
def test_a_client_is_made_without_a_look_at_all_other_services(monkeypatch):
    """400 folders are looked into otherwise; a service that there is not is still an error."""
    monkeypatch.setattr("botocore.loaders.Loader.list_available_services", lambda *_: pytest.fail("looked"))
    place = Place(EMBEDDED, "http://127.0.0.1:3", "us-east-1")
    assert client("s3", place).meta.service_model.service_name == "s3"
    with pytest.raises(WindrowError, match="no-service"):
        client("no-service", place)


@pytest.mark.slow
def test_a_client_can_be_wrapped_and_the_usual_one_is_made_when_it_is_asked_for():
    """Once, and not for clients that do not repeat."""
    place = Place(EMBEDDED, "http://127.0.0.1:4", "us-east-1")
    wrap_client("s3", place, lambda make: ("wrapped", make))
    wrap_client("s3", place, lambda _: pytest.fail("wrapped again"))
    name, make = client("s3", place)
    assert name == "wrapped"
    assert make().meta.endpoint_url == place.endpoint_url
    assert client("s3", place, repeats=False).meta.endpoint_url == place.endpoint_url


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


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (NoCredentialsError(), "aws configure"),
        (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "aws configure"),
        (UnauthorizedSSOTokenError(), "sign in"),
        *[
            (ClientError({"Error": {"Code": code, "Message": "no"}}, "ListShards"), hint)
            for code, hint in (
                ("AccessDenied", "policy"),
                ("AccessDeniedException", "policy"),
                ("ExpiredToken", "sign in"),
                ("InvalidClientTokenId", "sign in"),
                ("SignatureDoesNotMatch", "sign in"),
                ("KMSDisabledException", "KMS key"),
            )
        ],
    ],
    ids=str,
)
def test_permanent_cause_is_unusable(failure, hint):
    """What no later try can mend is told by its type, and the hint says what to change."""
    told = readable(failure, AWS)
    assert isinstance(told, PermanentError)
    assert hint in told.hint


@pytest.mark.parametrize(
    "failure",
    [
        EndpointConnectionError(endpoint_url="x"),
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        CredentialRetrievalError(provider="iam-role", error_msg="timed out"),  # asked again, it may answer
        ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "PutObject"),
        ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject"),
        ClientError({"Error": {}}, "PutObject"),
    ],
    ids=str,
)
def test_passing_cause_is_not_unusable(failure):
    """A network that is away, a service that is busy, a page of somebody else's."""
    assert not isinstance(readable(failure, AWS), PermanentError)


def test_wrong_clock_is_told_as_one():
    """A clock that is set right mends it by itself, so it is not permanent."""
    said = "Signature not yet current: 20261120T110000Z is still later than 20261120T101500Z"
    told = readable(ClientError({"Error": {"Code": "InvalidSignatureException", "Message": said}}, "PutRecords"), AWS)
    assert not isinstance(told, PermanentError)
    assert "clock" in told.hint


def test_profile_and_region_that_do_not_exist_are_unusable(tmp_path, monkeypatch):
    """Both are found when the client is made; neither is an error of botocore's."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(PermanentError, match="nobody"):
        client("kinesis", Place("aws", None, "eu-central-1", profile="nobody"))
    with pytest.raises(PermanentError, match="eu central"):
        client("kinesis", Place("aws", None, "eu central"))


def test_a_web_page_is_not_told_whole():
    """Whatever answers in the place of AWS, its message has an end."""
    error = ClientError({"Error": {"Code": "403", "Message": "<p>\n" * 100_000}}, "GetObject")
    assert len(readable(error, AWS).message) < 700
