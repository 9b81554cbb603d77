"""The results as pandas DataFrames, for notebooks and scripts."""

import os
import time
from collections.abc import Callable, Mapping

import boto3
import pandas as pd

from analytics import presets
from analytics.query import Parameter, Query
from analytics.result import Engine, Result
from windrow import settings
from windrow.aws.clients import AWS, DEFAULT_REGION, EMBEDDED, Place, readable_errors
from windrow.deployment import find_stage
from windrow.errors import UsageError
from windrow.timerange import TimeRange, parse_range

DEFAULT_FROM = "-2h"


class Windrow:
    """The results of one stage. Times are RFC 3339, or relative to now such as "-2h"; a range ends now by default.

    A query that cannot be answered raises WindrowError, which says in one line why, and what to do.
    """

    def __init__(self, engine: Engine, place: Place, *, clock_ms: Callable[[], int] | None = None) -> None:
        """Ask `engine`, which is at `place`. Use `connect` to make one."""
        self._engine = engine
        self._place = place
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)

    def fleet(self, start: str = DEFAULT_FROM, end: str | None = None, *, window: str = "5m") -> pd.DataFrame:
        """Return one row per window over all sensors."""
        return self._by_window(presets.fleet(self._range(start, end), window=window))

    def sensors(self, start: str = DEFAULT_FROM, end: str | None = None, *, window: str = "5m") -> pd.DataFrame:
        """Return one row per window and sensor."""
        return self._by_window(presets.sensors(self._range(start, end), window=window))

    def sensor(
        self, sensor_id: str, start: str = DEFAULT_FROM, end: str | None = None, *, window: str = "5m"
    ) -> pd.DataFrame:
        """Return all columns of one sensor, a row per window; an empty frame if it has none."""
        return self._by_window(presets.sensor(sensor_id, self._range(start, end), window=window))

    def latest(self, start: str = DEFAULT_FROM, end: str | None = None, *, window: str = "5m") -> pd.DataFrame:
        """Return the newest row of each sensor, indexed by sensor id."""
        frame = self._ask(presets.latest(self._range(start, end), window=window))
        return frame.set_index("sensor_id")

    def hottest(
        self, start: str = DEFAULT_FROM, end: str | None = None, *, sensors: int = presets.HOTTEST_SENSORS
    ) -> pd.DataFrame:
        """Return the sensors with the highest readings, indexed by `place`, from 1."""
        return self._ask(presets.hottest(self._range(start, end), sensors=sensors)).set_index("place")

    def completeness(self, start: str = DEFAULT_FROM, end: str | None = None) -> pd.DataFrame:
        """Return the lineage of each window: sensors heard, readings that came late or twice, whether it is final."""
        return self._by_window(presets.completeness(self._range(start, end)))

    def silences(self, start: str = DEFAULT_FROM, end: str | None = None) -> pd.DataFrame:
        """Return one row per window and sensor that is silent in it, or was until then."""
        return self._by_window(presets.silences(self._range(start, end)))

    def sql(self, sql: str, **values: Parameter) -> pd.DataFrame:
        """Answer Trino SQL of your own; `:name` in its WHERE clauses stands for the value of that name."""
        return self._ask(Query.bind(sql, values) if values else Query(sql))

    def result(self, sql: str, values: Mapping[str, Parameter] | None = None) -> Result:
        """Answer as `sql` does, and also return engine, bytes scanned, seconds and dollars."""
        with readable_errors(self._place):
            return self._engine.run(Query.bind(sql, values) if values else Query(sql))

    def _range(self, start: str, end: str | None) -> TimeRange:
        return parse_range(start, end, now_ms=self._clock_ms())

    def _by_window(self, query: Query) -> pd.DataFrame:
        return self._ask(query).set_index("window_start")

    def _ask(self, query: Query) -> pd.DataFrame:
        with readable_errors(self._place):
            return self._engine.run(query).frame


def connect(
    stage: str | None = None,
    *,
    region: str | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    is_local: bool = False,
) -> Windrow:
    """Return the results of a deployed stage, by default WINDROW_STAGE or "dev"; WindrowError if it is not deployed.

    The stage is on AWS, with boto3's usual credentials, unless `endpoint_url` or AWS_ENDPOINT_URL names a stand-in;
    `windrow status` prints the URL of the embedded stack. Athena answers if there is one; with `is_local`, DuckDB on
    this machine always does, over the same rows.
    """
    from analytics.engine import engine_of, local_engine  # noqa: PLC0415 - slow to import

    place = _place(region, profile, endpoint_url or os.environ.get(settings.AWS_ENDPOINT_URL) or None)
    found = find_stage(place, stage or os.environ.get(settings.STAGE) or "dev")
    home = settings.home_folder(os.environ)
    return Windrow((local_engine if is_local else engine_of)(found, home=home), place)


def _place(region: str | None, profile: str | None, endpoint_url: str | None) -> Place:
    if endpoint_url is not None:
        return Place(EMBEDDED, endpoint_url, region or DEFAULT_REGION)
    chosen = region or boto3.session.Session(profile_name=profile).region_name
    if not chosen:
        raise UsageError(
            "no AWS region is chosen", hint="give region=, set AWS_REGION, or endpoint_url= for a stand-in"
        )
    return Place(AWS, None, chosen, profile)
