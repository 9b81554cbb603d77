"""The operations of the API: what each is called, takes and gives, and who may ask. All of them only read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from analytics.abandon import Check
from analytics.api import schemas
from analytics.api.groups import OPERATOR, VIEWER
from analytics.api.parameters import (
    ANY_QUANTITY,
    ONE_SENSOR,
    PAGE,
    QUANTITY,
    RANGE,
    SEARCH,
    SENSOR,
    SORT,
    WINDOW,
    Arguments,
    Parameter,
)
from analytics.api.schemas import Schema
from analytics.dashboard import Dashboard
from windrow.errors import UsageError
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import Window

VERSION = "v1"
"""The version of the API, the first part of every path."""

Json = dict[str, Any]
Answer = Callable[[Dashboard, Arguments, Check], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A question that the API answers, at /v1/`name`.

    `group` are the users who may ask, beside operators. `is_about_one` says that it is about one quantity, which its
    parameters name.
    """

    name: str
    summary: str
    answer: Answer
    schema: Schema
    parameters: tuple[Parameter, ...] = ()
    group: str = VIEWER

    @property
    def path(self) -> str:
        """Its path."""
        return f"/{VERSION}/{self.name}"

    @property
    def is_about_one(self) -> bool:
        """Whether its parameters name a quantity in a unit."""
        return QUANTITY[1] in self.parameters


def _overview(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
    return dashboard.overview(*arguments.range, check=check)


def _panel(name: str, part: str) -> Answer:
    """Return the answer for one panel of the overview, with its range and quantity."""

    def answer(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
        overview = _overview(dashboard, arguments, check)
        return {said: overview[said] for said in ("stage", "range", "quantity", "is_final")} | {name: overview[part]}

    return answer


def _sensors(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
    return dashboard.heatmap(
        *arguments.range,
        search=arguments.text("search"),
        sort=arguments.text("sort"),
        page=arguments.number("page"),
        per_page=arguments.number("per_page"),
        check=check,
    )


def _sensor(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
    return dashboard.history(*arguments.range, sensor_id=arguments.text("sensor"), check=check)


def _latest(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
    return dashboard.latest(
        *arguments.range,
        search=arguments.text("search"),
        page=arguments.number("page"),
        per_page=arguments.number("per_page"),
        check=check,
    )


def _live(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
    return dashboard.live(
        search=arguments.text("search"),
        sensor_id=arguments.text("sensor"),
        page=arguments.number("page"),
        per_page=arguments.number("per_page"),
        check=check,
    )


def _excursions(dashboard: Dashboard, arguments: Arguments, check: Check) -> Json:
    return dashboard.excursions(
        *arguments.range,
        quantity=arguments.text("quantity") or None,
        page=arguments.number("page"),
        per_page=arguments.number("per_page"),
        check=check,
    )


def _lineage(dashboard: Dashboard, arguments: Arguments, _: Check) -> Json:
    text = arguments.text("window")
    try:
        return dashboard.lineage(Window(parse_rfc3339_ms(text)))
    except ValueError as error:
        hint = "give the start of a window: a multiple of five minutes, UTC, such as 2026-11-20T10:05:00Z"
        raise UsageError(f"{text!r} is not the start of a window", hint=hint) from error


_OF_RANGE = (*RANGE, *QUANTITY)
OPERATIONS = (
    Operation(
        name="overview",
        summary="Everything but the sensors: who is silent, the fleet, the windows, who moved most",
        answer=_overview,
        schema=schemas.OVERVIEW,
        parameters=_OF_RANGE,
    ),
    *(
        Operation(
            name=name,
            summary=summary,
            answer=_panel(name, part),
            schema=schemas.panel(name, schema),
            parameters=_OF_RANGE,
        )
        for name, part, summary, schema in (
            ("fleet", "fleet", "The fleet over time", schemas.FLEET),
            (
                "windows",
                "completeness",
                "How complete each window is, and its revisions",
                schemas.WINDOW_COLUMNS,
            ),
            ("silences", "silent", "Who is silent at the end of the range", schemas.SILENT),
            ("movers", "movers", "Whose mean rose and fell most", schemas.MOVER_LISTS),
        )
    ),
    Operation(
        name="sensors",
        summary="A page of sensors with their means over time",
        answer=_sensors,
        schema=schemas.SENSORS,
        parameters=(*_OF_RANGE, SEARCH, SORT, *PAGE),
    ),
    Operation(
        name="sensor",
        summary="The windows of one sensor, with percentiles",
        answer=_sensor,
        schema=schemas.SENSOR,
        parameters=(SENSOR, *_OF_RANGE),
    ),
    Operation(
        name="latest",
        summary="The newest reading of each sensor, by id, a page at a time",
        answer=_latest,
        schema=schemas.LATEST,
        parameters=(*_OF_RANGE, SEARCH, *PAGE),
    ),
    Operation(
        name="live",
        summary="The newest reading of each sensor in windows that are not rolled yet, by id, a page at a time",
        answer=_live,
        schema=schemas.LIVE,
        parameters=(*QUANTITY, SEARCH, ONE_SENSOR, *PAGE),
    ),
    Operation(
        name="excursions",
        summary="What went beyond the limits of a rule, by the time it rang, a page at a time",
        answer=_excursions,
        schema=schemas.EXCURSIONS,
        parameters=(*RANGE, ANY_QUANTITY, *PAGE),
    ),
    Operation(
        name="quantities",
        summary="The quantities with rows in the newest hour that has any",
        answer=lambda dashboard, _arguments, check: dashboard.quantities(check=check),
        schema=schemas.QUANTITIES,
    ),
    Operation(
        name="progress",
        summary="How far the range that is being read is",
        answer=lambda dashboard, _arguments, _check: dashboard.progress(),
        schema=schemas.PROGRESS,
    ),
    Operation(
        name="lineage",
        summary="What the rows of a window were made from",
        answer=_lineage,
        schema=schemas.LINEAGE,
        parameters=(WINDOW,),
        group=OPERATOR,
    ),
)
BY_NAME: Mapping[str, Operation] = {one.name: one for one in OPERATIONS}
