"""What a simulation sent, as an object in the lake: enough to compute its truth again, whole or by window."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from producers.fleet import FleetSpec
from producers.writer import WriterCounters
from windrow.errors import WindrowError
from windrow.lake.layout import SIMULATIONS, simulation_key
from windrow.lake.store import ObjectStore, PreconditionFailed

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """The counts of what a run sent.

    payloads: sent by the fleet; readings: distinct ones that must count; repeated: payloads that repeat an earlier
    one; malformed: payloads that must land in quarantine. payloads = readings + repeated + malformed.
    truncated: records that must land in quarantine, in addition to the payloads.
    """

    payloads: int = 0
    readings: int = 0
    repeated: int = 0
    malformed: int = 0
    truncated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One run of a simulation. Totals, counters and sequence numbers are empty until `is_completed`.

    last_sequence_numbers: per shard, the highest number it gave to a record of this run.
    """

    run_id: str
    stream: str
    fleet: FleetSpec
    is_completed: bool = False
    totals: RunTotals = field(default_factory=RunTotals)
    counters: WriterCounters = field(default_factory=WriterCounters)
    last_sequence_numbers: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Encode as JSON; sequence numbers are strings, because JSON readers lose digits of integers that long."""
        fields = {
            "format": FORMAT,
            "run_id": self.run_id,
            "stream": self.stream,
            "fleet": self.fleet.to_json(),
            "is_completed": self.is_completed,
            "totals": asdict(self.totals),
            "counters": asdict(self.counters),
            "last_sequence_numbers": {shard: str(last) for shard, last in self.last_sequence_numbers.items()},
        }
        return json.dumps(fields, indent=2).encode() + b"\n"

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Decode what `to_bytes` made; raises ValueError for anything else, including another format."""
        try:
            fields: dict[str, Any] = json.loads(body)
            if fields["format"] != FORMAT:
                raise ValueError(f"format {fields['format']}, not {FORMAT}")
            return cls(
                run_id=fields["run_id"],
                stream=fields["stream"],
                fleet=FleetSpec.from_json(fields["fleet"]),
                is_completed=fields["is_completed"],
                totals=RunTotals(**fields["totals"]),
                counters=WriterCounters(**fields["counters"]),
                last_sequence_numbers={shard: int(last) for shard, last in fields["last_sequence_numbers"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the manifest of a simulation: {error!r}") from error


def plan_run(store: ObjectStore, manifest: Manifest) -> str:
    """Store the manifest of a run that is about to begin, and return its ETag. WindrowError if the run exists."""
    try:
        return store.put(simulation_key(manifest.run_id), manifest.to_bytes(), if_absent=True)
    except PreconditionFailed as error:
        message = f"simulation {manifest.run_id} exists already"
        raise WindrowError(message, hint="the same one has just begun: try again") from error


def complete_run(store: ObjectStore, manifest: Manifest, *, etag: str) -> None:
    """Replace what `plan_run` stored under `etag`. WindrowError if someone else has changed it."""
    key, body = simulation_key(manifest.run_id), manifest.to_bytes()
    try:
        store.put(key, body, if_match=etag)
    except PreconditionFailed as error:
        found = store.get(key)
        if found is None or found.body != body:  # otherwise it was our own write, whose answer was lost
            raise WindrowError(f"simulation {manifest.run_id} was changed while it ran") from error


def stored_runs(store: ObjectStore) -> Iterator[Manifest]:
    """Yield the manifests in the lake, by run id. WindrowError naming the key of one that cannot be read."""
    for listed in store.list_objects(SIMULATIONS):
        found = store.get(listed.key)
        if found is None:
            continue
        try:
            yield Manifest.from_bytes(found.body)
        except ValueError as error:
            raise WindrowError(f"{listed.key}: {error}", hint="remove it, or use the windrow that wrote it") from error
