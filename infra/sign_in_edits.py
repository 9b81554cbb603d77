"""What MiniStack does otherwise than Cognito when a page renews its tokens, as edits of its own functions.

A user's access token names the user's groups (Cognito's guide: "Understanding the access token"), also one that comes
of a refresh token. MiniStack 1.5.33 leaves them out of the latter, so that after an hour a page would be refused.
`infra.mended_ministack` applies this.
"""

from infra.resharding_edits import Edit

COGNITO = "ministack.services.cognito"

SIGN_IN_EDITS = tuple(
    Edit(
        COGNITO,
        "_oauth2_token",
        f'"{kind}", username=username,{attributes}\n{indent}trigger_source="TokenGeneration_RefreshTokens"',
        f'"{kind}", username=username,{attributes}\n{indent}groups=user.get("_groups", []),\n'
        f'{indent}trigger_source="TokenGeneration_RefreshTokens"',
    )
    for kind, attributes, indent in (("access", "", " " * 41), ("id", " user_attrs=attrs,", " " * 37))
)
