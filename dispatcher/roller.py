"""What the rolls of one tick share, and what they leave for the rest of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.ceiling import Ceiling, Use
from dispatcher.held import are_kept
from dispatcher.observation import Buckets
from dispatcher.room import Room
from windrow.lake.layout import MarkerKey, SilenceMarkerKey
from windrow.lake.store import Mapper, StoreError
from windrow.lifetimes import Lifetimes
from windrow.rows.held import Watch
from windrow.rows.lineage import Lineage
from windrow.window import Window

log = logging.getLogger(__name__)

ROUNDS_MAX = 5
"""How often the work on one window or period starts over because another dispatcher wrote; each loss is its gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLineage:
    """A lineage, and the ETag of its object."""

    lineage: Lineage
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roller:
    """What all rolls of one tick share.

    And what they leave: what each took of the ceiling, the lineages they found or wrote, the silence markers they
    put, and the keys in the lake that nobody needs any more.
    """

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    mapper: Mapper = map
    room: Room | None = None
    """Where several windows are rolled at once."""
    has_rules: bool = False
    """Whether rules judge the rows, so that other rows are other excursions."""
    watches: tuple[Watch, ...] = ()
    """The held times that these rules ask for."""
    watches_from: Window | None = None
    """The first window that is rolled anew if it lacks them; of older ones only those in `held_gone` are."""
    ceiling: Ceiling | None = None
    uses: list[tuple[Window, Use]] = field(default_factory=list)
    lineages: dict[Window, KnownLineage] = field(default_factory=dict)
    silence_markers: set[SilenceMarkerKey] = field(default_factory=set)
    backfill_markers: Mapping[str, frozenset[MarkerKey]] = field(default_factory=dict)
    """The keys of those that the tick has read, and the markers that each stands for."""
    released: set[MarkerKey] = field(default_factory=set)
    """Markers of partials that standing lineages name."""
    discarded: set[str] = field(default_factory=set)
    held_gone: set[Window] = field(default_factory=set)
    """Windows whose held times are not where their lineages say, or not kept for all that is watched."""

    def has_held_times(self, lineage: Lineage) -> bool:
        """Tell whether a window needs no roll for the sake of its held times."""
        window = lineage.window
        is_recent = self.watches_from is not None and window >= self.watches_from
        return window not in self.held_gone and (are_kept(lineage, self.watches) or not is_recent)

    def clear(self) -> None:
        """Delete what was discarded; what S3 does not delete now, a later tick does, or the lifecycle.

        A backfill marker goes when all that it stands for are released.
        """
        done = {key for key, markers in self.backfill_markers.items() if markers <= self.released}
        discarded = sorted(self.discarded | done)
        self.discarded.clear()
        try:
            self.buckets.lake.delete_all(discarded)
        except StoreError as error:
            log.warning("markers or replaced ranges are still there: %s", error)
