"""A backfill marker: one object in the place of the markers of many windows, which only a backfill writes.

    markers/backfills/<start of the first window>-<digest>

Its text is the keys of the markers that it stands for, one a line, ascending. To the dispatcher each is as good as the
marker itself; it deletes the object once the lineage of every window names the partial that is named here.
"""

import hashlib
from collections.abc import Iterable, Iterator

from windrow.lake.layout import MarkerKey, backfill_marker_key, parse_marker_key

WINDOWS_MAX = 256
"""How many windows one stands for: what a tick looks at again if it got through all of them but one."""
_DIGEST_OCTETS = 16


def backfill_markers(markers: Iterable[MarkerKey]) -> Iterator[tuple[str, bytes, tuple[MarkerKey, ...]]]:
    """Yield key, text and markers of the objects that stand for `markers`, in the order of their windows."""
    ordered = sorted(set(markers), key=str)
    for first in range(0, len(ordered), WINDOWS_MAX):
        some = tuple(ordered[first : first + WINDOWS_MAX])
        text = "".join(f"{marker}\n" for marker in some).encode("ascii")
        digest = hashlib.blake2b(text, digest_size=_DIGEST_OCTETS).hexdigest()
        yield backfill_marker_key(some[0].window, digest), text, some


def decode_backfill_marker(text: bytes) -> frozenset[MarkerKey]:
    """Return the markers that an object stands for; ValueError if it is none, or cut short."""
    lines = text.decode("ascii").split("\n")
    if lines.pop() or not lines:
        raise ValueError("not a backfill marker: its last line has no end")
    return frozenset(parse_marker_key(line) for line in lines)
