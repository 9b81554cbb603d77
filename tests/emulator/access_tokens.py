"""Access tokens as the embedded stack's user pool signs them, by its own key; AWS shows its keys to nobody."""

import base64
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from windrow.stage import Stage

VALID_SECONDS = 600


def access_token(home: Path, stage: Stage, **claims: object) -> str:
    """A token of a viewer of `stage`, given to its page; `claims` are what it says otherwise."""
    said: dict[str, Any] = {
        "iss": f"https://cognito-idp.{stage.place.region}.amazonaws.com/{stage.user_pool}",
        "token_use": "access",
        "exp": int(time.time()) + VALID_SECONDS,
        "client_id": stage.sign_in_client,
        "scope": "openid results/read",
        "cognito:groups": ["viewer"],
    }
    keys = _keys_of(stage)  # a pool makes its keys when it is first asked
    key = pool_key(home, stage.user_pool)
    modulus = _base64url(key.public_key().public_numbers().n.to_bytes(256))
    head = {"alg": "RS256", "kid": next(one["kid"] for one in keys if one["n"] == modulus)}
    signed = f"{_base64url(json.dumps(head).encode())}.{_base64url(json.dumps(said | claims).encode())}"
    return f"{signed}.{_base64url(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def pool_key(home: Path, pool: str) -> RSAPrivateKey:
    """The key that the pool signs access tokens with."""
    (file,) = home.rglob(f"{pool}-access.pem")
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def _keys_of(stage: Stage) -> list[dict[str, str]]:
    """The pool's set of keys, as everybody is told it."""
    address = f"{stage.place.endpoint_url}/{stage.user_pool}/.well-known/jwks.json"
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - an address of the embedded stack
        keys: list[dict[str, str]] = json.load(answer)["keys"]
    return keys


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
