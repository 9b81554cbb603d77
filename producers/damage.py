"""What could not be used in a segment of a spool."""

from dataclasses import dataclass, field

from producers.frames import Damage

# A message lists at most this many damaged places.
_PLACES_LISTED_MAX = 5


@dataclass(slots=True)
class SegmentDamage:
    """Unreadable places and refused entries of the segment in file `name`; reading it again counts nothing twice."""

    name: str
    unread: str = ""
    """Why the file could not be read at all; empty if it could."""
    _places: set[Damage] = field(default_factory=set)
    _refused: int = 0
    _refused_again: int = 0
    _refused_why: str = ""

    def __bool__(self) -> bool:
        """Return whether there is any damage."""
        return bool(self._places) or self._refused > 0

    def begin_reading(self) -> None:
        """Start another reading, in which the same entries may be refused again."""
        self._refused_again = 0

    def add(self, place: Damage) -> int:
        """Add an unreadable place; return by how many the damage grew."""
        before = len(self._places)
        self._places.add(place)
        return len(self._places) - before

    def refuse(self, why: str) -> int:
        """Add a refused entry; return by how many the damage grew."""
        self._refused_again += 1
        self._refused_why = self._refused_why or why
        before, self._refused = self._refused, max(self._refused, self._refused_again)
        return self._refused - before

    def description(self, *, size_bytes: int) -> str:
        """Describe the damage to a file of this size for the log: how much, and at which offsets."""
        parts = []
        if self._places:
            places = sorted((place.first, place.end) for place in self._places)
            named = [f"{first} to {end}" for first, end in places[:_PLACES_LISTED_MAX]]
            if len(places) > len(named):
                named.append(f"{len(places) - len(named)} more places")
            lost_bytes = sum(end - first for first, end in places)
            parts.append(f"{lost_bytes} of {size_bytes} bytes cannot be read (offsets {', '.join(named)})")
        if self.unread:
            parts.append(self.unread)
        if self._refused:
            parts.append(f"{self._refused} intact entries make no sense ({self._refused_why})")
        return "; ".join(parts)
