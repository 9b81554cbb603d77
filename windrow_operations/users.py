"""The users of a stage's hosted page: they are made here, and nobody makes an account for themselves."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from windrow.aws.clients import client, readable_errors
from windrow.errors import NotFound, WindrowError
from windrow.stage import Stage

GROUPS = ("viewer", "operator")
"""As the template and analytics.api.operations have them."""
USERS_AT_ONCE = 60
_PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user: the address that signs in, whether an invitation is still open, and the groups, ascending."""

    email: str
    status: str
    groups: tuple[str, ...]


def add(stage: Stage, email: str, group: str) -> str | None:
    """Make the user if there is none of this address, and let it be of `group` and no other of GROUPS.

    On AWS a mail invites a new user, with a password for the first time. At a stand-in, which sends no mails, that
    password is returned instead.
    """
    pool = _pool_of(stage)
    password = f"Aa1-{secrets.token_urlsafe(_PASSWORD_BYTES)}" if stage.place.endpoint_url is not None else None
    with readable_errors(stage.place):
        cognito = client("cognito-idp", stage.place)
        given = {} if password is None else {"TemporaryPassword": password, "MessageAction": "SUPPRESS"}
        attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        try:
            cognito.admin_create_user(UserPoolId=pool, Username=email, UserAttributes=attributes, **given)
        except ClientError as error:
            if error.response["Error"]["Code"] != "UsernameExistsException":
                raise
            password = None
        for other in GROUPS:
            if other != group:
                cognito.admin_remove_user_from_group(UserPoolId=pool, Username=email, GroupName=other)
        cognito.admin_add_user_to_group(UserPoolId=pool, Username=email, GroupName=group)
    return password


def remove(stage: Stage, email: str) -> None:
    """Delete the user, whose tokens end within the hour; NotFound if there is none."""
    pool = _pool_of(stage)
    with readable_errors(stage.place):
        try:
            client("cognito-idp", stage.place).admin_delete_user(UserPoolId=pool, Username=email)
        except ClientError as error:
            if error.response["Error"]["Code"] != "UserNotFoundException":
                raise
            raise NotFound(f"stage {stage.name!r} has no user {email}", hint="run: windrow users list") from error


def users(stage: Stage) -> list[User]:
    """Return all users, by address."""
    pool = _pool_of(stage)
    with readable_errors(stage.place):
        cognito = client("cognito-idp", stage.place)
        found = [_user(cognito, pool, one) for one in _entries(cognito, pool)]
    return sorted(found, key=lambda one: one.email)


def _entries(cognito: Any, pool: str) -> Iterator[dict[str, Any]]:
    request: dict[str, Any] = {"UserPoolId": pool, "Limit": USERS_AT_ONCE}
    while True:
        page = cognito.list_users(**request)
        yield from page["Users"]
        if not page.get("PaginationToken"):
            return
        request["PaginationToken"] = page["PaginationToken"]


def _user(cognito: Any, pool: str, entry: dict[str, Any]) -> User:
    attributes = {one["Name"]: one["Value"] for one in entry["Attributes"]}
    groups = cognito.admin_list_groups_for_user(UserPoolId=pool, Username=entry["Username"])["Groups"]
    is_open = entry["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    return User(
        email=attributes.get("email", entry["Username"]),
        status="invited" if is_open else entry["UserStatus"].lower(),
        groups=tuple(sorted(one["GroupName"] for one in groups)),
    )


def _pool_of(stage: Stage) -> str:
    if not stage.user_pool:
        hint = f"deploy it with one: windrow deploy --stage {stage.name} --set Web=on"
        raise WindrowError(f"stage {stage.name!r} has no page with sign-in, and so no users", hint=hint)
    return stage.user_pool
