"""A quick no: what is certainly no reading, told in a tenth of the time that the strict reader takes to say why.

Of a record with many bad payloads nobody wants all reasons. The quick no may doubt, and then the strict reader decides;
it never refuses what that accepts.
"""

import json
from collections.abc import Mapping
from typing import Any

from windrow.quantities import TEMPERATURE
from windrow.reading import BadReading, check_event_time_ms, check_sensor_id, check_sequence
from windrow.timestamps import parse_rfc3339_ms
from windrow.wire.json.values import refuse_constant

LEAST_OCTETS = len('{"sensor_id":"a","event_time":0,"temperature":0}')
"""No reading is shorter."""
_BLANKS = b" \t\n\r"
OPENS, CLOSES = b"{}"
_TIME_CHARACTERS_MIN = len("2026-11-20T10:05:00Z")
_NUMBERS = (int, float)
# What a temperature may be in each unit, and a little more: the strict reader rounds to thousandths.
_BOUNDS = {"C": (-273.152, 10_000.002), "F": (-459.672, 18_032.002), "K": (-0.002, 10_273.152)}
# Thousandths have 32 bits, and a little more.
_VALUE_MAX = 2_147_484
_decoder: Any = json.JSONDecoder(parse_constant=refuse_constant)
_scan = _decoder.scan_once  # without the words that `raw_decode` finds for what is no JSON


def is_surely_bad(payload: bytes) -> bool:
    """Return True if `payload` is certainly no reading; False leaves it to the strict reader."""
    if len(payload) < LEAST_OCTETS:
        return True
    # A reading is an object: what is cut or no JSON at all is told without the cost of an exception.
    if payload[0] != OPENS or payload[-1] != CLOSES:
        payload = payload.strip(_BLANKS)
        if not payload or payload[0] != OPENS or payload[-1] != CLOSES:
            return True
    try:
        text = payload.decode()
        fields, end = _scan(text, 0)
        # With more colons behind names than names, a key may come twice, of which one was looked at.
        return end < len(text) or (text.count('":') > len(fields) and _has_twins(text)) or is_wrong(fields)
    except (BadReading, UnicodeDecodeError, json.JSONDecodeError, RecursionError, StopIteration):
        return True
    except ValueError:  # an integer of thousands of digits, maybe in a field that is ignored
        return False


class _TwinsError(ValueError):
    """A key comes twice; without the words of a BadReading, which take longer than all else here."""


def _refuse_twins(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _TwinsError


def _has_twins(text: str) -> bool:
    """Return whether a key comes twice in an object that has more quotes before a colon than keys."""
    if surely_has_twins(text):
        return True
    try:
        _scan_pairs(text, 0)
    except _TwinsError:
        return True
    return False


def surely_has_twins(text: str) -> bool:
    """Return whether every quote before a colon ends a name, so that more of them than keys are the same name twice.

    So it is in one object without arrays or escapes, if no text or name in it begins with a colon.
    """
    if "\\" in text or "[" in text or text.count("{") > 1 or "\n" in text or "\t" in text or "\r" in text:
        return False
    return not (':":' in text or ',":' in text or ' ":' in text or '{":' in text)


def is_wrong(fields: Mapping[str, Any]) -> bool:
    """Return whether a field is missing or wrong; raises BadReading too. What costs least is looked at first."""
    event_time: Any = fields.get("event_time")
    if type(event_time) is not int and (type(event_time) is not str or not _looks_like_time(event_time)):
        return True
    if _has_wrong_value(fields):
        return True
    sensor_id, sequence = fields.get("sensor_id"), fields.get("sequence", 0)
    if type(sensor_id) is not str or type(sequence) is not int:
        return True
    if type(event_time) is int:
        check_event_time_ms(event_time)
    elif not _is_time(str(event_time)):
        return True
    check_sensor_id(sensor_id)
    check_sequence(sequence)
    return False


def _has_wrong_value(fields: Mapping[str, Any]) -> bool:
    value: Any = fields.get("temperature")
    unit: Any = fields.get("unit", "C")
    if value is None and "quantity" in fields and "temperature" not in fields:
        value = fields.get("value")
        if fields["quantity"] != TEMPERATURE.name:
            is_measured = "unit" in fields and type(unit) is str and type(value) in _NUMBERS
            return not is_measured or not -_VALUE_MAX <= value <= _VALUE_MAX
    bounds = _BOUNDS.get(unit) if type(unit) is str else None
    return bounds is None or type(value) not in _NUMBERS or not bounds[0] <= value <= bounds[1]


def _looks_like_time(text: str) -> bool:
    return len(text) >= _TIME_CHARACTERS_MIN and text[4] == "-"


def _is_time(text: str) -> bool:
    try:
        check_event_time_ms(parse_rfc3339_ms(text))
    except ValueError:  # BadReading is one
        return False
    return True


_decoder_of_pairs: Any = json.JSONDecoder(object_pairs_hook=_refuse_twins, parse_constant=refuse_constant)
_scan_pairs = _decoder_of_pairs.scan_once
