"""JSON schemas of the answers: the part of the OpenAPI document that says what a number is."""

from collections.abc import Mapping
from typing import Any

from analytics.live_values import SITES_MAX
from analytics.means import MEAN_DECIMALS
from analytics.panels import HEATMAP_COLUMNS_MAX, MOVERS, POINTS_MAX, SILENT_SHOWN_MAX
from windrow.schemas import WINDOWS

Schema = Mapping[str, Any]

INSTANT: Schema = {"type": "integer", "description": "ms since the epoch, UTC"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {
    "type": "number",
    "description": f"in the unit of the quantity; means have {MEAN_DECIMALS} decimals, so that they can be rounded",
}
_HELD: Schema = {
    "type": "number",
    "description": "for how long readings were beyond the limit so far, in minutes; null of rules that count windows",
}
FLAG: Schema = {"type": "boolean"}
TEXT: Schema = {"type": "string"}


def or_null(schema: Schema) -> Schema:
    """Return the schema of the same values and null."""
    return {**schema, "type": [schema["type"], "null"]}


def many(schema: Schema, *, most: int | None = None) -> Schema:
    """Return the schema of a list of at most `most` values."""
    return {"type": "array", "items": schema} | ({} if most is None else {"maxItems": most})


def one_of_these(properties: Mapping[str, Schema], *, description: str = "") -> Schema:
    """Return the schema of an object that has all of `properties` and nothing else."""
    said = {"description": description} if description else {}
    return {
        "type": "object",
        **said,
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


IS_FINAL: Schema = {
    "type": "boolean",
    "description": "Whether every window of the range is final, so that its numbers never change again",
}
_RANGE = one_of_these({"from_ms": INSTANT, "to_ms": INSTANT})
_QUANTITY = one_of_these({"name": TEXT, "unit": TEXT})
_STEP: Schema = {"type": "integer", "description": "Length of a step in ms: one window, or several in a long range"}
_MOVER = one_of_these({"sensor": TEXT, "first": or_null(NUMBER), "last": or_null(NUMBER), "change": or_null(NUMBER)})

FLEET = one_of_these(
    {
        "t": many(INSTANT, most=POINTS_MAX + 1),
        "step_ms": _STEP,
        "mean": many(NUMBER),
        "min": many(NUMBER),
        "max": many(NUMBER),
        "sensors": many(COUNT),
        "readings": many(COUNT),
    },
    description="Columns of equal length, a value for each step; in a mean every reading has the same weight",
)
WINDOW_COLUMNS = one_of_these(
    {
        "t": many(INSTANT),
        **{name: many(COUNT) for name in ("sensors", "series")},
        "expected": many(or_null(COUNT)),
        **{name: many(COUNT) for name in ("readings", "late", "duplicates", "conflicts", "quarantined", "revision")},
        "is_final": many(FLAG),
        "missing": many(INSTANT),
    },
    description="Columns with a value for each rolled window, and the windows between them that were never rolled",
)
MOVER_LISTS = one_of_these({"rising": many(_MOVER, most=MOVERS), "falling": many(_MOVER, most=MOVERS)})
SILENT = one_of_these(
    {
        "at": or_null(INSTANT),
        "is_outage": FLAG,
        **dict.fromkeys(("heard", "expected", "count", "silent", "gone", "missing"), COUNT),
        "sensors": many(one_of_these({"sensor": TEXT, "heard": INSTANT, "state": TEXT}), most=SILENT_SHOWN_MAX),
    },
    description="Who is silent in the newest window of the range, longest first",
)


def panel(name: str, schema: Schema) -> Schema:
    """Return the schema of a panel's answer."""
    return one_of_these({"stage": TEXT, "range": _RANGE, "quantity": _QUANTITY, "is_final": IS_FINAL, name: schema})


OVERVIEW = one_of_these(
    {
        **dict.fromkeys(("stage", "engine"), TEXT),
        "quantity": _QUANTITY,
        "made_ms": INSTANT,
        "window_ms": COUNT,
        "longest_ms": COUNT,
        "range": _RANGE,
        "is_final": IS_FINAL,
        "newest_ms": or_null(INSTANT),
        "silent": SILENT,
        "fleet": FLEET,
        "completeness": WINDOW_COLUMNS,
        "movers": MOVER_LISTS,
    },
    description="All panels but the sensors and the history of one",
)
_PAGE: Mapping[str, Schema] = {"total": COUNT, "page": COUNT, "per_page": COUNT}
SENSORS = one_of_these(
    {
        **_PAGE,
        "is_final": IS_FINAL,
        "t": many(INSTANT, most=HEATMAP_COLUMNS_MAX + 1),
        "step_ms": _STEP,
        "sensors": many(TEXT),
        **{name: many(or_null(NUMBER)) for name in ("last", "min", "max", "change")},
        "mean": many(many(or_null(NUMBER))),
    },
    description="A page of sensors in columns; `mean` has a list for each sensor, with a value for each step",
)
LATEST = one_of_these(
    {
        **_PAGE,
        "is_final": IS_FINAL,
        "sensors": many(TEXT),
        "t": many(INSTANT),
        "last_time": many(INSTANT),
        "last": many(NUMBER),
        "mean": many(NUMBER),
        "readings": many(COUNT),
    },
    description="A page of sensors in columns, each with its newest reading in the range and that window's mean",
)
LIVE = one_of_these(
    {
        "is_live": {"type": "boolean", "description": "Whether open windows are read at all"},
        **_PAGE,
        "windows": many(
            one_of_these(
                {
                    "t": INSTANT,
                    **dict.fromkeys(("sensors", "readings"), COUNT),
                    **dict.fromkeys(("mean", "min", "max"), NUMBER),
                }
            )
        ),
        "limits": {"type": "integer", "minimum": 0, "description": "How many rules name a limit of this quantity"},
        "sites": one_of_these(
            {
                "total": COUNT,
                "site": many(TEXT, most=SITES_MAX),
                **{name: many(COUNT, most=SITES_MAX) for name in ("sensors", "readings")},
                **{name: many(NUMBER, most=SITES_MAX) for name in ("mean", "min", "max")},
                "beyond": many(COUNT, most=SITES_MAX),
            },
            description="A tally of all sensors that are found, by what stands before the last / of their ids, with"
            " those first that have the most sensors beyond a limit",
        ),
        "sensors": many(TEXT),
        **{name: many(INSTANT) for name in ("t", "last_time")},
        **{name: many(NUMBER) for name in ("last", "mean", "min", "max")},
        "readings": many(COUNT),
    },
    description="A page of sensors in columns, each with its numbers in the newest open window that has it, and these"
    " windows, oldest first. They are what a roll would write now, and provisional: more readings may come",
)
SENSOR = one_of_these(
    {
        "sensor": TEXT,
        "t": many(INSTANT),
        "step_ms": _STEP,
        **{name: many(NUMBER) for name in ("mean", "min", "p05", "p25", "p50", "p75", "p95", "max", "last")},
        **{name: many(COUNT) for name in ("readings", "conflicts")},
        "is_final": IS_FINAL,
    },
    description="The windows of one sensor in columns of equal length",
)
EXCURSIONS = one_of_these(
    {
        **_PAGE,
        "excursions": many(
            one_of_these(
                {
                    **dict.fromkeys(("rule", "severity", "sensor_id", "quantity", "unit"), TEXT),
                    "began": INSTANT,
                    "rang": or_null(INSTANT),
                    "ended": or_null(INSTANT),
                    "state": TEXT,
                    "extreme": NUMBER,
                    "beyond_unit_minutes": NUMBER,
                    "held_minutes": or_null(_HELD),
                    "windows": COUNT,
                    "revision": COUNT,
                }
            )
        ),
    }
)
QUANTITIES = one_of_these({"quantities": many(one_of_these({"quantity": TEXT, "unit": TEXT}))})
PROGRESS = one_of_these({"loaded": COUNT, "windows": COUNT})
LINEAGE: Schema = {
    "type": "object",
    "description": "The lineage as the results bucket has it: the columns of the table `windows`",
    "properties": {name: {} for name, _ in WINDOWS},
    "required": [name for name, _ in WINDOWS],
}
PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 has it",
    "properties": {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT, "hint": TEXT},
    "required": ["type", "title", "status", "detail"],
}
MESSAGE: Schema = {
    "type": "object",
    "description": "What an HTTP API says by itself: the status in words",
    "properties": {"message": TEXT},
}
