"""One part of a backfill: its pieces are judged as uploads are, and become partials; a report says what became of it.

A part always becomes the same partials, so it may be done again, or twice at once. Its report is written last.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from processors.backfill import WRITERS, distinct_readings, window_partials, write_backfill
from processors.backfill_check import WindowCheck, check_windows, keep_windows, kept_windows
from processors.backfill_plan import HistoryPlan, Piece
from processors.backfill_source import HistorySource
from processors.judge import PayloadReader
from processors.upload import JudgedUpload, judge_upload
from windrow.columns.parquet_columns import cut_groups
from windrow.lake.backfill_marker import backfill_markers
from windrow.lake.layout import BACKFILL_MARKERS, MarkerKey, backfill_part_key, backfill_plan_key
from windrow.lake.store import ObjectStore, PreconditionFailed
from windrow.lake.uploads import UploadedObject
from windrow.reading import Readings, Reason

NEVER_TOO_LATE_MS = 10**15
"""In the place of the lateness horizon: what is backfilled is as old as it likes. It is 31,000 years."""
IDLE_TICKS_MAX = 3
"""After so many ticks that rolled nothing, while windows wait, somebody must look: they may be frozen."""
EXAMPLES_MAX = 3
"""Payloads and pieces that do not count of which a report gives the details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """What became of a part of so many bytes. found = readings + duplicates + left_out, and `adds_up` says so: readings
    and left_out are counted in the partials, duplicates and found in the readings that these were made from.

    payloads: lines, rows, records. found: readings in them that count. readings: the distinct ones that were written,
    to `windows` windows. duplicates: how many more repeat one of the same part. left_out: distinct ones of windows that
    were rolled before. rejected: payloads that do not count, by reason, with `examples`. refused: bytes of files that
    do not count as a whole. markers: the keys of what asks for the rolls.
    """

    number: int
    size_bytes: int
    payloads: int
    found: int
    readings: int
    duplicates: int
    left_out: int
    windows: int
    rejected: Mapping[Reason, int]
    refused: int
    examples: tuple[str, ...]
    markers: tuple[str, ...]

    @property
    def adds_up(self) -> bool:
        """Whether every reading that was found is accounted for."""
        return self.found == self.readings + self.duplicates + self.left_out

    def to_json(self) -> bytes:
        """Encode it, the same way every time."""
        fields = asdict(self) | {"rejected": {str(reason): count for reason, count in self.rejected.items()}}
        return json.dumps(fields, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, body: bytes) -> "PartReport":
        """Decode it; ValueError for bytes that are none."""
        try:
            fields: dict[str, Any] = json.loads(body)
            rejected = {Reason(reason): int(count) for reason, count in fields.pop("rejected").items()}
            examples, markers = tuple(fields.pop("examples")), tuple(fields.pop("markers"))
            return cls(rejected=rejected, examples=examples, markers=markers, **fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the report on a part of a backfill: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRun:
    """A backfill of this name: its plan, its files' place, and the lake; `reader` is that of the contract, if any."""

    digest: str
    plan: HistoryPlan
    source: HistorySource
    lake: ObjectStore
    reader: PayloadReader | None = None

    def part(self, number: int) -> PartReport:
        """Do a part, unless its report is there; what reading and writing raise is raised."""
        return self.report_on(number) or self._do(number)

    def report_on(self, number: int) -> PartReport | None:
        """Return the report on a part, None if it is not done."""
        stored = self.lake.get(backfill_part_key(self.digest, number))
        return None if stored is None else PartReport.from_json(stored.body)

    def _do(self, number: int) -> PartReport:
        part = self.plan.parts[number]
        judged = [judge_upload(self._opened(one), horizon_ms=NEVER_TOO_LATE_MS, reader=self.reader) for one in part]
        readings = Readings.concat([one.judged.readings for one in judged])
        partials = list(window_partials(readings))
        new = [one for one in partials if not self.plan.is_rolled(one.window)]
        write_backfill(new, self.lake)
        keep_windows(self.lake, self.digest, number, new)
        distinct, written = sum(map(len, partials)), sum(map(len, new))
        report = PartReport(
            number=number,
            size_bytes=sum(piece.size_bytes for piece in part),
            payloads=sum(one.records for one in judged),
            found=len(readings),
            readings=written,
            duplicates=len(readings) - distinct_readings(readings),
            left_out=distinct - written,
            windows=len(new),
            rejected=dict(sorted(Counter(reason for one in judged for reason in one.rejected).items())),
            refused=sum(piece.size_bytes for piece, one in zip(part, judged, strict=True) if one.refusal),
            examples=tuple(self._examples(part, judged))[:EXAMPLES_MAX],
            markers=tuple(
                key for key, _, _ in backfill_markers(MarkerKey(window=one.window, digest=one.digest) for one in new)
            ),
        )
        self.lake.put(backfill_part_key(self.digest, number), report.to_json())
        return report

    def _opened(self, piece: Piece) -> UploadedObject:
        """Return a piece as an object of its own."""
        file = self.plan.files[piece.file]
        body = self.source.read(file, piece.start, piece.end)
        if piece.footer:
            footer = self.source.read(file, file.size_bytes - piece.footer, file.size_bytes)
            body = cut_groups(footer, piece.first_group, piece.last_group, body)
        elif piece.header:
            body = self.source.read(file, 0, piece.header) + body
        return UploadedObject(
            bucket=self.source.name,
            key=file.key,
            version=f"{file.version}:{piece.start}-{piece.end}",
            written_ms=file.written_ms,
            content_type="",
            size_bytes=len(body),
            body=body,
        )

    def _examples(self, part: Sequence[Piece], judged: Sequence[JudgedUpload]) -> Iterator[str]:
        for piece, one in zip(part, judged, strict=True):
            where = f"{self.plan.files[piece.file].key}, bytes {piece.start:,} to {piece.end:,}"
            if one.refusal is not None:
                yield f"{where}: {one.refusal}"
            elif one.judged.rejected:
                first = one.judged.rejected[0]
                yield f"{where}: {first.reason}: {first.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport:
    """All parts of a backfill together.

    missing: parts without a report. unrolled: markers that are still there, so that not all windows were rolled. check:
    how the windows compare with the parts; None if nobody has looked.
    """

    digest: str
    files: int
    refused_files: tuple[tuple[str, str], ...]
    size_bytes: int
    parts: tuple[PartReport, ...]
    missing: tuple[int, ...]
    unrolled: int
    check: WindowCheck | None = None

    @property
    def adds_up(self) -> bool:
        """Whether every part is done, each of its readings is accounted for, and every byte was read once.

        And whether the windows have what was written, if somebody has looked.
        """
        return (
            not self.missing
            and not (self.check and self.check.wrong)
            and all(one.adds_up for one in self.parts)
            and sum(one.size_bytes for one in self.parts) == self.size_bytes
        )

    def total(self, name: str) -> int:
        """Return the sum of a count of the parts, by its name."""
        return sum(int(getattr(one, name)) for one in self.parts)

    @property
    def rejected(self) -> dict[Reason, int]:
        """How many payloads do not count, by reason."""
        counted: Counter[Reason] = Counter()
        for one in self.parts:
            counted.update(one.rejected)
        return dict(sorted(counted.items()))

    def to_fields(self) -> dict[str, Any]:
        """Return the report in JSON's types; examples of the first parts that have any."""
        counts = ("payloads", "found", "readings", "duplicates", "left_out", "refused")
        examples = [example for one in self.parts for example in one.examples]
        return {
            "backfill": self.digest,
            "files": self.files,
            "files_refused": [{"file": name, "reason": why} for name, why in self.refused_files],
            "bytes": self.size_bytes,
            "parts": len(self.parts) + len(self.missing),
            "parts_missing": list(self.missing),
            **{("bytes_refused" if name == "refused" else name): self.total(name) for name in counts},
            "rejected": {str(reason): count for reason, count in self.rejected.items()},
            "examples": examples[:EXAMPLES_MAX],
            "markers_left": self.unrolled,
            "windows": None if self.check is None else asdict(self.check),
            "adds_up": self.adds_up,
        }


def report_of(backfill: BackfillRun) -> BackfillReport:
    """Gather the reports on all parts, and look which windows are still to be rolled."""
    with ThreadPoolExecutor(WRITERS) as readers:
        found = list(readers.map(backfill.report_on, range(len(backfill.plan.parts))))
    parts = tuple(one for one in found if one is not None)
    asked = {key for one in parts for key in one.markers}
    waiting = {one.key for one in backfill.lake.list_objects(BACKFILL_MARKERS)} if asked else set()
    return BackfillReport(
        digest=backfill.digest,
        files=len(backfill.plan.files),
        refused_files=backfill.plan.refused,
        size_bytes=backfill.plan.size_bytes,
        parts=parts,
        missing=tuple(number for number, one in enumerate(found) if one is None),
        unrolled=len(asked & waiting),
    )


def checked(backfill: BackfillRun, report: BackfillReport, results: ObjectStore) -> BackfillReport:
    """Return the report with a check of the windows of all parts that are done; ValueError if a part's list is gone."""
    delivered = kept_windows(backfill.lake, backfill.digest, [one.number for one in report.parts])
    return replace(report, check=check_windows(delivered, results))


def stored_plan(lake: ObjectStore, digest: str) -> HistoryPlan | None:
    """Return the plan of a backfill that was begun, None if there is none."""
    stored = lake.get(backfill_plan_key(digest))
    return None if stored is None else HistoryPlan.from_json(stored.body)


def keep_plan(lake: ObjectStore, digest: str, plan: HistoryPlan) -> HistoryPlan:
    """Store a plan, and return it; or that which somebody else has stored before."""
    try:
        lake.put(backfill_plan_key(digest), plan.to_json(), if_absent=True)
    except PreconditionFailed:
        return stored_plan(lake, digest) or plan
    return plan
