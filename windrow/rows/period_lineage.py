"""The lineage of an hour or a day: the rows it was merged from. One line of JSON each, several lines in one object.

The hours of a day, or the days of a month, share an object: one GET shows whether any of them has to be merged again.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from windrow.period import Grain, Period
from windrow.rows.format_version import check_readable
from windrow.rows.lineage import UnreadableLineage
from windrow.timestamps import format_sql, parse_sql_ms

FORMAT = 1


@dataclass(frozen=True, slots=True, order=True)
class PeriodPart:
    """Rows that a period was merged from: their start, the hash of their content, and the ETag of their object."""

    start_ms: int
    rows_sha256: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLineage:
    """Facts about one roll of `period`; see windrow.rows.lineage.Lineage for the fields not explained here.

    parts: ascending; windows or hours without a rows object are not among them.
    """

    period: Period
    parts: tuple[PeriodPart, ...]
    rows_sha256: str
    result_etag: str
    revision: int
    readings: int
    sensors: int
    conflicts: int
    scheduled_time_ms: int

    @property
    def etags(self) -> dict[int, str]:
        """The ETag of each part by its start; equal to a listing exactly if nothing was written since."""
        return {part.start_ms: part.etag for part in self.parts}

    @property
    def fingerprint(self) -> str:
        """BLAKE2b-128 over the starts and the content of the parts, whatever their objects' ETags are."""
        named = "\n".join(f"{part.start_ms} {part.rows_sha256}" for part in sorted(self.parts))
        return hashlib.blake2b(named.encode(), digest_size=16).hexdigest()


def to_json_lines(lineages: Iterable[PeriodLineage]) -> bytes:
    """Encode one line each, ascending by period; equal lineages give equal bytes."""
    return b"".join(_line(lineage) for lineage in sorted(lineages, key=lambda lineage: lineage.period))


def from_json_lines(grain: Grain, body: bytes) -> Mapping[Period, PeriodLineage]:
    """Decode the form of `to_json_lines`; raises UnreadableLineage."""
    try:
        lineages = [_lineage(grain, json.loads(line)) for line in body.splitlines()]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableLineage(f"{type(error).__name__}: {error}") from error
    return {lineage.period: lineage for lineage in lineages}


def _line(lineage: PeriodLineage) -> bytes:
    fields = {
        "window_start": format_sql(lineage.period.start_ms),
        "window_end": format_sql(lineage.period.end_ms),
        "revision": lineage.revision,
        "readings": lineage.readings,
        "sensors": lineage.sensors,
        "conflicts": lineage.conflicts,
        "scheduled_time": format_sql(lineage.scheduled_time_ms),
        "fingerprint": lineage.fingerprint,
        "parts": [
            {"window_start": format_sql(part.start_ms), "rows_sha256": part.rows_sha256, "etag": part.etag}
            for part in lineage.parts
        ],
        "rows_sha256": lineage.rows_sha256,
        "result_etag": lineage.result_etag,
        "format": FORMAT,
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _lineage(grain: Grain, fields: Mapping[str, object]) -> PeriodLineage:
    check_readable(fields["format"], written=FORMAT)
    same = {field.name for field in dataclasses.fields(PeriodLineage)} & fields.keys()
    taken = {name: fields[name] for name in same}
    return PeriodLineage(
        **taken  # type: ignore[arg-type] # as JSON has them
        | {
            "period": Period(grain, parse_sql_ms(str(fields["window_start"]))),
            "scheduled_time_ms": parse_sql_ms(str(fields["scheduled_time"])),
            "parts": tuple(
                PeriodPart(parse_sql_ms(part["window_start"]), part["rows_sha256"], part["etag"])
                for part in fields["parts"]  # type: ignore[attr-defined]
            ),
        }
    )
