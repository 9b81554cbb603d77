"""`windrow gateways`, up to the API boundary: what is made, and in which order it ends."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stubbed_aws import PLACE, stubbed
from tests.unit.test_deploy_command import STAGE
from windrow.errors import NotFound, UsageError, WindrowError
from windrow.lake.gateway_api import GatewayCredentials
from windrow.lake.gateways import SCOPE, Gateway
from windrow.lake.layout import gateway_key
from windrow.stage import Stage
from windrow_cli.main import windrow
from windrow_operations import gateways

SECRET = "a-secret-of-24-characters"
PAGE = {"UserPoolId": "pool", "MaxResults": gateways.CLIENTS_AT_ONCE}
ROOF = Gateway(name="roof", client="c7", sensors=("site-7/",))


@pytest.fixture
def stage() -> Stage:
    made = replace(
        STAGE, place=PLACE, user_pool="pool", gateways_url="https://api", sign_in_url="https://pool.auth.example"
    )
    made.__dict__["lake"] = SimulatedStore(S3State().apply, "lake")
    return made


def named(*names: tuple[str, str]) -> dict[str, Any]:
    return {"UserPoolClients": [{"ClientId": client, "ClientName": name} for client, name in names]}


def test_a_gateway_is_a_client_with_one_scope_and_an_object(stage: Stage) -> None:
    """All of its pool's clients are looked through; the secret is in the credentials and nowhere else."""
    with stubbed("cognito-idp") as (cognito,):
        cognito.add_response("list_user_pool_clients", named(("c1", "page")) | {"NextToken": "more"}, PAGE)
        cognito.add_response("list_user_pool_clients", named(("c2", "roof")), PAGE | {"NextToken": "more"})
        asked = {
            "UserPoolId": "pool",
            "ClientName": "gateway roof",
            "GenerateSecret": True,
            "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"],
            "AllowedOAuthFlowsUserPoolClient": True,
            "AllowedOAuthFlows": ["client_credentials"],
            "AllowedOAuthScopes": [SCOPE],
            "AccessTokenValidity": gateways.TOKEN_HOURS,
            "TokenValidityUnits": {"AccessToken": "hours"},
        }
        made = {"UserPoolClient": {"ClientId": "c7", "ClientSecret": SECRET}}
        cognito.add_response("create_user_pool_client", made, asked)
        credentials = gateways.add(stage, "roof", ["site-7/"])

    assert credentials == GatewayCredentials(
        name="roof",
        url="https://api",
        token_url="https://pool.auth.example/oauth2/token",
        client_id="c7",
        client_secret=SECRET,
        sensors=("site-7/",),
    )
    stored = stage.lake.get(gateway_key("c7"))
    assert stored is not None
    assert Gateway.from_json(stored.body) == ROOF
    assert SECRET.encode() not in stored.body
    assert gateways.gateways(stage) == [ROOF]


def test_a_name_is_taken_once(stage: Stage) -> None:
    """Else two boxes would write under it, and one could not be removed alone."""
    with stubbed("cognito-idp") as (cognito,):
        cognito.add_response("list_user_pool_clients", named(("c7", "gateway roof")), PAGE)
        with pytest.raises(UsageError, match="there is a gateway 'roof'"):
            gateways.add(stage, "roof", ["site-7/"])


def test_a_gateway_ends_with_what_is_left_of_it(stage: Stage) -> None:
    """Its object first, without which a token is worth nothing; also one that was half made or half removed."""
    stage.lake.put(gateway_key("c7"), ROOF.to_json())
    stage.lake.put(gateway_key("c8"), replace(ROOF, name="cellar", client="c8").to_json())
    with stubbed("cognito-idp") as (cognito,):
        cognito.add_response("list_user_pool_clients", named(("c6", "gateway roof"), ("c9", "page")), PAGE)
        cognito.add_response("delete_user_pool_client", {}, {"UserPoolId": "pool", "ClientId": "c6"})
        cognito.add_client_error(
            "delete_user_pool_client",
            "ResourceNotFoundException",
            expected_params={"UserPoolId": "pool", "ClientId": "c7"},
        )
        gateways.remove(stage, "roof")
        cognito.add_response("list_user_pool_clients", named(("c9", "page")), PAGE)
        with pytest.raises(NotFound, match="roof"):
            gateways.remove(stage, "roof")
    assert [one.name for one in gateways.gateways(stage)] == ["cellar"]


@pytest.mark.parametrize("without", ["user_pool", "gateways_url"])
def test_a_stage_without_uploads_by_tokens_says_what_it_lacks(stage: Stage, without: str) -> None:
    """Before anything is asked."""
    bare = replace(stage, **cast("Any", {without: ""}))
    for act in (
        lambda: gateways.add(bare, "roof", ["a"]),
        lambda: gateways.remove(bare, "roof"),
        lambda: gateways.gateways(bare),
    ):
        with pytest.raises(WindrowError, match="has no uploads by tokens"):
            act()


def test_the_command_says_what_it_would_do_and_prints_credentials(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials go to standard output alone, as JSON."""
    monkeypatch.setattr("windrow_cli.gateways.open_stage", lambda _: stage)
    made = GatewayCredentials(name="roof", url="u", token_url="t", client_id="c", client_secret="s", sensors=("a",))
    monkeypatch.setattr(gateways, "add", lambda *_: made)
    stage.lake.put(gateway_key("c7"), ROOF.to_json())
    run = CliRunner().invoke

    dry = run(windrow, ["gateways", "add", "roof", "--sensors", "site-7/", "--dry-run"])
    added = run(windrow, ["gateways", "add", "roof", "--sensors", "site-7/"])
    wrong = run(windrow, ["gateways", "add", "roof", "--sensors", ""])
    listed = run(windrow, ["gateways", "list", "--format", "csv"])
    unsure = run(windrow, ["gateways", "remove", "roof", "--dry-run"])

    assert dry.stdout == "let roof upload to stage dev for site-7/*\n"
    assert json.loads(added.stdout)["client_secret"] == "s"
    assert "secret, it is not shown again" in added.stderr
    assert isinstance(wrong.exception, UsageError)
    assert listed.stdout == "gateway,client,sensors\nroof,c7,site-7/*\n"
    assert unsure.stdout == "remove roof from stage dev\n"
