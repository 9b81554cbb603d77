"""For how long values were beyond limits in windows that are rolled already: what rules that count minutes ask for.

A lineage names the held times of the limits that rules of the stage have had. Those of other limits are worked out from
the readings that the rows were made of, as a roll would, as long as the lake has these. Nothing is written.
"""

from collections.abc import Collection

from dispatcher.held import read_held
from dispatcher.observation import (
    Buckets,
    MissingPartial,
    UnreadableObject,
    list_partials,
    observe_lineage,
    read_partials,
)
from dispatcher.united import UnusableUnion, read_ranges
from windrow.errors import WindrowError
from windrow.lake.store import StoreError
from windrow.rows.held import Held, Watch, held_times, joined_held
from windrow.rows.lineage import Lineage
from windrow.rows.partial import Partial, union
from windrow.window import Window

READINGS_MAX = 5_000_000
"""Readings that are held in memory together, of a window without a united set: half a gigabyte."""


class UnknownHeldTimes(WindrowError):  # noqa: N818 - the domain's noun
    """A window whose held times nobody can tell any more, or whose lineage or readings cannot be read."""


class HeldHistory:
    """The held times of `watches` in any window of a stage."""

    def __init__(self, buckets: Buckets, watches: Collection[Watch]) -> None:
        """Read from these buckets."""
        self._buckets = buckets
        self._watches = tuple(watches)

    def of(self, window_start_ms: int) -> Held:
        """Return the held times of one window; UnknownHeldTimes says why there are none."""
        window = Window(window_start_ms)
        try:
            lineage = observe_lineage(self._buckets, window, rows_etag=None).lineage
            if lineage is None:
                raise UnknownHeldTimes("its lineage is gone")
            held = read_held(self._buckets, lineage, self._watches)
            if held is None:
                held = self._of_united(lineage)
            return held_times(self._readings(lineage), self._watches) if held is None else held
        except MissingPartial as error:
            raise UnknownHeldTimes("its readings are gone from the lake") from error
        except (UnreadableObject, StoreError) as error:
            raise UnknownHeldTimes(str(error)) from error

    def _of_united(self, lineage: Lineage) -> Held | None:
        """Work them out from the united set, range by range; None if there is none, or it is not whole any more."""
        if lineage.united is None:
            return None
        try:
            ranges = read_ranges(self._buckets, lineage.window, lineage.united.ranges, mapper=map)
            return joined_held(held_times(part, self._watches) for part in ranges)
        except UnusableUnion:
            return None  # its partials may still be there

    def _readings(self, lineage: Lineage) -> Partial:
        """Return the readings that the rows were made of, from partials."""
        if lineage.readings > READINGS_MAX:
            raise UnknownHeldTimes(f"{lineage.readings:,} readings are more than can be looked at here")
        keys = list_partials(self._buckets, lineage.window).keys
        if missing := set(lineage.digests) - keys.keys():
            raise MissingPartial(min(missing))
        found = read_partials(self._buckets, [keys[digest][0] for digest in lineage.digests], mapper=map)
        return union(lineage.window, [partial for partial, _ in found])
