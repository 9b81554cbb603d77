"""Tokens of gateways: who is believed, compared with the library that everybody signs with."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from hypothesis import given
from hypothesis import strategies as st

from analytics.api.tokens import (
    KEYS_SECONDS_MIN,
    TOKEN_CHARACTERS_MAX,
    BadToken,
    Grant,
    PublicKey,
    TokenCheck,
    is_signed,
    parse_keys,
)
from tests.simulation.mutant import mutant_of
from windrow.errors import WindrowError

ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc"
NOW = 1_795_169_100
PRIVATE, FOREIGN = (rsa.generate_private_key(public_exponent=65_537, key_size=2_048) for _ in range(2))
NUMBERS = PRIVATE.public_key().public_numbers()
KEY = PublicKey(NUMBERS.n, NUMBERS.e)
CLAIMS = {
    "iss": ISSUER,
    "token_use": "access",
    "exp": NOW + 60,
    "client_id": "client7",
    "scope": "uploads/write other/read",
}


def text_of(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value: int) -> str:
    return text_of(value.to_bytes((value.bit_length() + 7) // 8))


KEYS = json.dumps(
    {"keys": [{"kid": "k1", "kty": "RSA", "alg": "RS256", "n": number(KEY.modulus), "e": number(KEY.exponent)}]}
)

BAD_NUMBER = b'{"keys": [{"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"}]}'


def token(claims: Any = None, *, by: rsa.RSAPrivateKey = PRIVATE, **header: Any) -> str:
    head = {"alg": "RS256", "kid": "k1"} | header
    signed = (
        f"{text_of(json.dumps(head).encode())}.{text_of(json.dumps(CLAIMS if claims is None else claims).encode())}"
    )
    return f"{signed}.{text_of(by.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def check(keys: str = KEYS) -> TokenCheck:
    return TokenCheck(issuer=ISSUER, fetch=keys.encode, now_seconds=lambda: NOW)


def test_a_token_of_the_pool_grants_its_scopes() -> None:
    """To the client that it was given to; the word Bearer is written in any case (RFC 9110, section 11.1)."""
    expected = Grant("client7", frozenset({"uploads/write", "other/read"}), frozenset(), NOW + 60)

    assert check().grant_of(f"Bearer {token()}") == expected
    assert check().grant_of(f"bearer  {token()} ") == expected
    without = token({name: said for name, said in CLAIMS.items() if name != "scope"})
    assert check().grant_of(f"Bearer {without}") == Grant("client7", frozenset(), frozenset(), NOW + 60)
    of_groups = check().grant_of(f"Bearer {token(CLAIMS | {'cognito:groups': ['viewer', 'a b']})}")
    assert of_groups.groups == {"viewer", "a b"}
    long = token(CLAIMS | {"more": "x" * 5_000})
    assert 7_000 < len(long) < TOKEN_CHARACTERS_MAX
    assert check().grant_of(f"Bearer {long}") == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": ISSUER + "d"},
        {"token_use": "id"},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": float("nan")},
        {"exp": True},
        {"client_id": None},
        {"client_id": ["client7"]},
        {"scope": ["uploads/write"]},
        {"cognito:groups": "viewer"},
        {"cognito:groups": [7]},
    ],
    ids=str,
)
def test_what_is_signed_and_says_something_else_grants_nothing(wrong: dict[str, Any]) -> None:
    """Another pool's, one of identity, an expired one."""
    with pytest.raises(BadToken):
        check().grant_of(f"Bearer {token(CLAIMS | wrong)}")


def test_what_is_not_signed_grants_nothing() -> None:
    """By another key, by none, by a secret, under another name, changed after, or no token at all."""
    good = token()
    head, claims, signature = good.split(".")
    more = text_of(json.dumps(CLAIMS | {"client_id": "other"}).encode())
    hostile = {
        "there is no token": ["", good, f"Basic {good}", "Bearer ", "Bearer", f"Bearer\t{good}"],
        "is not signed": [
            f"Bearer {token(by=FOREIGN)}",
            f"Bearer {token(alg='none')}",
            f"Bearer {token(alg='HS256')}",
            f"Bearer {token(alg='RS384')}",
            f"Bearer {token(alg=['RS256'])}",
            f"Bearer {token(kid='k2')}",
            f"Bearer {token(kid=7)}",
            f"Bearer {token(kid=['k1'])}",
            f"Bearer {head}.{more}.{signature}",
            f"Bearer {head}.{claims}.",
        ],
        "is malformed": [
            f"Bearer {token([])}",
            f"Bearer {head}.{claims}",
            f"Bearer {head}",
            f"Bearer {good}.{signature}",
            f"Bearer {good}!!!!",
            f"Bearer {head}.{claims}.{signature[:9]}\n{signature[9:]}",
            f"Bearer {head}.{claims}.{'!' * len(signature)}",
            f"Bearer é.{claims}.{signature}",
            f"Bearer {text_of(b'{')}.{claims}.{signature}",
            f"Bearer {text_of(bytes([255]))}.{claims}.{signature}",
            f"Bearer {text_of(b'[' * 5_000)}.{claims}.{signature}",
            f"Bearer {token(CLAIMS | {'more': 'x' * 8_000})}",
        ],
    }
    for said, authorizations in hostile.items():
        for authorization in authorizations:
            with pytest.raises(BadToken, match=said):
                check().grant_of(authorization)


@given(text=st.binary(max_size=100), place=st.integers(0, 255), bits=st.integers(1, 255))
def test_a_signature_is_that_of_the_library_and_no_other(text: bytes, place: int, bits: int) -> None:
    """Every other byte, another text and another digest are refused."""
    signature = PRIVATE.sign(text, padding.PKCS1v15(), SHA256())
    changed = bytearray(signature)
    changed[place] ^= bits

    assert is_signed(text, signature, KEY)
    assert not is_signed(text, bytes(changed), KEY)
    assert not is_signed(text + b"\0", signature, KEY)


def test_a_signature_of_another_form_is_refused() -> None:
    """Another digest, padding that is too short with room for more behind it, numbers beyond the modulus."""
    text = b"text"
    signature = PRIVATE.sign(text, padding.PKCS1v15(), SHA256())
    assert not is_signed(text, PRIVATE.sign(text, padding.PKCS1v15(), SHA384()), KEY)
    assert not is_signed(text, b"\0" + signature, KEY)
    assert not is_signed(text, signature[1:], KEY)
    beyond = int.from_bytes(signature) + KEY.modulus
    if beyond < 1 << 2_048:
        assert not is_signed(text, beyond.to_bytes(256), KEY)
    assert not is_signed(text, b"\xff" * 256, KEY)
    encoded = pow(int.from_bytes(signature), KEY.exponent, KEY.modulus).to_bytes(256)
    short = b"\x00\x01" + b"\xff" * 8 + encoded[encoded.index(b"\x00", 2) :]
    loose = int.from_bytes(short + b"x" * (256 - len(short)))
    private = PRIVATE.private_numbers().d
    assert not is_signed(text, pow(loose, private, KEY.modulus).to_bytes(256), KEY)


def test_a_key_that_is_too_short_for_a_digest_signs_nothing() -> None:
    """Eight octets of padding must fit into it (RFC 8017, section 9.2), as one sees with the exponent 1."""
    text = b"text"
    told = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text).digest()
    for size, is_enough in ((len(told) + 11, True), (len(told) + 10, False)):
        encoded = b"\x00\x01" + b"\xff" * (size - 3 - len(told)) + b"\x00" + told
        assert is_signed(text, encoded, PublicKey((1 << 8 * size) - 1, 1)) == is_enough


def test_keys_are_asked_for_once_and_again_after_a_rotation() -> None:
    """At most once a minute, so that forged names of keys make nobody ask."""
    asked: list[float] = []
    now = [float(NOW)]

    def fetch() -> bytes:
        asked.append(now[0])
        return KEYS.encode() if len(asked) > 1 else b'{"keys": [{"kty": "EC"}]}'

    tokens = TokenCheck(issuer=ISSUER, fetch=fetch, now_seconds=lambda: now[0])
    good = f"Bearer {token(CLAIMS | {'exp': NOW + 1_000})}"
    for _ in range(3):
        with pytest.raises(BadToken):
            tokens.grant_of(good)
    now[0] += KEYS_SECONDS_MIN
    for _ in range(3):
        tokens.grant_of(good)
    assert asked == [NOW, NOW + KEYS_SECONDS_MIN]
    now[0] += 2 * KEYS_SECONDS_MIN
    tokens.grant_of(good)
    assert len(asked) == 2  # a key that is known is not asked for


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"keys": [1]}', b'{"keys": [{"kty": "RSA", "kid": "a"}]}', b"\xff", BAD_NUMBER]
)
def test_what_is_no_set_of_keys_is_an_error(body: bytes) -> None:
    """Which is ours and not the gateway's: it may ask again."""
    with pytest.raises(WindrowError, match="keys are none"):
        parse_keys(body)


MUTANTS = {
    "any algorithm": ('if header.get("alg") == "RS256" else None', 'if header.get("alg") else None'),
    "any issuer": ('claims.get("iss") != self.issuer or ', ""),
    "tokens of identity, too": (' or claims.get("token_use") != "access"', ""),
    "expired ones, too": ("not self.now_seconds() < until", "False"),
    "a moment longer": ("not self.now_seconds() < until", "self.now_seconds() > until"),
    "until it is no number": ("not self.now_seconds() < until", "self.now_seconds() >= until"),
    "tokens of any length": ("if len(token) > TOKEN_CHARACTERS_MAX:", "if not token:"),
    "base64 with anything in between": (", validate=True", ""),
    "keys that are too short": (" or size < len(told) + 11", ""),
    "any kind of name of a key": ("if not isinstance(name, str):", "if name is None:"),
    "a look at the keys every minute": ("if name not in self._keys and ", "if "),
    "any signature": ("or not is_signed(signed.encode(), _octets(signature), key)", ""),
    "the signature of the claims alone": ("is_signed(signed.encode()", "is_signed(body.encode()"),
    "the digest wherever it is": (
        "hmac.compare_digest(pow(number, key.exponent, key.modulus).to_bytes(size), expected)",
        "told in pow(number, key.exponent, key.modulus).to_bytes(size)",
    ),
    "a look at the keys at each token": ("self.now_seconds() - self._fetched_seconds >= KEYS_SECONDS_MIN", "True"),
    "one look at the keys for ever": (
        "self.now_seconds() - self._fetched_seconds >= KEYS_SECONDS_MIN", "not self._fetched_seconds > 0",
    ),
    "groups that are none": (" or not _are_texts(groups)", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_break_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these, by a test above."""
    replace, by = MUTANTS[name]
    broken = mutant_of("analytics.api.tokens", replace=replace, by=by)
    for part in ("BadToken", "Grant", "PublicKey", "TokenCheck", "is_signed"):
        monkeypatch.setitem(globals(), part, getattr(broken, part))
    monkeypatch.setitem(globals(), "KEY", broken.PublicKey(NUMBERS.n, NUMBERS.e))

    def all_tests() -> None:
        test_a_token_of_the_pool_grants_its_scopes()
        for wrong in (
            {"iss": ISSUER + "d"},
            {"token_use": "id"},
            {"exp": NOW},
            {"exp": NOW - 1},
            {"exp": float("nan")},
            {"cognito:groups": "viewer"},
        ):
            test_what_is_signed_and_says_something_else_grants_nothing(wrong)
        test_what_is_not_signed_grants_nothing()
        test_a_signature_of_another_form_is_refused()
        test_a_key_that_is_too_short_for_a_digest_signs_nothing()
        test_keys_are_asked_for_once_and_again_after_a_rotation()

    with pytest.raises((AssertionError, pytest.fail.Exception, broken.BadToken, TypeError)):
        all_tests()
