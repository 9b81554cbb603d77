"""The stage's user pool, asked for the keys that it signs tokens with."""

import http
from functools import partial

import urllib3

from analytics.api.tokens import TokenCheck
from windrow.errors import WindrowError
from windrow.stage import Stage

KEYS_SECONDS_MAX = 3.0
"""How long the user pool may take to say its keys, at each of two tries."""


def token_check(stage: Stage) -> TokenCheck:
    """Return what checks tokens of the stage's user pool."""
    base = stage.token_issuer
    if stage.place.endpoint_url is not None:  # a stand-in names AWS as the issuer, and has the keys itself
        base = f"{stage.place.endpoint_url}/{stage.token_issuer.rpartition('/')[2]}"
    return TokenCheck(issuer=stage.token_issuer, fetch=partial(_fetch, f"{base}/.well-known/jwks.json"))


def _fetch(url: str) -> bytes:
    """Return the keys of the user pool; WindrowError if they cannot be had now."""
    try:
        answer = urllib3.request("GET", url, timeout=KEYS_SECONDS_MAX, retries=1, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise WindrowError(f"the user pool does not say its keys: {error}") from error
    if answer.status != http.HTTPStatus.OK:
        raise WindrowError(f"the user pool does not say its keys: status {answer.status}")
    return answer.data
