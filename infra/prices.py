"""Prices and measured figures for the cost model, each with where it comes from; they stand in `prices.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

NOT_SEEN = "not seen"
"""Stands for the date of a price that was seen in no dated copy of a price list."""


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in US dollars for one `unit`, with its source and the date when it was seen there, or NOT_SEEN."""

    usd: float
    unit: str
    source: str
    seen: str

    @property
    def is_seen(self) -> bool:
        """Whether the price was seen in a dated copy of a price list."""
        return self.seen != NOT_SEEN


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that windrow brings itself, its unit, and how it was measured; or that it is assumed."""

    value: float
    unit: str
    how: str

    @property
    def is_assumed(self) -> bool:
        """Whether nobody has measured it."""
        return self.how.startswith("assumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """All prices and figures, by name."""

    region: str
    note: str
    prices: Mapping[str, Price]
    figures: Mapping[str, Figure]

    def usd(self, name: str) -> float:
        """Return a price in US dollars."""
        return self.prices[name].usd

    def figure(self, name: str) -> float:
        """Return a measured or assumed number."""
        return self.figures[name].value


@cache
def price_table() -> PriceTable:
    """Return the content of prices.json."""
    found = json.loads(files("infra").joinpath("prices.json").read_text())
    return PriceTable(
        region=found["region"],
        note=found["note"],
        prices={name: Price(**one) for name, one in found["prices"].items()},
        figures={name: Figure(**one) for name, one in found["measured"].items()},
    )
