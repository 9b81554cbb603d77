"""The lineage of a window: what its rows were made of. One JSON object per window, the table `windows`."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from windrow.timestamps import format_sql, parse_sql_ms
from windrow.window import Window

FORMAT = 1

# (name, Glue type); the Athena JSON table has these columns.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("window_start", "timestamp"),
    ("window_end", "timestamp"),
    ("revision", "int"),
    ("readings", "bigint"),
    ("sensors", "bigint"),
    ("conflicts", "bigint"),
    ("duplicates_removed", "bigint"),
    ("late", "bigint"),
    ("quarantined", "bigint"),
    ("partials", "int"),
    ("shards", "array<string>"),
    ("is_final", "boolean"),
    ("scheduled_time", "timestamp"),
    ("fingerprint", "string"),
    ("digests", "array<string>"),
    ("rows_sha256", "string"),
    ("result_etag", "string"),
    ("format", "int"),
)


class UnreadableLineage(ValueError):  # noqa: N818 - the domain's noun
    """The bytes are no lineage of a format that this version reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Facts about one roll of `window`.

    fingerprint: of the digests of the partials that the rows were made of; digests: those digests, ascending;
    rows_sha256: over the logical columns; result_etag: of the rows object ("" when there is none);
    revision: 1 for the first rows, and one more each time rows_sha256 changed; readings, sensors, conflicts: of the
    set; duplicates_removed, late, quarantined: as delivered, up to the roll; partials: objects listed; shards:
    "<stream>-<shard>", ascending; is_final: no partial can arrive any more; scheduled_time_ms: of the tick.
    """

    window: Window
    fingerprint: str
    digests: tuple[str, ...]
    rows_sha256: str
    result_etag: str
    revision: int
    readings: int
    sensors: int
    conflicts: int
    duplicates_removed: int
    late: int
    quarantined: int
    partials: int
    shards: tuple[str, ...]
    is_final: bool
    scheduled_time_ms: int

    def to_json(self) -> bytes:
        """One line of JSON with the keys of COLUMNS, in their order."""
        fields = dataclasses.asdict(self) | {
            "window_start": format_sql(self.window.start_ms),
            "window_end": format_sql(self.window.end_ms),
            "scheduled_time": format_sql(self.scheduled_time_ms),
            "format": FORMAT,
        }
        ordered = {name: fields[name] for name, _ in COLUMNS}
        return json.dumps(ordered, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_json(cls, body: bytes) -> "Lineage":
        """The inverse of `to_json`; raises UnreadableLineage."""
        try:
            fields = json.loads(body)
            if fields["format"] != FORMAT:
                raise ValueError(f"format {fields['format']!r}, this version reads {FORMAT}")
            same = {field.name for field in dataclasses.fields(cls)} & fields.keys()
            taken = {name: fields[name] for name in same}
            return cls(
                **taken
                | {
                    "window": Window(parse_sql_ms(fields["window_start"])),
                    "scheduled_time_ms": parse_sql_ms(fields["scheduled_time"]),
                    "digests": tuple(fields["digests"]),
                    "shards": tuple(fields["shards"]),
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableLineage(f"{type(error).__name__}: {error}") from error


def fingerprint(digests: Iterable[str]) -> str:
    """BLAKE2b-128 over the sorted distinct `digests`: names the set of partials, whatever order they are listed in."""
    return hashlib.blake2b("\n".join(sorted(set(digests))).encode(), digest_size=16).hexdigest()
