"""The paths of gateways, fuzzed by the document: whatever is sent, the answer is one that it describes."""

import json
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.api import document
from analytics.api.problems import MEDIA_TYPE
from analytics.api.upload_forms import ANNOUNCEMENT, PATH, RECEIPT_PATH
from tests.unit.test_api import ask
from tests.unit.test_api_uploads import ASKED, BODY, KEY, SCOPE, World
from windrow.lake.uploads import UPLOAD_BYTES_MAX

pytestmark = pytest.mark.slow

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
TOKENS = st.sampled_from([f"client7:{SCOPE}"] * 6 + ["", "client7:", f"client8:{SCOPE}", "é", f"x/y:{SCOPE}"])
NEARLY = {
    "bytes": st.sampled_from([0, 1, UPLOAD_BYTES_MAX, UPLOAD_BYTES_MAX + 1, True, "1", None]),
    "sha256": st.from_regex("[0-9a-fA-F]{63,65}\n?", fullmatch=True),
    "content_type": st.text(st.characters(min_codepoint=31, max_codepoint=128), max_size=102),
}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """What a gateway may send: as the schema has it, nearly so, or anything at all."""
    fields: dict[str, Any] = dict(ASKED)
    fields |= {name: draw(values) for name, values in NEARLY.items() if draw(st.booleans())}
    if draw(st.sampled_from([False, False, False, True])):
        fields |= {"more": draw(ANY_JSON)}
    return draw(
        st.sampled_from([json.dumps(fields).encode()] * 4 + [json.dumps(draw(ANY_JSON)).encode(), b"\xff", b"["])
    )


def check(path: str, method: str, status: int, headers: dict[str, str], answer: Any) -> None:
    """The status is documented for this path, and the body is of its schema."""
    documented = document.openapi()["paths"][path][method]["responses"]
    assert str(status) in documented
    ((kind, content),) = documented[str(status)]["content"].items()
    assert headers["content-type"] == kind == ("application/json" if status == 200 else MEDIA_TYPE)
    name = content["schema"]["$ref"].rpartition("/")[2]
    jsonschema.validate(answer, document.openapi()["components"]["schemas"][name])


@settings(deadline=None)
@given(body=bodies(), token=TOKENS)
def test_what_the_schema_allows_is_signed_and_nothing_else(body: bytes, token: str) -> None:
    """For a gateway; everybody else is refused, whatever they send."""
    world = World()
    status, headers, answer = ask(world.app, PATH, method="POST", body=body, Authorization=f"Bearer {token}")
    check(PATH, "post", status, headers, answer)
    if token == f"client7:{SCOPE}":
        assert status == (200 if _fits(body) else 400)
    else:
        assert status in {401, 403}
    assert bool(world.signed) == (status == 200)


def _fits(body: bytes) -> bool:
    try:
        jsonschema.validate(json.loads(body), ANNOUNCEMENT)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


@settings(deadline=None)
@given(
    key=st.sampled_from([KEY, KEY + "x", "", "uploads/gateways/roof/", "uploads/gateways/roof-2/a"])
    | st.text(max_size=9),
    token=TOKENS,
)
def test_a_receipt_is_told_as_the_document_has_it(key: str, token: str) -> None:
    """Of one object of two; a key that has none, is somebody else's or is no key at all is a problem."""
    world = World()
    world.bucket.put(KEY, BODY, at_ms=0)
    world.write_receipt(KEY)
    query = urlencode({"key": key}, errors="replace")
    status, headers, answer = ask(world.app, RECEIPT_PATH, query, method="GET", Authorization=f"Bearer {token}")
    check(RECEIPT_PATH, "get", status, headers, answer)
    assert (status == 200) == (key == KEY and token == f"client7:{SCOPE}")
