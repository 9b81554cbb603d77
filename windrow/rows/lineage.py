"""The lineage of a window: what its rows were made from. One JSON object per window, the table `windows`."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from windrow import schemas
from windrow.rows.format_version import check_readable
from windrow.rows.held import HeldLimit, Side, Watch
from windrow.rows.united import UnitedSet
from windrow.timestamps import format_sql, parse_sql_ms
from windrow.window import Window

FORMAT = 1

COLUMNS = schemas.WINDOWS


class UnreadableLineage(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no lineage in a format that this release reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcursionsMark:
    """What the excursions of a window were worked out from, and what came of it.

    rules: the digest of the rules; source: a fingerprint of these, of the rows, and of what the window before left;
    state: a hash of what the next window goes on from, empty if that is nothing; etag: of the object ("" if there is
    none).
    """

    rules: str
    source: str
    state: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMark:
    """Which held times of a window are kept (windrow.rows.held), and in which object of the lake.

    watches: ascending; fingerprint: of the digests of the readings; digest: of the object's bytes, "" if nobody was
    beyond any of the limits, and there is no object.
    """

    watches: tuple[Watch, ...]
    fingerprint: str
    digest: str

    def to_fields(self) -> dict[str, Any]:
        """Return the form in the JSON of a lineage."""
        return {
            "watches": [[*dataclasses.astuple(one.limit), one.sensors] for one in self.watches],
            "fingerprint": self.fingerprint,
            "digest": self.digest,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "HeldMark":
        """Undo `to_fields`; ValueError, KeyError or TypeError if it is something else."""
        watches = tuple(
            Watch(HeldLimit(quantity, Side(side), limit_milli, hold_ms_max), sensors)
            for quantity, side, limit_milli, hold_ms_max, sensors in fields["watches"]
        )
        return cls(watches=watches, fingerprint=fields["fingerprint"], digest=fields["digest"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Facts about one roll of `window`.

    digests: of the partials that the rows were made from, ascending; fingerprint: of these digests;
    rows_sha256: over the logical columns of the rows; result_etag: of the rows object ("" if there is none);
    revision: 1 for the first rows, plus 1 each time rows_sha256 changes; readings, sensors, conflicts: of the set of
    readings; duplicates_removed, late, quarantined: as delivered, up to the roll; partials: the objects listed; shards:
    "<stream>-<shard>", ascending; is_final: no partial can arrive any more; scheduled_time_ms: of the tick.

    A sensor is a series here, and in every count of sensors below: what measures two quantities counts twice.

    The silence of the window (windrow.rows.silence), None and "" until it is computed: sensors_expected: the sensors of
    the windows before it; silent: how many of them are silent; presence: a fingerprint of the sensors of all these
    windows; silences_etag: of its object of silences ("" if there is none). sensors_sha256: over the sensor ids of the
    rows.

    united: the objects that hold the readings of exactly these digests; None if there are none. excursions: None until
    rules have judged the rows. held: the held times of these readings; None if no rule has asked for any. All three are
    for the dispatcher, and no columns of the table.
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
    sensors_sha256: str = ""
    sensors_expected: int | None = None
    silent: int | None = None
    presence: str = ""
    silences_etag: str = ""
    united: UnitedSet | None = None
    excursions: ExcursionsMark | None = None
    held: HeldMark | None = None

    @property
    def completeness(self) -> float | None:
        """Sensors divided by expected sensors: more than 1 if sensors are new, None if none are expected."""
        return self.sensors / self.sensors_expected if self.sensors_expected else None

    @property
    def is_outage(self) -> bool:
        """Whether fewer than half of the expected sensors are present."""
        return 2 * self.sensors < (self.sensors_expected or 0)

    @property
    def is_silence_unknown(self) -> bool:
        """Whether the silence was not computed since the sensors changed."""
        return self.sensors > 0 and not self.presence

    def to_json(self) -> bytes:
        """Encode as one line of JSON with the keys of COLUMNS, in their order, then what only the dispatcher reads."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | {
            "window_start": format_sql(self.window.start_ms),
            "window_end": format_sql(self.window.end_ms),
            "scheduled_time": format_sql(self.scheduled_time_ms),
            "completeness": self.completeness,
            "format": FORMAT,
        }
        ordered = {name: fields[name] for name, _ in COLUMNS}
        if self.united is not None:
            ordered["united"] = self.united.to_fields()
        if self.excursions is not None:
            ordered["excursions"] = dataclasses.asdict(self.excursions)
        if self.held is not None:
            ordered["held"] = self.held.to_fields()
        return json.dumps(ordered, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_json(cls, body: bytes) -> "Lineage":
        """Decode the form of `to_json`; raises UnreadableLineage."""
        try:
            fields = json.loads(body)
            check_readable(fields["format"], written=FORMAT)
            same = {field.name for field in dataclasses.fields(cls)} & fields.keys()
            taken = {name: fields[name] for name in same}
            united = UnitedSet.from_fields(fields["united"]) if "united" in fields else None
            if united and len(united.deliveries) != len(fields["digests"]):
                raise ValueError("the deliveries of the united set are not those of the digests")
            return cls(
                **taken
                | {
                    "window": Window(parse_sql_ms(fields["window_start"])),
                    "scheduled_time_ms": parse_sql_ms(fields["scheduled_time"]),
                    "digests": tuple(fields["digests"]),
                    "shards": tuple(fields["shards"]),
                    "united": united,
                    "excursions": ExcursionsMark(**fields["excursions"]) if "excursions" in fields else None,
                    "held": HeldMark.from_fields(fields["held"]) if "held" in fields else None,
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableLineage(f"{type(error).__name__}: {error}") from error


def fingerprint(digests: Iterable[str]) -> str:
    """Compute BLAKE2b-128 over the sorted distinct `digests`, which names the set of partials in any order."""
    return hashlib.blake2b("\n".join(sorted(set(digests))).encode(), digest_size=16).hexdigest()
