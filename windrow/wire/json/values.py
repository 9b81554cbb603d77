"""JSON as values, strictly: every number keeps its text, and a key that comes twice is refused."""

import json
import re
from typing import NoReturn

from windrow.quantities import TEMPERATURE, Quantity
from windrow.reading import NUMBER_CHARACTERS_MAX, SENSOR_ID_CHARACTERS_MAX, BadReading, Reason

NESTING_MAX = 16

_PARENTS = (dict, list)
_INTEGER = re.compile(r"-?\d+")


class JsonNumber(str):
    """A JSON number as text; the type distinguishes it from a JSON string."""

    __slots__ = ()


def parse_value(payload: bytes) -> object:
    """Parse one JSON value, numbers as JsonNumber, nested as deep as it is; raises BadReading and nothing else."""
    value, end = parse_value_at(decode_utf8(payload), 0)
    if end is not None:
        detail = f"another JSON value at character {end}: a payload contract with framing reads several"
        raise BadReading(Reason.NOT_JSON, detail)
    return value


def decode_utf8(payload: bytes) -> str:
    """Return the text of `payload`; BadReading names the first byte that is no UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise BadReading(Reason.NOT_UTF8, f"byte {error.start}") from error


def parse_value_at(text: str, start: int) -> tuple[object, int | None]:
    """Parse the JSON value behind `start`; return it and where the next one begins, None at the end of the text.

    Raises BadReading and nothing else.
    """
    try:
        value, end = _DECODER.raw_decode(text, after_blanks(text, start))
    except json.JSONDecodeError as error:
        raise BadReading(Reason.NOT_JSON, f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise BadReading(Reason.TOO_DEEP, f"nested more than {NESTING_MAX} deep") from error
    end = after_blanks(text, end)
    return value, end if end < len(text) else None


def after_blanks(text: str, start: int) -> int:
    """Return the position of the first character from `start` on that JSON does not ignore."""
    while start < len(text) and text[start] in " \t\n\r":
        start += 1
    return start


def integer_of(number: JsonNumber, reason: Reason) -> int:
    """Return a number that is written as an integer; BadReading for `reason` if it is too long or no integer."""
    if len(number) > NUMBER_CHARACTERS_MAX:
        raise BadReading(reason, f"a number of {len(number)} characters, at most {NUMBER_CHARACTERS_MAX}")
    if not _INTEGER.fullmatch(number):
        raise BadReading(reason, f"{number} has a fraction or an exponent, not an integer")
    return int(number)


def value_field(quantity: Quantity) -> str:
    """Return the fields of a payload that say what is measured, up to the value: `"temperature":` for a temperature."""
    if quantity == TEMPERATURE:
        return '"temperature":'
    return f'"quantity":"{quantity.name}","unit":{json.dumps(quantity.unit, ensure_ascii=False)},"value":'


def json_type(value: object) -> str:
    """Return what JSON calls the type of a parsed value."""
    if isinstance(value, JsonNumber):
        return "number"
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names[type(value)]


def check_nesting(parsed: object) -> None:
    """Refuse more than NESTING_MAX levels, of which `parsed` itself is the first."""
    level: list[object] = [parsed]
    for _ in range(NESTING_MAX):
        level = [child for parent in level for child in _children(parent) if isinstance(child, _PARENTS)]
        if not level:
            return
    raise BadReading(Reason.TOO_DEEP, f"nested more than {NESTING_MAX} deep")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadReading(Reason.DUPLICATE_KEY, ascii(twice[:SENSOR_ID_CHARACTERS_MAX]))
    return fields


def refuse_constant(name: str) -> NoReturn:
    """Raise BadReading: NaN and the infinities are no JSON. A hook of `json.JSONDecoder`."""
    raise BadReading(Reason.NOT_JSON, f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=refuse_constant
)
