"""The plan of a backfill: which parts of which files are read together, and which windows are left alone.

A backfill is named after the names, sizes and versions of its files, and after what decides how they are read. The plan
is stored before anything else is written, and what is stored holds: whoever starts the same backfill again goes on.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from processors.backfill_source import HistoryFile, HistorySource, chunks_of, names_of
from processors.cutting import UncuttableFile, cut_lines, group
from processors.upload import BadUpload, Form, form_of
from processors.upload_rows import delimiter_of
from windrow.columns.parquet_columns import TAIL_OCTETS, footer_octets, row_groups
from windrow.errors import UsageError
from windrow.lake.uploads import UPLOAD_BYTES_MAX
from windrow.window import WINDOW_MS, Window

PART_BYTES_MAX = 16 * 1024 * 1024
"""What a part holds of text, as it is stored: a function judges so much in seconds, and holds its readings at once."""
PART_ROWS_MAX = 250_000
PART_PIECES_MAX = 500
PARTS_MAX = 10_000
"""A state machine's map takes so many children at once; a plan of more would not fit its function's memory either."""
_PACKED_TIMES = 8
"""How many times as large packed text is expected to become, where small objects are put together."""
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_HEAD_BYTES = 1024 * 1024
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A range of a file's bytes, from `start` to `end`, exclusive.

    header: so many bytes from the file's beginning stand before it (the first row of CSV). groups and footer: of
    Parquet, the row groups in it, the last exclusive, and the length of the footer at the file's end; 0, 0 and 0 of all
    else. What is no range of rows is the whole file.
    """

    file: int
    start: int
    end: int
    header: int = 0
    first_group: int = 0
    last_group: int = 0
    footer: int = 0

    @property
    def size_bytes(self) -> int:
        """How many bytes of the file are in it."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPlan:
    """A plan: its files, its parts of pieces, and why files are left out (`refused`, by name).

    rolled: runs of windows, first and last, that have a lineage already, and are left alone: their partials may have
    expired, and adding one would freeze them.
    """

    files: tuple[HistoryFile, ...]
    parts: tuple[tuple[Piece, ...], ...]
    refused: tuple[tuple[str, str], ...]
    rolled: tuple[tuple[int, int], ...]

    @property
    def size_bytes(self) -> int:
        """How many bytes are in all parts."""
        return sum(piece.size_bytes for part in self.parts for piece in part)

    def is_rolled(self, window: Window) -> bool:
        """Whether a window was rolled before the backfill was planned."""
        run = bisect_right(self.rolled, window.start_ms, key=itemgetter(0)) - 1
        return run >= 0 and window.start_ms <= self.rolled[run][1]

    def to_json(self) -> bytes:
        """Encode it."""
        fields = {
            "version": _VERSION,
            "files": [asdict(one) for one in self.files],
            "parts": [[list(_fields_of(piece)) for piece in part] for part in self.parts],
            "refused": self.refused,
            "rolled": self.rolled,
        }
        return json.dumps(fields, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, body: bytes) -> "HistoryPlan":
        """Decode it; ValueError if it is none."""
        try:
            fields: dict[str, Any] = json.loads(body)
            return cls(
                files=tuple(HistoryFile(**one) for one in fields["files"]),
                parts=tuple(tuple(_piece_of(one) for one in part) for part in fields["parts"]),
                refused=tuple((str(name), str(why)) for name, why in fields["refused"]),
                rolled=tuple((int(first), int(last)) for first, last in fields["rolled"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the plan of a backfill: {error!r}") from error


def backfill_id(source: HistorySource, files: Sequence[HistoryFile], *, contract: str) -> str:
    """Return the name of a backfill: the same files, read in the same way, are the same one."""
    digest = hashlib.sha256(f"{_VERSION}\n{PART_BYTES_MAX}\n{PART_ROWS_MAX}\n{source.name}\n{contract}\n".encode())
    for line in names_of(files):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def plan_parts(source: HistorySource, files: Sequence[HistoryFile], *, rolled: Sequence[Window]) -> HistoryPlan:
    """Look at every file, and cut it; UsageError if that makes more than PARTS_MAX parts."""
    parts: list[tuple[Piece, ...]] = []
    small: list[tuple[Piece, int]] = []
    refused: list[tuple[str, str]] = []
    for number, file in enumerate(files):
        try:
            pieces, is_packed = _cut(source, file, number)
        except (BadUpload, UncuttableFile, ValueError) as error:
            refused.append((file.key, " ".join(str(error).split())))
            continue
        if len(pieces) == 1:
            small.append((pieces[0], pieces[0].size_bytes * (_PACKED_TIMES if is_packed else 1)))
        else:
            parts += [(piece,) for piece in pieces]
    sizes = [size for _, size in small]
    for first, last in group(sizes, size_max=PART_BYTES_MAX, count_max=PART_PIECES_MAX):
        parts.append(tuple(piece for piece, _ in small[first:last]))
    if len(parts) > PARTS_MAX:
        message = f"{len(parts):,} parts, at most {PARTS_MAX:,} in one backfill"
        raise UsageError(message, hint="backfill one folder after another")
    return HistoryPlan(files=tuple(files), parts=tuple(parts), refused=tuple(refused), rolled=tuple(runs_of(rolled)))


def runs_of(windows: Sequence[Window]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last start of each run of windows that follow one another; `windows` ascend."""
    for _, run in groupby(enumerate(windows), lambda one: one[1].start_ms - one[0] * WINDOW_MS):
        starts = [window.start_ms for _, window in run]
        yield starts[0], starts[-1]


def _cut(source: HistorySource, file: HistoryFile, number: int) -> tuple[list[Piece], bool]:
    """Return the pieces of a file, and whether it is packed; ValueError says why it cannot be read in pieces."""
    whole = Piece(file=number, start=0, end=file.size_bytes)
    head = source.read(file, 0, min(_HEAD_BYTES, file.size_bytes))
    if head.startswith(_PACKED):
        return [_bounded(whole)], True
    form = form_of("", file.key, head)
    if form is Form.PARQUET:
        return _cut_parquet(source, file, number), False
    if file.size_bytes <= PART_BYTES_MAX or form not in (Form.LINES, Form.CSV):
        return [_bounded(whole)], False
    header, delimiter = 0, None
    if form is Form.CSV:
        delimiter = delimiter_of(head.partition(b"\n")[0].decode("utf-8", "replace"))
        _, header = next(cut_lines([head], bytes_max=_HEAD_BYTES, lines_max=1, delimiter=delimiter))
        if not head.startswith(b"\n", header - 1):
            raise UncuttableFile(f"no first row within {_HEAD_BYTES:,} bytes")
    chunks = chunks_of(source, file)
    spans = cut_lines(chunks, bytes_max=PART_BYTES_MAX, lines_max=PART_ROWS_MAX, delimiter=delimiter)
    return [
        Piece(file=number, start=start, end=end, header=min(header, start))  # the first one has it already
        for start, end in spans
    ], False


def _cut_parquet(source: HistorySource, file: HistoryFile, number: int) -> list[Piece]:
    tail = source.read(file, max(0, file.size_bytes - TAIL_OCTETS), file.size_bytes)
    footer = footer_octets(tail)
    if footer > file.size_bytes:
        raise ValueError("no footer of a Parquet file")
    groups = row_groups(source.read(file, file.size_bytes - footer, file.size_bytes))
    if any(one.end > file.size_bytes - footer for one in groups):
        raise ValueError("a row group lies outside its file")
    return [
        Piece(
            file=number,
            start=min(one.start for one in groups[first:last]),
            end=max(one.end for one in groups[first:last]),
            first_group=first,
            last_group=last,
            footer=footer,
        )
        for first, last in group([one.rows for one in groups], size_max=PART_ROWS_MAX, count_max=PART_PIECES_MAX)
    ]


def _bounded(whole: Piece) -> Piece:
    if whole.size_bytes > UPLOAD_BYTES_MAX:
        raise ValueError(
            f"{whole.size_bytes:,} bytes that cannot be cut, at most {UPLOAD_BYTES_MAX:,}: unpack it first"
        )
    return whole


def _fields_of(piece: Piece) -> Iterator[int]:
    yield from (piece.file, piece.start, piece.end, piece.header, piece.first_group, piece.last_group, piece.footer)


def _piece_of(fields: Sequence[int]) -> Piece:
    file, start, end, header, first_group, last_group, footer = map(int, fields)
    return Piece(
        file=file,
        start=start,
        end=end,
        header=header,
        first_group=first_group,
        last_group=last_group,
        footer=footer,
    )
