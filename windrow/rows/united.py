"""The united set of a window: the union that its last roll made, as objects cut by ranges of sensor ids.

The lineage names the ranges. They hold exactly the readings of the partials that it names, so a roll may read them in
place of these partials, and only the ranges that new partials touch.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def digest_of(body: bytes) -> str:
    """Compute BLAKE2b-128 over the bytes of a range's object: a tenth of the work of hashing its readings."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitedRange:
    """The readings of the sensors from `first` (the empty string in the first range) up to the next range's first.

    fingerprint: of the digests of the lineage that named it first; digest: of the object's bytes.
    """

    first: str
    fingerprint: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the readings of one digest were delivered: in how many objects, and, in one of them, the counts."""

    objects: int
    readings: int
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitedSet:
    """The ranges, ascending, the first from the empty string; and the deliveries, in the order of the digests."""

    ranges: tuple[UnitedRange, ...]
    deliveries: tuple[Delivery, ...]

    def to_fields(self) -> dict[str, Any]:
        """Return the form in the JSON of a lineage: short, because there may be thousands of deliveries."""
        return {
            "ranges": [[one.first, one.fingerprint, one.digest] for one in self.ranges],
            "objects": [one.objects for one in self.deliveries],
            "readings": [one.readings for one in self.deliveries],
            "late": [one.late for one in self.deliveries],
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "UnitedSet":
        """Undo `to_fields`; ValueError, KeyError or TypeError if it is something else."""
        ranges = tuple(
            UnitedRange(first=first, fingerprint=fingerprint, digest=digest)
            for first, fingerprint, digest in fields["ranges"]
        )
        deliveries = tuple(
            Delivery(objects=objects, readings=readings, late=late)
            for objects, readings, late in zip(fields["objects"], fields["readings"], fields["late"], strict=True)
        )
        return cls(ranges=ranges, deliveries=deliveries)
