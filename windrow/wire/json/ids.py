"""The ids of readings that came as Python texts: as columns, each distinct id once."""

from collections.abc import Sequence

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.strings import Strings
from windrow.reading import are_sensor_ids


def distinct_ids(ids: Sequence[str]) -> tuple[Strings, Int64s, Mask]:
    """Return the k distinct ids, the place of each id among them, int64[n], and which are sensor ids, bool[n]."""
    places: dict[str, int] = {}
    place = np.fromiter((places.setdefault(one, len(places)) for one in ids), np.int64, len(ids))
    distinct = Strings.of(places)
    is_id = are_sensor_ids(distinct) if len(distinct) else np.zeros(0, bool)
    return distinct, place, is_id[place]
