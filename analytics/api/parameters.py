"""Parameters of operations: their JSON schema, and the values that a request gives them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from analytics.dashboard import PER_PAGE_MAX, SEARCH_CHARACTERS_MAX
from analytics.panels import SORTS
from windrow.errors import UsageError
from windrow.likely import suggestion
from windrow.quantities import QUANTITY_CHARACTERS_MAX, UNIT_CHARACTERS_MAX
from windrow.reading import SENSOR_ID_CHARACTERS_MAX

PAGE_SENSORS = 25
"""How many sensors a page has unless the request says otherwise."""
PAGE_MAX = 999_999_999
TIME_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter in the query of a URL. `schema` is its JSON schema, of the type string or integer."""

    name: str
    description: str
    schema: Mapping[str, Any]
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Arguments:
    """The values of an operation's parameters: from the request, or their defaults; None without either."""

    values: Mapping[str, str | int | None]

    def text(self, name: str) -> str:
        """Return a parameter's text, empty if it has none."""
        value = self.values[name]
        return "" if value is None else str(value)

    def number(self, name: str) -> int:
        """Return a whole number."""
        return int(self.values[name] or 0)

    @property
    def range(self) -> tuple[str | None, str | None]:
        """The ends of the range as texts, None for those that the request leaves open."""
        return self.text("from") or None, self.text("to") or None


def arguments_of(parameters: Iterable[Parameter], given: Iterable[tuple[str, str]]) -> Arguments:
    """Check the names and texts of a request's query; UsageError names the parameter that is wrong.

    An empty text is the same as none.
    """
    known = {one.name: one for one in parameters}
    values: dict[str, str | int | None] = {name: one.schema.get("default") for name, one in known.items()}
    seen: set[str] = set()
    for name, text in given:
        if name not in known:
            raise UsageError(f"no parameter {name[:40]!r}", hint=suggestion(name[:40], sorted(known)) if known else "")
        if name in seen:
            raise UsageError(f"the parameter {name!r} is given twice", hint="give it once")
        seen.add(name)
        if text:
            values[name] = _value_of(known[name], text)
    for name, one in known.items():
        if one.is_required and values[name] is None:
            raise UsageError(f"the parameter {name!r} is missing", hint=one.description)
    return Arguments(values)


def _value_of(parameter: Parameter, text: str) -> str | int:
    schema, name = parameter.schema, parameter.name
    if schema["type"] == "integer":
        return _number(name, text, schema["minimum"], schema["maximum"])
    if "enum" in schema and text not in schema["enum"]:
        raise UsageError(f"no {name} {text[:40]!r}", hint=f"choose one of {', '.join(schema['enum'])}")
    longest = schema.get("maxLength", len(text))
    if len(text) > longest:
        raise UsageError(f"the parameter {name!r} has {len(text):,} characters", hint=f"at most {longest}")
    return text


def _number(name: str, text: str, least: int, most: int) -> int:
    allowed = f"{name} is a whole number from {least} to {most}"
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PAGE_MAX))):
        raise UsageError(f"{text[:20]!r} is not a number of {name}", hint=allowed)
    if not least <= int(text) <= most:
        raise UsageError(f"{name}={int(text)} is out of bounds", hint=allowed)
    return int(text)


def _text(name: str, description: str, *, longest: int, is_required: bool = False, **more: Any) -> Parameter:
    schema = {"type": "string", "maxLength": longest} | more
    return Parameter(name=name, description=description, schema=schema, is_required=is_required)


_TIME = "RFC 3339 such as 2026-11-20T10:05:00Z, or a length before now such as -30m, -2h, -7d, or now"
RANGE = (
    _text(
        "from", f"First instant of the range: {_TIME}. Default: two hours before its end", longest=TIME_CHARACTERS_MAX
    ),
    _text("to", f"End of the range, exclusive: {_TIME}. Default: now", longest=TIME_CHARACTERS_MAX),
)
QUANTITY = (
    _text(
        "quantity",
        "What is measured, by its name as `quantities` lists it. Default: temperature, or what the page is about",
        longest=QUANTITY_CHARACTERS_MAX,
    ),
    _text("unit", "The unit of the quantity; all but temperatures need one", longest=UNIT_CHARACTERS_MAX),
)
ANY_QUANTITY = _text("quantity", "What is measured, by its name. Default: everything", longest=QUANTITY_CHARACTERS_MAX)
PAGE = (
    Parameter(
        name="page",
        description="Number of the page, from 0; the last page if there are fewer",
        schema={"type": "integer", "minimum": 0, "maximum": PAGE_MAX, "default": 0},
    ),
    Parameter(
        name="per_page",
        description="Entries of a page",
        schema={"type": "integer", "minimum": 1, "maximum": PER_PAGE_MAX, "default": PAGE_SENSORS},
    ),
)
SEARCH = _text("search", "Part of a sensor id, in any case", longest=SEARCH_CHARACTERS_MAX)
SORT = Parameter(
    name="sort",
    description="The order of the sensors; silent has only those that are silent",
    schema={"type": "string", "enum": list(SORTS), "default": "name"},
)
# In the query and not in the path: an id may hold any character, and servers on the way change slashes and dots there.
SENSOR = _text("sensor", "The sensor's id, percent-encoded", longest=SENSOR_ID_CHARACTERS_MAX, is_required=True)
ONE_SENSOR = _text(
    "sensor",
    "The only sensor on the page, by its id; the tally has the others too",
    longest=SENSOR_ID_CHARACTERS_MAX,
)
WINDOW = _text("window", "Start of the window, RFC 3339", longest=TIME_CHARACTERS_MAX, is_required=True)
