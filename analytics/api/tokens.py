"""Access tokens of the stage's user pool, as gateways get them by their client credentials (RFC 6749, section 4.4).

They are JWTs (RFC 7519) signed with RS256. An HTTP API checks those of its own users before the function is called; of
gateways it could know fifty at most, because each is a client of its own ("Audiences per authorizer" in its quotas).
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from windrow.errors import WindrowError

TOKEN_CHARACTERS_MAX = 8_192
KEYS_SECONDS_MIN = 60.0
"""How long after a look at the pool's keys an unknown one is taken for forged, without a further look."""
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What is before a SHA-256 in a signature (RFC 8017, section 9.2, note 1)."""


class BadToken(Exception):  # noqa: N818 - the domain's noun
    """A token that says nothing: absent, malformed, forged, expired or of another issuer or kind."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA key's numbers."""

    modulus: int
    exponent: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token that holds says: the client that it was given to, the scopes, the user's groups, until when."""

    client: str
    scopes: frozenset[str]
    groups: frozenset[str]
    expires_s: float


@dataclass(kw_only=True)
class TokenCheck:
    """Checks tokens of one issuer. `fetch` returns the issuer's keys as a JSON Web Key Set (RFC 7517), or raises."""

    issuer: str
    fetch: Callable[[], bytes]
    now_seconds: Callable[[], float] = time.time
    _keys: Mapping[str, PublicKey] = field(default_factory=dict)
    _fetched_seconds: float = float("-inf")

    def grant_of(self, authorization: str) -> Grant:
        """Return what the header `Authorization: Bearer <token>` grants; BadToken if that is nothing."""
        kind, _, token = authorization.partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            raise BadToken("there is no token: send it as Authorization: Bearer")
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise BadToken("the token is malformed")
        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")  # any dot but these two is no character of base64url
        header, claims = _object(head), _object(body)
        key = self._key(header.get("kid")) if header.get("alg") == "RS256" else None
        if key is None or not is_signed(signed.encode(), _octets(signature), key):
            raise BadToken("the token is not signed by this stage's user pool")
        return self._granted(claims)

    def _granted(self, claims: Mapping[str, Any]) -> Grant:
        """Return what signed claims grant; a pool signs tokens of identity too, which grant nothing."""
        until, client, scopes = claims.get("exp"), claims.get("client_id"), claims.get("scope", "")
        if claims.get("iss") != self.issuer or claims.get("token_use") != "access":
            raise BadToken("the token is of another pool, or no access token")
        if not isinstance(until, int | float) or not self.now_seconds() < until:  # also for NaN, which JSON may hold
            raise BadToken("the token is expired: ask for a new one")
        groups = claims.get("cognito:groups", [])
        if not isinstance(client, str) or not isinstance(scopes, str) or not _are_texts(groups):
            raise BadToken("the token is malformed")
        return Grant(client, frozenset(scopes.split()), frozenset(groups), until)

    def _key(self, name: object) -> PublicKey | None:
        """Return the key of this name; the issuer is asked for its keys when it is unknown, as after a rotation."""
        if not isinstance(name, str):
            return None
        if name not in self._keys and self.now_seconds() - self._fetched_seconds >= KEYS_SECONDS_MIN:
            self._fetched_seconds = self.now_seconds()  # also if it fails, so that nobody's tokens make us ask at each
            self._keys = parse_keys(self.fetch())
        return self._keys.get(name)


def parse_keys(body: bytes) -> dict[str, PublicKey]:
    """Return the RSA keys of a key set, by their names; WindrowError if it is none."""
    try:
        return {
            str(one["kid"]): PublicKey(int.from_bytes(_octets(one["n"])), int.from_bytes(_octets(one["e"])))
            for one in json.loads(body)["keys"]
            if one.get("kty") == "RSA"
        }
    except (BadToken, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WindrowError(f"the user pool's keys are none: {error!r}") from error


def is_signed(text: bytes, signature: bytes, key: PublicKey) -> bool:
    """Whether `signature` is that of `text`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2.2).

    The whole encoded message is compared, not parsed, so that nothing can hide in it.
    """
    size = (key.modulus.bit_length() + 7) // 8
    told = _DIGEST_INFO + hashlib.sha256(text).digest()
    number = int.from_bytes(signature)
    if len(signature) != size or number >= key.modulus or size < len(told) + 11:
        return False
    expected = b"\x00\x01" + b"\xff" * (size - 3 - len(told)) + b"\x00" + told
    return hmac.compare_digest(pow(number, key.exponent, key.modulus).to_bytes(size), expected)


def _are_texts(said: object) -> bool:
    return isinstance(said, list) and all(isinstance(one, str) for one in said)


def _object(part: str) -> dict[str, Any]:
    """Return a part of a token, which is a JSON object; BadToken if it is not."""
    try:
        found = json.loads(_octets(part))
    except (ValueError, RecursionError) as error:
        raise BadToken("the token is malformed") from error
    if not isinstance(found, dict):
        raise BadToken("the token is malformed")
    return found


def _octets(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515, section 2); BadToken if it is not."""
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:  # also binascii's and Unicode's
        raise BadToken("the token is malformed") from error
