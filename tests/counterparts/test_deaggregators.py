"""Amazon's four de-aggregators on the records that we are tested with: what each makes of them, beside what we make.

For each difference there is a line with what the published format says: aggregation-format.md of
awslabs/amazon-kinesis-producer. There is one for good records, so whoever reads ours by them reads the same.
"""

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.counterparts.deaggregators import ASKED, ERROR, PLAIN, Meaning, ours
from tests.counterparts.kpl_feed import GOLDEN as NATIVE
from tests.counterparts.table import Counterpart
from tests.golden import kpl_golden
from windrow.wire.kpl import MAGIC, UserRecord, aggregate, seal

COUNTERPART = Counterpart(
    "de-aggregators of Amazon", "Java 1.0.3 and the KCL 3.4.2's, npm 4.2.8, PyPI 1.2.3", "user records, beside ours"
)

JAVA, KCL, NODE, PYTHON = ASKED
ROOF, CELLAR_KEY = b"\x0a\x04roof", b"\x12\x010"
X = UserRecord("roof", b"x")
SOUND = seal(ROOF + b"\x1a\x05\x08\x00\x1a\x01x")
BROKEN: dict[str, tuple[bytes, dict[str, Meaning]]] = {
    # The document: without the magic and a right MD5 it is no aggregate. So it is a plain record to them, and to us a
    # broken one for quarantine: as a reading it could not be read anyway. Node throws.
    "wrong MD5": (SOUND[:-1] + bytes([SOUND[-1] ^ 1]), {JAVA: PLAIN, KCL: PLAIN, NODE: ERROR, PYTHON: PLAIN}),
    "cut off": (SOUND[:-3], {JAVA: PLAIN, KCL: PLAIN, NODE: ERROR, PYTHON: PLAIN}),
    "only the magic": (MAGIC, {JAVA: PLAIN, KCL: PLAIN, NODE: ERROR, PYTHON: PLAIN}),
    # The document has no rule for what follows. Whoever hands out nothing, or a part, loses readings without a word.
    "broken protobuf": (seal(b"\x0a\x7froof"), {JAVA: PLAIN, KCL: PLAIN, NODE: [], PYTHON: PLAIN}),
    "index of a key beyond its table": (
        seal(ROOF + b"\x1a\x05\x08\x05\x1a\x01x"),
        {JAVA: [], KCL: ERROR, NODE: ERROR, PYTHON: []},
    ),
    "index of a hash key beyond its table": (
        seal(ROOF + CELLAR_KEY + b"\x1a\x07\x08\x00\x10\x05\x1a\x01x"),
        {JAVA: [], KCL: ERROR, NODE: [X], PYTHON: ERROR},
    ),
    # Required by the document. Python gives it the first key, or no data.
    "no index of a key": (
        seal(ROOF + b"\x1a\x03\x1a\x01x"),
        {JAVA: PLAIN, KCL: PLAIN, NODE: ERROR, PYTHON: [X]},
    ),
    "no data": (
        seal(ROOF + b"\x1a\x02\x08\x00"),
        {JAVA: PLAIN, KCL: PLAIN, NODE: ERROR, PYTHON: [replace(X, payload=b"")]},
    ),
    # Java and Python hand out the first; we take all or nothing.
    "good, then broken": (
        seal(ROOF + b"\x1a\x05\x08\x00\x1a\x01x" + b"\x1a\x05\x08\x05\x1a\x01y"),
        {JAVA: [X], KCL: ERROR, NODE: ERROR, PYTHON: [X]},
    ),
}


def good() -> dict[str, bytes]:
    """Aggregates of others, of ours, by hand, and every record that the native KPL sent, plain ones among them."""
    kept = {name: body for name, (body, _) in kpl_golden.golden().items()}
    made = {f"ours-{name}": aggregate(records) for name, records in {**kpl_golden.CASES, **kpl_golden.FULL}.items()}
    event = json.loads(gzip.decompress(NATIVE.read_bytes()))
    native = {
        f"native-{number}": base64.b64decode(one["kinesis"]["data"]) for number, one in enumerate(event["Records"])
    }
    return kept | made | native


@pytest.mark.parametrize("asked", ASKED)
def test_good_records_have_the_meaning_that_we_read(asked: str, tmp_path: Path) -> None:
    """But for a hash key that is left out, which is none by the document: its index is optional.

    Node and Python take the first of the table for it, where there is a table.
    """
    bodies = good()
    found = ASKED[asked](list(bodies.values()), tmp_path)
    differing = {
        name: (theirs, we)
        for name, theirs, we in zip(bodies, found, ours(list(bodies.values()), tmp_path), strict=True)
        if theirs != we
    }
    if asked in {NODE, PYTHON}:
        for name in [name for name in differing if name.endswith(("some-hash-keys", "unused-keys"))]:
            theirs, we = differing.pop(name)
            table_s_first = "0" if name.endswith("unused-keys") else kpl_golden.HALF
            assert theirs == [
                replace(one, explicit_hash_key=one.explicit_hash_key or table_s_first) for one in we if one != PLAIN
            ]
    assert not differing


@pytest.mark.parametrize("asked", ASKED)
def test_an_aggregate_of_nothing_has_no_user_records(asked: str, tmp_path: Path) -> None:
    """By the document; all but Node take its 20 bytes for a plain record, which nobody sends."""
    assert ours([seal(b"")], tmp_path) == [[]]
    assert ASKED[asked]([seal(b"")], tmp_path) == [[] if asked == NODE else PLAIN]


@pytest.mark.parametrize("asked", ASKED)
def test_broken_records_have_the_meaning_that_is_written_down(asked: str, tmp_path: Path) -> None:
    """Each is an error to us, and goes to quarantine whole."""
    bodies = [body for body, _ in BROKEN.values()]
    assert ours(bodies, tmp_path) == [ERROR] * len(bodies)
    found = ASKED[asked](bodies, tmp_path)
    assert dict(zip(BROKEN, found, strict=True)) == {name: theirs[asked] for name, (_, theirs) in BROKEN.items()}
