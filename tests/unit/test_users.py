"""`windrow users`, up to the API boundary: who is invited, into which group, and what is said."""

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from tests.unit.stubbed_aws import PLACE, stubbed
from tests.unit.test_deploy_command import STAGE
from windrow.aws.clients import EMBEDDED, Place
from windrow.errors import NotFound, WindrowError
from windrow_cli import users as command
from windrow_operations import users

EMAIL = "ada@example.com"
HOSTED = replace(STAGE, place=PLACE, user_pool="pool", site_url="https://d1.cloudfront.net/")
MEMBER = {"UserPoolId": "pool", "Username": EMAIL}
INVITED = {
    **MEMBER,
    "UserAttributes": [{"Name": "email", "Value": EMAIL}, {"Name": "email_verified", "Value": "true"}],
}


def groups(cognito: Any, joined: str, left: str) -> None:
    cognito.add_response("admin_remove_user_from_group", {}, MEMBER | {"GroupName": left})
    cognito.add_response("admin_add_user_to_group", {}, MEMBER | {"GroupName": joined})


def test_a_new_user_is_invited_by_mail() -> None:
    """Cognito makes the password and sends it; windrow neither knows nor prints it."""
    with stubbed("cognito-idp") as (cognito,):
        cognito.add_response("admin_create_user", {"User": {}}, INVITED)
        groups(cognito, "viewer", "operator")
        assert users.add(HOSTED, EMAIL, "viewer") is None


def test_a_known_user_changes_the_group_and_keeps_the_password() -> None:
    """So the command can be repeated; a user is in one of the two groups."""
    with stubbed("cognito-idp") as (cognito,):
        cognito.add_client_error("admin_create_user", "UsernameExistsException", expected_params=INVITED)
        groups(cognito, "operator", "viewer")
        assert users.add(HOSTED, EMAIL, "operator") is None


def test_users_are_listed_page_by_page() -> None:
    """By address, with groups, and whether the invitation is open."""

    def entry(email: str, status: str) -> dict[str, Any]:
        return {"Username": f"id-{email}", "UserStatus": status, "Attributes": [{"Name": "email", "Value": email}]}

    with stubbed("cognito-idp") as (cognito,):
        first = {"UserPoolId": "pool", "Limit": users.USERS_AT_ONCE}
        page = {"Users": [entry("b@x.de", "CONFIRMED")], "PaginationToken": "more"}
        cognito.add_response("list_users", page, first)
        of_b = {"Groups": [{"GroupName": "viewer"}, {"GroupName": "operator"}]}
        cognito.add_response("admin_list_groups_for_user", of_b, {"UserPoolId": "pool", "Username": "id-b@x.de"})
        last = {"Users": [entry("a@x.de", "FORCE_CHANGE_PASSWORD")]}
        cognito.add_response("list_users", last, first | {"PaginationToken": "more"})
        cognito.add_response(
            "admin_list_groups_for_user", {"Groups": []}, {"UserPoolId": "pool", "Username": "id-a@x.de"}
        )
        found = users.users(HOSTED)
    assert found == [
        users.User(email="a@x.de", status="invited", groups=()),
        users.User(email="b@x.de", status="confirmed", groups=("operator", "viewer")),
    ]


def test_who_is_not_there_cannot_be_removed() -> None:
    """The error says how to see who is."""
    with stubbed("cognito-idp") as (cognito,):
        cognito.add_response("admin_delete_user", {}, MEMBER)
        users.remove(HOSTED, EMAIL)
        cognito.add_client_error("admin_delete_user", "UserNotFoundException", expected_params=MEMBER)
        with pytest.raises(NotFound, match=EMAIL) as missing:
            users.remove(HOSTED, EMAIL)
    assert missing.value.hint == "run: windrow users list"


@pytest.mark.parametrize("operation", [lambda: users.add(STAGE, EMAIL, "viewer"), lambda: users.users(STAGE)])
def test_a_stage_without_a_page_has_no_users(operation: Any) -> None:
    """It says how to get one."""
    with pytest.raises(WindrowError, match="no page with sign-in") as refused:
        operation()
    assert "--set Web=on" in refused.value.hint


def test_the_command_says_who_may_sign_in_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no mails are sent, with the password for the first time; a dry run and a misspelled address do nothing."""
    added: list[tuple[str, str]] = []

    def add(_: object, email: str, group: str) -> str:
        added.append((email, group))
        return "Aa1-once"

    monkeypatch.setattr(users, "add", add)
    at_embedded = replace(HOSTED, place=Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1"))
    monkeypatch.setattr(command, "open_stage", lambda _: at_embedded)
    run = CliRunner().invoke
    said = run(command.users, ["add", EMAIL, "--group", "operator"])
    assert said.exit_code == 0
    assert said.stdout == (
        f"{EMAIL} may sign in to https://d1.cloudfront.net/ as operator\npassword for the first time: Aa1-once\n"
    )
    assert run(command.users, ["add", EMAIL, "--dry-run"]).exit_code == 0
    assert run(command.users, ["add", "ada"]).exit_code != 0
    assert run(command.users, ["add", EMAIL, "--group", "admin"]).exit_code == 2
    assert added == [(EMAIL, "operator")]
