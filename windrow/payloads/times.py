"""The forms in which devices write times, each read exactly.

Numbers are decimals, rounded once to the millisecond, half to even. Texts of a clock are cut to the millisecond, as
RFC 3339 times are everywhere. A naive time needs a zone; one that a zone has twice or never is refused.
"""

import datetime
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from windrow.payloads.units import DECIMAL
from windrow.reading import BadReading, Reason, check_event_time_ms, exact_decimal
from windrow.timestamps import parse_rfc3339_ms
from windrow.wire.json.values import JsonNumber, json_type

EPOCH_UNITS_PER_S = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
EPOCH_SIZES = {1: 10**11, 10**3: 10**14, 10**6: 10**17}
"""Units per second -> the size below which a time of the form `epoch` is in them, or in greater units."""
FORMS = ("rfc3339", "iso8601", *EPOCH_UNITS_PER_S, "epoch", "pattern", "arrival")
"""`epoch` tells s, ms, us and ns apart by their size, which is sure from 1973 to 5138; `arrival` is the record's."""

_ISO_8601 = re.compile(
    r"(?P<Y>\d{4})-?(?P<m>\d{2})-?(?P<d>\d{2})[T ](?P<H>\d{2}):?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:[.,](?P<f>\d+))?)?"
    r"(?P<z>Z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d+)",
    "p": r"(?P<p>[AaPp])\.?[Mm]\.?",
    "b": rf"(?P<b>{'|'.join(_MONTHS)})[a-z]*",
    "z": r"(?P<z>Z|[+-]\d{2}(?::?\d{2})?)",
    "%": "%",
}


@dataclass(frozen=True, slots=True)
class Zone:
    """The offset of a place from UTC, as it changes. offsets_s[i] holds before changes_s[i], the last one for ever."""

    name: str
    offsets_s: tuple[int, ...]
    changes_s: tuple[int, ...] = ()

    def utc_s(self, naive_s: int) -> int:
        """Return the instant at which its clocks show `naive_s`; ValueError if they show it twice or never."""
        nearby = self.offsets_s[
            max(0, bisect_right(self.changes_s, naive_s - 172_800)) : bisect_right(self.changes_s, naive_s + 172_800)
            + 1
        ]
        shown = {naive_s - offset for offset in nearby if self._offset_s(naive_s - offset) == offset}
        if len(shown) != 1:
            raise ValueError(f"clocks in {self.name} show this time {'twice' if shown else 'never'}")
        return shown.pop()

    def _offset_s(self, utc_s: int) -> int:
        return self.offsets_s[bisect_right(self.changes_s, utc_s)]


@dataclass(frozen=True)
class TimeForm:
    """How a time is written: one of FORMS, with the pattern and the zone that it needs."""

    form: str
    pattern: str | None = None
    zone: Zone | None = None
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError if the form is none, or lacks a pattern or zone."""
        if self.form not in FORMS:
            raise ValueError(f"no form of time is called {self.form!r}; there are {', '.join(FORMS)}")
        if (self.form == "pattern") != (self.pattern is not None):
            raise ValueError('a pattern goes with form = "pattern", and only with it')
        if self.zone is not None and self.form not in {"pattern", "iso8601"}:
            raise ValueError(f"{self.form} needs no zone")
        regex = _ISO_8601 if self.pattern is None else pattern_regex(self.pattern)
        if self.pattern is not None and "z" not in regex.groupindex and self.zone is None:
            raise ValueError("the pattern has no %z, so a zone is needed")
        object.__setattr__(self, "_regex", regex)

    def parse_ms(self, value: object, *, arrival_ms: int) -> int:
        """Return the instant that `value` means, in ms; BadReading if it means none."""
        if self.form == "arrival":
            return arrival_ms
        if not isinstance(value, str):
            raise BadReading(Reason.EVENT_TIME, f"a JSON {json_type(value)}, not a time")
        try:
            instant_ms = self._number_ms(value) if self.form.startswith("epoch") else self._text_ms(value)
        except BadReading as error:
            raise BadReading(Reason.EVENT_TIME, error.detail) from error
        except ValueError as error:
            raise BadReading(Reason.EVENT_TIME, f"{ascii(value)[:60]}: {error}") from error
        check_event_time_ms(instant_ms)
        return instant_ms

    def _number_ms(self, text: str) -> int:
        if not DECIMAL.fullmatch(text):
            raise ValueError(f"not a number, as {self.form} needs it")
        number = exact_decimal(text)
        if self.form == "epoch":
            return round(number * 1000 / epoch_units(abs(number))[0])
        return round(number * 1000 / EPOCH_UNITS_PER_S[self.form])

    def _text_ms(self, text: str) -> int:
        if isinstance(text, JsonNumber):
            raise ValueError(f"a number, not a text as {self.form} needs it")
        if self.form == "rfc3339":
            return parse_rfc3339_ms(text)
        match = self._regex.fullmatch(text)
        if match is None:
            raise ValueError(f"not of the form {self.pattern or 'ISO 8601'}")
        return civil_ms(match.groupdict(), self.zone)


def civil_ms(parts: Mapping[str, str | None], zone: Zone | None) -> int:
    """Return the instant of a date and a time given by the letters of `strftime`; ValueError if there is none."""
    year = int(parts["Y"] or 0) if parts.get("Y") else 2000 + int(parts["y"] or 0)
    month = int(parts["m"] or 0) if parts.get("m") else _MONTHS.index((parts["b"] or "").lower()) + 1
    hour = int(parts["H"] or 0) if parts.get("H") else int(parts.get("I") or 0) % 12
    if parts.get("I") and not 1 <= int(parts["I"] or 0) <= 12:
        raise ValueError("hour out of range")
    hour += 12 if (parts.get("p") or "a").lower() == "p" and not parts.get("H") else 0
    minute, second = int(parts.get("M") or 0), int(parts.get("S") or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("hour, minute or second out of range")
    days = datetime.date(year, month, int(parts["d"] or 0)).toordinal() - datetime.date(1970, 1, 1).toordinal()
    naive_s = days * 86_400 + hour * 3_600 + minute * 60 + second
    written = parts.get("z")
    if written:
        utc_s = naive_s - offset_s(written)
    elif zone is not None:
        utc_s = zone.utc_s(naive_s)
    else:
        raise ValueError("it has no offset, and the contract names no zone")
    return utc_s * 1000 + int((parts.get("f") or "")[:3].ljust(3, "0"))


def offset_s(text: str) -> int:
    """Return the seconds of an offset: Z, +02, +0200, +02:00; ValueError if it is out of range."""
    if text.upper() == "Z":
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError("offset out of range")
    return (-1 if text[0] == "-" else 1) * (hours * 3_600 + minutes * 60)


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """Return what matches times of a `strftime` pattern; ValueError if it does not say a whole date and an hour.

    %Y %y %m %b %d %H %I %p %M %S %f %z are understood; months by their English names.
    """
    pattern = pattern.replace("%T", "%H:%M:%S").replace("%F", "%Y-%m-%d").replace("%B", "%b")
    parts = re.split(r"%(.)", pattern)
    for letter in parts[1::2]:
        if letter not in _DIRECTIVES:
            raise ValueError(f"%{letter} is not understood; there are {' '.join('%' + each for each in _DIRECTIVES)}")
        if parts[1::2].count(letter) > 1 and letter != "%":
            raise ValueError(f"%{letter} comes twice")
    for needed in ("Yy", "mb", "d", "HI"):
        if sum(letter in parts[1::2] for letter in needed) != 1:
            raise ValueError(f"the pattern needs one of {' '.join('%' + letter for letter in needed)}")
    if ("I" in parts[1::2]) != ("p" in parts[1::2]):
        raise ValueError("%I and %p go together")
    texts = [_DIRECTIVES[part] if index % 2 else re.escape(part) for index, part in enumerate(parts)]
    return re.compile("".join(texts), re.ASCII | re.IGNORECASE)


def epoch_units(size: Fraction | int) -> tuple[int, int | None]:
    """Return the units per second of a time of this size, as `epoch` tells it, and where greater units begin."""
    return next(((units, end) for units, end in EPOCH_SIZES.items() if size < end), (10**9, None))
