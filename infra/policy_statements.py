"""The statements of IAM policies, limited to one stage by the names that its template gives.

Buckets and roles have names that CloudFormation completes, so they end in a `*`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windrow.deployment import stack_name
from windrow.errors import UsageError

MANAGED, BUCKET = "managed", "bucket"
QUERY_RESULTS = (MANAGED, BUCKET)
"""Where a stage's answers are, as in the template's parameter QueryResults."""
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)

Policy = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The stage that a policy is about.

    ``role_path`` and ``boundary`` are those of the stage's parameters. ``key_arn`` is a key that is not the stage's
    own; empty for its own, which is recognised by its alias or its tag. ``query_results`` is one of QUERY_RESULTS.
    ``role_arn`` is the role that CloudFormation acts in, if who deploys hands it one.
    """

    stage: str
    account: str
    region: str
    role_path: str = "/"
    boundary: str = ""
    key_arn: str = ""
    query_results: str = MANAGED
    role_arn: str = ""

    def __post_init__(self) -> None:
        """Raise UsageError for an account that is not twelve digits."""
        if _ACCOUNT.fullmatch(self.account) is None:
            raise UsageError(f"{self.account!r} is not an account", hint="an account has twelve digits")

    @property
    def partition(self) -> str:
        """The partition that the region is in."""
        return next((name for prefix, name in _PARTITIONS.items() if self.region.startswith(prefix)), "aws")

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the stage's region and account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role(self, name: str) -> str:
        """Return the ARN of one of the stage's roles, which CloudFormation ends by chance."""
        return f"arn:{self.partition}:iam::{self.account}:role{self.role_path}{stack_name(self.stage)}-{name}-*"

    @property
    def workgroup(self) -> str:
        """The ARN of the stage's workgroup, to which keys of the answers that Athena keeps are bound."""
        return self.arn("athena", f"workgroup/{stack_name(self.stage)}")

    def bucket(self, name: str) -> str:
        """Return the ARN of one of the stage's buckets, by its name in the template."""
        return f"arn:{self.partition}:s3:::{stack_name(self.stage)}-{name.lower()}-*"


SEAL = ("kms:Decrypt", "kms:GenerateDataKey")
"""What reading and writing sealed objects needs of a key."""


def allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Mapping[str, str]] | None = None
) -> Policy:
    """Return a statement that allows ``actions``, such as `s3:GetObject`, on resources named by their ARNs."""
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement if condition is None else statement | {"Condition": dict(condition)}


def actions_of(service: str, actions: Sequence[str]) -> list[str]:
    """Return the sorted actions of a service with its name before each."""
    return [f"{service}:{action}" for action in sorted(actions)]


def pass_role(sid: str, roles: Sequence[str], service: str) -> Policy:
    """Allow handing roles to one service, such as `lambda`, and to no other."""
    return allow(sid, ["iam:PassRole"], roles, {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}})


def kept_buckets(names: Sequence[str], scope: Scope) -> list[Policy]:
    """Making, changing and deleting buckets, by their names in the template, and deleting what is in them."""
    buckets = [scope.bucket(name) for name in names]
    actions = ["CreateBucket", "DeleteBucket", "DeleteBucketPolicy", "Get*Configuration", "GetBucket*"]
    actions += ["ListBucket", "ListBucketVersions", "ListTagsForResource"]
    actions += ["PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging"]
    actions += ["PutBucketVersioning", "PutEncryptionConfiguration", "PutLifecycleConfiguration"]
    actions += ["TagResource", "UntagResource"]
    return [
        allow("Buckets", actions_of("s3", actions), buckets),
        allow("DeleteObjects", ["s3:DeleteObject", "s3:DeleteObjectVersion"], [f"{bucket}/*" for bucket in buckets]),
    ]


def written_roles(scope: Scope, roles: Sequence[str]) -> list[Policy]:
    """Making, changing and deleting roles; with a boundary, only roles within it are made."""
    bounded = ["CreateRole", "PutRolePermissionsBoundary", "PutRolePolicy"]
    if not scope.boundary:
        bounded.remove("PutRolePermissionsBoundary")
    others = ["DeleteRole", "DeleteRolePolicy", "GetRole", "GetRolePolicy", "ListAttachedRolePolicies"]
    others += ["ListRolePolicies", "TagRole", "UntagRole", "UpdateAssumeRolePolicy", "UpdateRole"]
    within = {"StringEquals": {"iam:PermissionsBoundary": scope.boundary}} if scope.boundary else None
    return [
        allow("WriteRoles", actions_of("iam", bounded), roles, within),
        allow("Roles", actions_of("iam", others), roles),
    ]


def use_key(scope: Scope, sid: str, actions: Sequence[str], condition: Mapping[str, Mapping[str, str]]) -> Policy:
    """Using the key of the stage's buckets, which is its own or one that somebody else keeps."""
    if scope.key_arn:
        return allow(sid, actions, [scope.key_arn], condition or None)
    own = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{stack_name(scope.stage)}"}}
    return allow(sid, actions, [scope.arn("kms", "key/*")], {**condition, **own})


def through_s3(scope: Scope) -> dict[str, dict[str, str]]:
    """The condition that a key is used for objects, and by nobody directly."""
    return {"StringEquals": {"kms:ViaService": f"s3.{scope.region}.{suffix(scope)}"}}


def suffix(scope: Scope) -> str:
    """How the names of services end in the partition."""
    return "amazonaws.com.cn" if scope.partition == "aws-cn" else "amazonaws.com"
