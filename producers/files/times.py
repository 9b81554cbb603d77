"""The times of files: which form their texts have, and the instants they mean, exactly."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from producers.files.texts import each_once, taken
from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import Payloads
from windrow.columns.words import POWERS_OF_TEN
from windrow.payloads.times import EPOCH_UNITS_PER_S, TimeForm, Zone
from windrow.payloads.zones import zone_named
from windrow.reading import BadReading, Reason
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json import scan
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.values import JsonNumber

_DAY_MS = 86_400_000
_UTC_WORD = re.compile(r"\s*(UTC|GMT|Z)$", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Such as Date Time, GMT-04:00 and Timestamp [UTC+2].
_HEADER_ZONE = re.compile(r"\b(?:GMT|UTC)\s*(?P<offset>[+-]\d{1,2}(?::?\d{2})?)?(?![\w])", re.IGNORECASE)
_NAMED_UTC = re.compile(
    r"(?:date|time|timestamp|datetime|time_?stamp)[ _]?utc|utc[ _]?(?:date|time|timestamp)?", re.IGNORECASE
)
# Such as Timestamp (Europe/Berlin).
_HEADER_PLACE = re.compile(r"\b[A-Z][A-Za-z]+/[A-Z][A-Za-z_/+-]+")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p")
_DATES = (
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%m-%d-%Y", "%d-%m-%Y", "%Y/%m/%d",
    "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_PATTERNS = tuple(f"{date}{between}{clock}" for date in _DATES for clock in _CLOCKS for between in (" ", ", ", "T"))
# 2001 to 2286, in which seconds, milliseconds, microseconds and nanoseconds have lengths of their own.
_EPOCH_DIGITS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us", 19: "epoch_ns"}
# Dates and clocks without separators, by their number of digits. As seconds, those of ten would be of 2033 and later.
_COMPACT = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_COMPACT_TIME = re.compile(r"(19|20)\d{8}(\d\d){0,2}", re.ASCII)
# Distinct texts that are tried in all forms.
_SAMPLES_MAX = 100
_UTC = Zone("UTC", (0,))


@dataclass(frozen=True, slots=True)
class GuessedTime:
    """What sample texts suggest: `forms`, several if they cannot be told apart, none if nothing fits.

    needs_zone: they are naive, and nothing names their zone.
    """

    forms: tuple[TimeForm, ...]
    needs_zone: bool = False


def guessed_time(samples: Sequence[str], *, zone: Zone | None) -> GuessedTime:
    """Return the form that most samples have, at least half of them; naive ones are read in `zone`.

    Several forms are returned if as many samples have each of them.
    """
    texts = list(dict.fromkeys(samples))[:_SAMPLES_MAX]
    least = max(1, -(-len(texts) // 2))
    if texts and all(map(_COMPACT_TIME.fullmatch, texts)):
        form = TimeForm("pattern", _COMPACT[len(texts[0])], zone or _UTC)
        if _fitting(form, texts) == len(texts):
            return GuessedTime((form,), needs_zone=zone is None)
    sizes = Counter(len(str(int(abs(float(text))))) for text in texts if _NUMBER.fullmatch(text))
    size, count = sizes.most_common(1)[0] if sizes else (0, 0)
    if count >= least:
        return GuessedTime((TimeForm(_EPOCH_DIGITS[size]),) if size in _EPOCH_DIGITS else ())
    aware = TimeForm("iso8601")
    if _fitting(aware, texts) >= least:
        return GuessedTime((TimeForm("iso8601", zone=zone) if zone else aware,))
    naive = TimeForm("iso8601", zone=zone or _UTC)
    fitting = {naive: _fitting(naive, texts)}
    if fitting[naive] < least:
        patterns = (TimeForm("pattern", pattern, zone or _UTC) for pattern in _PATTERNS)
        fitting = {form: _fitting(form, texts) for form in patterns}
    most = max(fitting.values())
    forms = tuple(form for form, count in fitting.items() if count == most >= least)
    return GuessedTime(forms, needs_zone=zone is None and bool(forms))


def _fitting(form: TimeForm, texts: Sequence[str]) -> int:
    return sum(_fits(form, text) for text in texts)


def named_form(name: str, zone: Zone | None) -> TimeForm:
    """Return the form that a user names: one of `TimeForm`'s, or a pattern; ValueError says what is wrong."""
    if "%" in name:
        return TimeForm("pattern", name, zone if "%z" not in name else None)
    return TimeForm(name, zone=zone if name == "iso8601" else None)


def zone_in(header: str) -> Zone | None:
    """Return the zone that a column's name says: `Date Time, GMT-04:00`, `dateutc`; None if it says none."""
    if _NAMED_UTC.fullmatch(header.strip()):
        return _UTC
    found = _HEADER_ZONE.search(header)
    if found is None:
        place = _HEADER_PLACE.search(header)
        return _place_named(place[0]) if place else None
    if found["offset"] is None:
        return _UTC
    offset = found["offset"].replace(":", "")
    sign, digits = offset[0], offset[1:]
    return zone_named(f"{sign}{digits.zfill(2)[:2] if len(digits) < 3 else digits.zfill(4)}")


def _place_named(name: str) -> Zone | None:
    try:
        return zone_named(name)
    except ValueError:
        return None  # such as Date/Time


def instant_ms(text: str, form: TimeForm) -> int:
    """Return the instant that `text` means; BadReading says why there is none. ` UTC` and ` GMT` behind it are UTC."""
    text = text.strip()
    if not text:
        raise BadReading(Reason.MISSING_FIELD, "no time")
    if form.form in EPOCH_UNITS_PER_S or form.form == "epoch":
        return form.parse_ms(JsonNumber(text) if _NUMBER.fullmatch(text) else text, arrival_ms=0)
    return form.parse_ms(_UTC_WORD.sub("Z", text) if form.form != "pattern" else text, arrival_ms=0)


def parse_times(texts: Payloads, form: TimeForm) -> tuple[Int64s, Mask, dict[int, str]]:
    """Return the instants, int64[n], which of them there are, bool[n], and for each of the others the reason."""
    if form.form in EPOCH_UNITS_PER_S:
        instants, is_read = _epochs(texts, EPOCH_UNITS_PER_S[form.form])
    elif form.form in {"iso8601", "rfc3339"} and len(texts):
        instants, is_read = _civil(texts, form)
    else:
        instants, is_read = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    is_read = is_read & (instants >= INSTANT_MS_MIN) & (instants <= INSTANT_MS_MAX)
    others = np.flatnonzero(~is_read)
    why: dict[int, str] = {}
    for row, found in zip(others.tolist(), each_once(texts, others, lambda text: _judged(text, form)), strict=True):
        if isinstance(found, str):
            why[row] = found
        else:
            instants[row], is_read[row] = found, True
    return instants, is_read, why


def _judged(text: str, form: TimeForm) -> int | str:
    try:
        return instant_ms(text, form)
    except BadReading as error:
        return f"{ascii(text)[:60]}: {error.detail}" if ascii(text)[1:-1] not in error.detail else error.detail


def _fits(form: TimeForm, text: str) -> bool:
    try:
        instant_ms(text, form)
    except BadReading as error:
        return "clocks in" in error.detail  # of this form, though there is no such time
    return True


def _epochs(texts: Payloads, units_per_s: int) -> tuple[Int64s, Mask]:
    """Read numbers of `units_per_s`, rounded half to even, where 64 bits are enough."""
    cursor = Cursor(texts.octets, texts.starts)
    number = scan.decimals(cursor)
    is_read = cursor.is_accepted & (cursor.at == texts.starts + texts.lengths)
    is_read &= (number.whole_digits + number.scale <= 18) & (number.scale <= 15) & (number.whole_digits <= 15)
    scale = np.where(is_read, number.scale, 0)
    unscaled = number.whole * POWERS_OF_TEN[scale] + number.fraction
    unscaled = np.where(number.negative, -unscaled, unscaled)
    shift = 3 - (len(str(units_per_s)) - 1) - scale
    larger, one = POWERS_OF_TEN[np.maximum(shift, 0)], POWERS_OF_TEN[np.maximum(-shift, 0)]
    quotient, rest = np.divmod(np.where(is_read, unscaled, 0) * larger, one)
    up = (2 * rest > one) | ((2 * rest == one) & (quotient % 2 == 1))
    return quotient + up, is_read


def _civil(texts: Payloads, form: TimeForm) -> tuple[Int64s, Mask]:
    """Read `YYYY-MM-DD?hh:mm:ss[.fff][Z| UTC]`, the separator that of the first text; in the form's zone without Z."""
    first = texts[int(np.argmax(texts.lengths > 10))]
    separator = ord(" ") if first[10:11] == b" " else ord("T")
    cursor = Cursor(texts.octets, texts.starts)
    instants = scan.civil_ms(cursor, separator=separator)
    has_point = cursor.octet() == ord(".")
    cursor.advance(has_point.astype(np.int64))
    fraction, count = scan.digits(cursor)
    cursor.refuse_unless(has_point == (count > 0))
    instants += fraction * POWERS_OF_TEN[np.maximum(3 - count, 0)] // POWERS_OF_TEN[np.maximum(count - 3, 0)]
    at, ends = cursor.at, texts.starts + texts.lengths
    octets = texts.octets
    is_utc = (at + 1 == ends) & (octets[at] == ord("Z"))
    is_utc |= (at + 4 == ends) & (octets[at] == ord(" ")) & _are(octets, at + 1, b"UTC")
    is_naive = (at == ends) & (form.zone is not None and form.form == "iso8601")
    is_read = cursor.is_accepted & (is_utc | is_naive)
    if form.zone is None or not is_naive.any():
        return instants, is_read
    offset_ms, is_sure = _offsets_ms(form.zone, instants)
    return np.where(is_naive, instants - offset_ms, instants), is_read & (is_sure | is_utc)


def _are(octets: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], at: Int64s, word: bytes) -> Mask:
    found = np.ones(len(at), bool)
    for place, octet in enumerate(word):
        found &= octets[at + place] == octet
    return found


def _offsets_ms(zone: Zone, naive_ms: Int64s) -> tuple[Int64s, Mask]:
    """Return the zone's offset at each naive time, and where no change within two days makes it unsure: bool[n]."""
    changes, offsets = np.array(zone.changes_s, np.int64), np.array(zone.offsets_s, np.int64) * 1_000
    seconds = naive_ms // 1_000
    before = np.searchsorted(changes, seconds - 2 * _DAY_MS // 1_000, side="right")
    after = np.searchsorted(changes, seconds + 2 * _DAY_MS // 1_000, side="right")
    return offsets[before], before == after


def with_zone(form: TimeForm, zone: Zone) -> TimeForm:
    """Return the form with its naive times in `zone`."""
    return replace(form, zone=zone)


def some_texts(texts: Payloads, most: int) -> list[str]:
    """Return the first texts that are not empty, at most `most`, without spaces around them."""
    rows = np.flatnonzero(texts.lengths > 0)[:most]
    part = taken(texts, rows)
    return [part[row].decode("utf-8", "replace").strip() for row in range(len(rows))]
