"""What a spool met in one of its segments and could not use."""

from dataclasses import dataclass, field

from producers.frames import Damage

# Damaged places that a message names one by one.
_PLACES_TOLD_MAX = 5


@dataclass(slots=True)
class SegmentDamage:
    """Unreadable places and refused entries of the segment in the file `name`, each once however often it is read."""

    name: str
    unread: str = ""
    """Why the file could not be read at all."""
    _places: set[Damage] = field(default_factory=set)
    _refused: int = 0
    _refused_again: int = 0
    _refused_why: str = ""

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._places) or self._refused > 0

    def begin_reading(self) -> None:
        """Expect the same entries to be refused as the last time."""
        self._refused_again = 0

    def add(self, place: Damage) -> int:
        """Keep an unreadable place; how many more this makes."""
        before = len(self._places)
        self._places.add(place)
        return len(self._places) - before

    def refuse(self, why: str) -> int:
        """Keep that an entry was refused; how many more this makes."""
        self._refused_again += 1
        self._refused_why = self._refused_why or why
        before, self._refused = self._refused, max(self._refused, self._refused_again)
        return self._refused - before

    def description(self, *, size_bytes: int) -> str:
        """Say for a log what is damaged, of a file of that size: how much, and at which octets."""
        parts = []
        if self._places:
            places = sorted((place.first, place.end) for place in self._places)
            named = [f"{first} to {end}" for first, end in places[:_PLACES_TOLD_MAX]]
            if len(places) > len(named):
                named.append(f"{len(places) - len(named)} more places")
            lost_bytes = sum(end - first for first, end in places)
            parts.append(f"{lost_bytes} of {size_bytes} bytes cannot be read (offsets {', '.join(named)})")
        if self.unread:
            parts.append(self.unread)
        if self._refused:
            parts.append(f"{self._refused} intact entries make no sense ({self._refused_why})")
        return "; ".join(parts)
