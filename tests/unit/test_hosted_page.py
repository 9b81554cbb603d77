"""The hosted page and its place in the template: what may be loaded, who may read, who may ask."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analytics.api import document, operations, uploads
from analytics.page import FILES, SignIn, hosted_page, served_page
from infra import api_code, template
from infra.package import Package
from infra.plan import DeploymentOptions, plan_deployment
from tests.unit.stubbed_aws import PLACE, stubbed
from tests.unit.test_deploy_command import STAGE
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place
from windrow.errors import UsageError
from windrow.lake import layout
from windrow.lake.gateways import SCOPE
from windrow_operations import site, users

RESOURCES = template.load()["Resources"]
SIGN_IN = SignIn(authority="https://windrow-prod-1.auth.eu-central-1.amazoncognito.com", client="abc")
WEB = DeploymentOptions(parameters={"Web": "on"})
CODE = Package(function="api", body=b"zip", parts={"windrow": 3, "duckdb": 1})
OF_WEB = {
    name for name, one in RESOURCES.items() if str(one.get("Condition", "")).startswith(("HasWeb", "HasGateways"))
}


def test_the_page_may_ask_its_own_server_and_the_sign_in() -> None:
    """Nobody else; no script of its own but the import map, whose digest it knows; and nothing but that differs."""
    page = hosted_page(SIGN_IN)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    directives = dict(one.split(" ", 1) for one in policy.split("; "))
    assert directives["connect-src"] == f"'self' {SIGN_IN.authority}"
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<script")
    assert 'data-client="abc"' in page
    assert "data-authority" not in served_page()


def test_a_page_that_hears_live_values_may_connect_there() -> None:
    """At the address of the stage's WebSocket API, which it is told; without one, it is told of none."""
    page = hosted_page(SIGN_IN, socket_url="wss://abc.execute-api.eu-central-1.amazonaws.com/live")
    origin = "wss://abc.execute-api.eu-central-1.amazonaws.com"
    assert f"connect-src 'self' {SIGN_IN.authority} {origin};" in page
    assert f'data-socket="{origin}/live"' in page
    assert "data-socket" not in hosted_page(SIGN_IN)
    assert "wss:" not in hosted_page(SIGN_IN)


def test_what_the_sign_in_is_called_cannot_end_an_attribute() -> None:
    """It comes from the outputs of a stack."""
    page = hosted_page(SignIn(authority='"><script>', client='"'))
    assert '"><script>' not in page.partition("<head>")[0]


def test_live_values_know_the_rules_of_the_stage() -> None:
    """By whose limits they are tallied; without live values the function is told nothing of rules."""
    told = RESOURCES["ApiFunction"]["Properties"]["Environment"]["Variables"]
    assert told["WINDROW_RULES"] == {"Fn::If": ["HasLive", {"Ref": "ValueRules"}, ""]}


def test_every_file_is_written_and_the_page_last() -> None:
    """With its type, and asked for anew each time, because names do not change with the content."""
    stage = replace(STAGE, place=PLACE, site_bucket="site", sign_in_url=SIGN_IN.authority, sign_in_client="abc")
    puts = list(site._puts(stage))
    assert [one["Key"] for one in puts] == [*(f"static/{name}" for name in FILES), "index.html"]
    assert puts[-1]["Body"].decode() == hosted_page(SIGN_IN)
    with stubbed("s3", "sts") as (s3, sts):
        sts.add_response("get_caller_identity", {"Account": "123456789012"}, {})
        for one in puts:
            asked = one | {"Bucket": "site", "ExpectedBucketOwner": "123456789012", "CacheControl": "no-cache"}
            s3.add_response("put_object", {}, asked)
        site.publish(stage)


def test_without_the_word_nothing_of_it_is_there() -> None:
    """Every resource of the page and the API has the condition, and the word is off by default."""
    of_kinds = ("AWS::ApiGatewayV2::", "AWS::Cognito::", "AWS::CloudFront::")
    pushing = {name for name, one in RESOURCES.items() if one.get("Condition") == "HasPush"}
    assert {name for name, one in RESOURCES.items() if one["Type"].startswith(of_kinds)} <= OF_WEB | pushing
    assert {"ApiFunction", "ApiRole", "ApiLogGroup", "ApiAccessLogGroup", "SiteBucket", "SiteBucketPolicy"} <= OF_WEB
    assert template.parameters()["Web"]["Default"] == "off"
    others = {name: one for name, one in RESOURCES.items() if name not in OF_WEB | pushing}
    referred = set(re.findall(r'"(?:Ref": "|Fn::GetAtt": \[")([A-Za-z]+)', json.dumps(others)))
    assert referred & OF_WEB == set()


def test_the_api_asks_for_a_token_of_its_own_pool_with_the_scope() -> None:
    """On its only route beside those of gateways; pool, the document and the code mean the same scope and groups."""
    routes = [one for one in RESOURCES.values() if one["Type"] == "AWS::ApiGatewayV2::Route"]
    (route,) = [one["Properties"] for one in routes if one["Condition"] == "HasWeb"]
    assert route["RouteKey"] == f"ANY /{operations.VERSION}/{{proxy+}}"
    assert route["AuthorizationType"] == "JWT"
    assert route["AuthorizationScopes"] == [document.SCOPE]
    jwt = RESOURCES["ApiAuthorizer"]["Properties"]["JwtConfiguration"]
    assert jwt["Audience"] == [{"Ref": "SignInClient"}]
    assert jwt["Issuer"]["Fn::Sub"].endswith("/${Users}")
    server = RESOURCES["ResultsScope"]["Properties"]
    assert [f"{server['Identifier']}/{one['ScopeName']}" for one in server["Scopes"]] == [document.SCOPE]
    groups = {one["Properties"]["GroupName"] for one in RESOURCES.values() if one["Type"].endswith("UserPoolGroup")}
    assert groups == set(users.GROUPS) == {operations.VIEWER, operations.OPERATOR}
    assert "CorsConfiguration" not in RESOURCES["Api"]["Properties"]


def test_gateways_have_two_routes_whose_tokens_the_function_checks() -> None:
    """With uploads and the API alone; their scope is the code's, and the function may do what they need and no more."""
    routes = [
        one["Properties"]
        for one in RESOURCES.values()
        if one.get("Condition") == "HasGateways" and "Route" in one["Type"]
    ]
    assert {(one["RouteKey"], one["AuthorizationType"]) for one in routes} == {
        (f"POST {uploads.PATH}", "NONE"),
        (f"GET {uploads.RECEIPT_PATH}", "NONE"),
    }
    server = RESOURCES["GatewaysScope"]["Properties"]
    assert [f"{server['Identifier']}/{one['ScopeName']}" for one in server["Scopes"]] == [SCOPE]
    variables = RESOURCES["ApiFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["WINDROW_TOKEN_ISSUER"] == RESOURCES["ApiAuthorizer"]["Properties"]["JwtConfiguration"]["Issuer"]
    policy = RESOURCES["GatewaysPolicy"]["Properties"]
    assert policy["Roles"] == [{"Ref": "ApiRole"}]
    lake = [{"Fn::Sub": f"${{LakeBucket.Arn}}/{prefix}*"} for prefix in (layout.GATEWAYS, layout.RECEIPTS)]
    assert [(one["Action"], one["Resource"]) for one in policy["PolicyDocument"]["Statement"][:4]] == [
        ("s3:PutObject", {"Fn::Sub": f"${{UploadsBucket.Arn}}/{layout.GATEWAY_UPLOADS}*"}),
        ("s3:ListBucketVersions", {"Fn::GetAtt": ["UploadsBucket", "Arn"]}),
        ("s3:GetObject", lake),
        ("s3:ListBucket", {"Fn::GetAtt": ["LakeBucket", "Arn"]}),
    ]
    assert template.load()["Conditions"]["HasGateways"]["Fn::And"][0] == {"Condition": "HasWeb"}


def test_only_administrators_make_users_and_the_page_keeps_no_secret() -> None:
    """The code flow alone, with PKCE in place of a secret."""
    assert RESOURCES["Users"]["Properties"]["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    client = RESOURCES["SignInClient"]["Properties"]
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["CallbackURLs"] == client["LogoutURLs"]
    assert RESOURCES["Users"]["DeletionPolicy"] == "Delete"


def test_the_files_are_read_by_the_stages_distribution_alone() -> None:
    """No public access, and a condition on the distribution; answers of the API are cached nowhere on the way."""
    bucket = RESOURCES["SiteBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    site_statement, tls = RESOURCES["SiteBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (source,) = site_statement["Condition"]["StringEquals"].values()
    assert site_statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert source["Fn::Sub"].endswith(":distribution/${Site}")
    assert tls["Fn::If"][1]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    distribution = RESOURCES["Site"]["Properties"]["DistributionConfig"]
    (of_api,) = distribution["CacheBehaviors"]
    assert of_api["PathPattern"] == f"/{operations.VERSION}/*"
    assert of_api["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # Managed-CachingDisabled
    assert of_api["AllowedMethods"] == ["GET", "HEAD"]


def test_access_logs_have_no_token_and_no_parameter() -> None:
    """What a line holds is said one by one."""
    log = json.loads(RESOURCES["ApiStage"]["Properties"]["AccessLogSettings"]["Format"])
    assert set(log) == {"time", "id", "method", "path", "status", "latency", "error"}
    assert not any("header" in value.lower() or "query" in value.lower() for value in log.values())


@pytest.mark.parametrize(
    ("chosen", "had", "has_code"),
    [
        ({"Web": "on"}, {}, True),
        ({}, {"Web": "on"}, True),  # a new release of windrow brings it new code
        ({"Web": "off"}, {"Web": "on"}, False),
        ({}, {}, False),
    ],
)
def test_the_function_is_packaged_for_who_has_it(
    chosen: dict[str, str], had: dict[str, str], has_code: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is chosen counts, and otherwise what the stage has."""
    monkeypatch.setattr("infra.package.build", lambda *_, **__: CODE)
    named = [{"ParameterKey": name, "ParameterValue": value} for name, value in had.items()]
    entry: dict[str, Any] = {"StackName": "windrow-prod", "CreationTime": "2026-11-20T00:00:00Z"}
    entry |= {"StackStatus": "UPDATE_COMPLETE", "Parameters": named}
    options = DeploymentOptions(parameters=chosen)
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response("describe_stacks", {"Stacks": [entry]}, {"StackName": "windrow-prod"})
        found = api_code.code_for(PLACE, "prod", options, functions_wheels=None, home=tmp_path)
    assert (found is not None) == has_code


@pytest.mark.slow
def test_the_plan_says_where_a_stand_in_is_reached() -> None:
    """And nothing of the kind on AWS; LocalStack's community edition has none of the services."""
    embedded = Place(EMBEDDED, "http://127.0.0.1:4567", "us-east-1")
    plan = plan_deployment(embedded, "prod", WEB, api=CODE)
    assert (plan.parameters["StandInPort"], plan.parameters["ApiCodeKey"]) == ("4567", CODE.key)
    assert plan.packages[-1] is CODE
    assert any("mails" in what for what in plan.left_out)
    assert "StandInPort" not in plan_deployment(PLACE, "prod", WEB, api=CODE).parameters
    assert "ApiCodeKey" not in plan_deployment(PLACE, "prod", DeploymentOptions()).parameters
    with pytest.raises(UsageError, match="Web=on needs what LocalStack"):
        plan_deployment(Place(LOCALSTACK, "http://127.0.0.1:4566", "us-east-1"), "prod", WEB)
