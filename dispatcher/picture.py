"""The picture of a day: an SVG with a panel for each quantity, which any browser and most file browsers show.

    12.5 ┤   │            thin bar: least to greatest reading of the hour
         │   █            thick bar: the sensors' means, 90 % of the sensors
    10.0 ┤   ▬            dark line: the middle one of them
         │   │
          ▁▁▁█▁▁▁         how many sensors were heard
          0      6      12      18      24 h, UTC

Text, shapes and two palettes, light and dark; no script, and nothing is fetched. The same day gives the same bytes.
"""

import math
import re
from collections.abc import Iterator, Mapping
from html import escape

from dispatcher.fleet_day import HIGH_PERCENT, LOW_PERCENT, FleetDay, FleetHour
from windrow.period import DAY_MS, HOUR_MS
from windrow.quantities import Quantity
from windrow.timestamps import format_sql

PANELS_MAX = 12
"""Quantities that are drawn; the summary has all of them."""
_WIDTH, _LEFT, _RIGHT = 960, 84, 24
_HEAD, _PANEL, _FOOT = 92, 248, 40
_TITLE, _VALUES, _GAP, _HEARD = 30, 130, 12, 32
"""Of a panel, from its top: its title, the values, a gap, and the sensors heard; below stand the hours."""
_TICKS, _UNIT = 4, 1000
_HOURS = DAY_MS // HOUR_MS
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not have (section 2.2)."""
_STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; fill: #4a5260 }
.head { font-size: 22px; font-weight: 600; fill: #14181f }
.name { font-size: 15px; font-weight: 600; fill: #14181f }
.grid { stroke: #dfe3e9 } .all { fill: #a9c3e8 } .most { fill: #2f6fc4 } .middle { fill: #14181f }
.heard { fill: #7d8796 }
@media (prefers-color-scheme: dark) {
svg { background: #14181f; fill: #a8b1bf } .head, .name { fill: #eef1f5 }
.grid { stroke: #2c333e } .all { fill: #2d4a72 } .most { fill: #6aa5f2 } .middle { fill: #fff }
}
"""


def picture_svg(start_ms: int, day: FleetDay, *, sensors: int, readings: int, final_ms: int) -> bytes:
    """Draw the day that starts at `start_ms`; `sensors` counts its series, `readings` all that they measured.

    final_ms: until then, late readings may change the day.
    """
    drawn = list(day.items())[:PANELS_MAX]
    height = _HEAD + _PANEL * len(drawn) + _FOOT
    date, until = format_sql(start_ms)[:10], format_sql(final_ms)[:16]
    told = f"{_count(sensors, 'series')}, {_count(readings, 'readings')}; may change until {until} UTC"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img" aria-labelledby="title told">',
        f'<title id="title">The fleet on {date}</title>',
        f'<desc id="told">{told}. {_described(dict(drawn))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<text class="head" x="24" y="40">The fleet on {date}</text>',
        f'<text x="24" y="64">{told}</text>',
    ]
    for place, (quantity, hours) in enumerate(drawn):
        lines.append(f'<g transform="translate(0 {_HEAD + place * _PANEL})">')
        lines += _panel(start_ms, quantity, hours)
        lines.append("</g>")
    left_out = f"; {len(day) - len(drawn)} more quantities are in the summary" if len(day) > len(drawn) else ""
    legend = (
        "Of each hour: least to greatest reading; thick, the means of the sensors without the lowest and the highest "
        f"{LOW_PERCENT} %{left_out}"
    )
    lines += [f'<text x="24" y="{height - 16}">{legend}</text>', "</svg>", ""]
    return "\n".join(lines).encode()


def scale(least: int, greatest: int) -> list[int]:
    """Return ascending ticks, 1, 2 or 5 times a power of ten apart, that enclose both and at least a unit."""
    if greatest - least < _UNIT:
        least, greatest = least - _UNIT // 2, greatest + _UNIT // 2
    step = (greatest - least) / _TICKS
    power = 10 ** math.floor(math.log10(step))
    whole = next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= step)
    first, last = least // whole, -(-greatest // whole)
    return [place * whole for place in range(first, last + 1)]


def _panel(start_ms: int, quantity: Quantity, hours: Mapping[int, FleetHour]) -> Iterator[str]:
    ticks = scale(min(one.min_milli for one in hours.values()), max(one.max_milli for one in hours.values()))
    heard_max = max(one.sensors for one in hours.values())
    bottom = _TITLE + _VALUES

    def y(milli: int) -> float:
        return bottom - _VALUES * (milli - ticks[0]) / (ticks[-1] - ticks[0])

    yield f'<text class="name" x="24" y="16">{_text(quantity.name)}, {_text(_unit(quantity))}</text>'
    for tick in ticks:
        yield _line(y(tick))
        yield f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{_decimal(tick)}</text>'
    base = bottom + _GAP + _HEARD
    yield f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end">{heard_max:,}</text>'
    yield f'<text x="{_LEFT - 8}" y="{base - 14}" text-anchor="end">heard</text>'
    for start, one in hours.items():
        left = _x((start - start_ms) / HOUR_MS)
        yield f"<g><title>{_told(start, quantity, one)}</title>"
        yield _bar("all", left + 14, y(one.max_milli), 8, y(one.min_milli))
        yield _bar("most", left + 9, y(one.high_milli), 18, y(one.low_milli))
        yield _bar("middle", left + 9, y(one.middle_milli) - 1, 18, y(one.middle_milli) + 1)
        yield _bar("heard", left + 3, base - _HEARD * one.sensors / heard_max, 30, base)
        yield "</g>"
    yield _line(base)
    for hour in range(0, _HOURS + 1, 6):
        yield f'<text x="{_x(hour):.1f}" y="{base + 16}" text-anchor="middle">{hour:02}:00</text>'


def _x(hour: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * hour / _HOURS


def _line(y: float) -> str:
    return f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _bar(kind: str, x: float, top: float, width: int, bottom: float) -> str:
    height = max(bottom - top, 2)  # a bar of one value is still seen
    return f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width}" height="{height:.1f}"/>'


def _told(start_ms: int, quantity: Quantity, hour: FleetHour) -> str:
    values = ", ".join(
        f"{name} {_decimal(milli)}"
        for name, milli in (
            ("greatest", hour.max_milli),
            (f"{HIGH_PERCENT} %", hour.high_milli),
            ("middle", hour.middle_milli),
            (f"{LOW_PERCENT} %", hour.low_milli),
            ("least", hour.min_milli),
        )
    )
    told = f"{_count(hour.sensors, 'sensors')}, {_count(hour.readings, 'readings')}"
    return f"{format_sql(start_ms)[11:16]}: {values} {_text(_unit(quantity))}; {told}"


def _described(day: FleetDay) -> str:
    """Say in words, for those who do not see the picture, between what values each quantity was."""
    return " ".join(
        f"{_text(quantity.name)}: {_decimal(min(one.min_milli for one in hours.values()))} to "
        f"{_decimal(max(one.max_milli for one in hours.values()))} {_text(_unit(quantity))}."
        for quantity, hours in day.items()
    )


def _unit(quantity: Quantity) -> str:
    return "°C" if quantity.unit == "C" else quantity.unit


def _count(number: int, what: str) -> str:
    return f"{number:,} {what.removesuffix('s') if number == 1 and what != 'series' else what}"


def _decimal(milli: int) -> str:
    return f"{milli / 1000:,.3f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))
