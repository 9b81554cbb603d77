"""What a batch of stream records says: the newest change of each series, and the sites that something changed at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from windrow.live.newest import NewestValue, site_of, value_of

REMOVE = "REMOVE"


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed: the newest value of each series that has one, by site and series, and each quantity of a site.

    A site and quantity of which only values expired are among `touched` too. `unreadable` counts the records that are
    of no value.
    """

    values: tuple[NewestValue, ...]
    touched: Mapping[str, frozenset[tuple[str, str]]]
    unreadable: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed that anybody could be told."""
        return not self.touched


def changes_of(records: Iterable[Mapping[str, Any]]) -> Changes:
    """Return what records of a stream of NEW_AND_OLD_IMAGES say together.

    The result is the same in whichever order they come, and if some come again. What is unreadable is counted and
    skipped: a stream must not be held up by what no later try can read.
    """
    newest: dict[tuple[str, str], NewestValue] = {}
    touched: dict[str, set[tuple[str, str]]] = {}
    unreadable = 0
    for record in records:
        try:
            is_gone = record["eventName"] == REMOVE
            value = value_of(record["dynamodb"]["OldImage" if is_gone else "NewImage"])
        except (KeyError, TypeError, ValueError):
            unreadable += 1
            continue
        quantity = (value.quantity.name, value.quantity.unit)
        touched.setdefault(site_of(value.sensor_id), set()).add(quantity)
        known = newest.get(value.key)
        if not is_gone and (known is None or known.order < value.order):
            newest[value.key] = value
    return Changes(
        values=tuple(newest[key] for key in sorted(newest)),
        touched={site: frozenset(touched[site]) for site in sorted(touched)},
        unreadable=unreadable,
    )
