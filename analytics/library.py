"""The results as pandas DataFrames, for notebooks and scripts."""

import time
from collections.abc import Callable, Mapping

import pandas as pd

from analytics import presets
from analytics.moments import Moment, moment_text
from analytics.presets import TEMPERATURE
from analytics.query import Parameter, Query
from analytics.result import Engine, Result
from windrow.aws.clients import AWS, EMBEDDED, LOCALSTACK, Place, readable_errors
from windrow.errors import WindrowError
from windrow.likely import did_you_mean, likely
from windrow.period import DAY_MS
from windrow.timerange import TimeRange, parse_range

DEFAULT_FROM = "-2h"
KNOWN_DAYS = 31
"""A sensor that was not heard for so long is unknown: its id is probably misspelled."""
_PLACES = {EMBEDDED: "the embedded stack", LOCALSTACK: "LocalStack", AWS: "AWS"}


class Windrow:
    """The results of one stage.

    A range ends now by default. Its ends are datetimes or pandas Timestamps with a time zone, or text: RFC 3339, or
    relative to now such as "-2h". A query that cannot be answered raises WindrowError, which says in one line why, and
    what to do.
    """

    def __init__(
        self, engine: Engine, place: Place, *, stage: str = "dev", clock_ms: Callable[[], int] | None = None
    ) -> None:
        """Ask `engine` about `stage`, which is at `place`. Use `connect` to make one."""
        self._engine = engine
        self._place = place
        self._stage = stage
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)

    def __repr__(self) -> str:
        """Return whose results these are, who answers, and what can be asked; makes no request."""
        where = _PLACES[self._place.name]
        where += f" in {self._place.region}" if self._place.endpoint_url is None else f" at {self._place.endpoint_url}"
        return (
            f"<windrow: stage {self._stage} on {where}, answered by {self._engine.name}\n"
            " .fleet() .sensors() .sensor(id) .latest() .hottest() .completeness() .silences() .excursions():"
            " DataFrames;\n"
            ' a range is ("-2h"), ("-1d", "-6h") or datetimes; .sql("SELECT ...") asks anything else>'
        )

    def fleet(
        self,
        start: Moment = DEFAULT_FROM,
        end: Moment | None = None,
        *,
        window: str = "5m",
        quantity: str = TEMPERATURE,
    ) -> pd.DataFrame:
        """Return one row per window over all sensors; of another quantity than the temperature, with its `unit`."""
        return self._by_window(presets.fleet(self._range(start, end), window=window, quantity=quantity))

    def sensors(
        self,
        start: Moment = DEFAULT_FROM,
        end: Moment | None = None,
        *,
        window: str = "5m",
        quantity: str = TEMPERATURE,
    ) -> pd.DataFrame:
        """Return one row per window and sensor."""
        return self._by_window(presets.sensors(self._range(start, end), window=window, quantity=quantity))

    def sensor(
        self,
        sensor_id: str,
        start: Moment = DEFAULT_FROM,
        end: Moment | None = None,
        *,
        window: str = "5m",
        quantity: str = TEMPERATURE,
    ) -> pd.DataFrame:
        """Return all columns of one sensor, a row per window; an empty frame if it has none in the range.

        WindrowError, which names a likely sensor, if it has no rows in the KNOWN_DAYS before the end of the range
        either, and others have.
        """
        time_range = self._range(start, end)
        frame = self._by_window(presets.sensor(sensor_id, time_range, window=window, quantity=quantity))
        if frame.empty:
            self._check_known(sensor_id, time_range)
        return frame

    def _check_known(self, sensor_id: str, time_range: TimeRange) -> None:
        """Raise WindrowError if `sensor_id` was not heard for KNOWN_DAYS, and others were heard in the range."""
        end_ms = time_range.end_ms
        # A day is rolled within an hour, so the windows of the last day make up for one that is not there yet.
        for table, start_ms in (("aggregates_1d", end_ms - KNOWN_DAYS * DAY_MS), ("aggregates", end_ms - DAY_MS)):
            sql = f"SELECT sensor_id FROM {table} WHERE {presets.IN_RANGE} AND sensor_id = :sensor_id LIMIT 1"  # noqa: S608
            values = presets.range_values(TimeRange(max(0, start_ms), end_ms)) | {"sensor_id": sensor_id}
            if not self._ask(Query.bind(sql, values)).empty:
                return
        known = self._ask(presets.sensor_ids(time_range))["sensor_id"].tolist()
        if not known:
            return
        meant = likely(sensor_id, known)
        hint = did_you_mean([repr(one) for one in meant]) or "latest() lists the sensors there are"
        raise WindrowError(f"no sensor {sensor_id!r} from {time_range}, nor in the {KNOWN_DAYS} days before", hint=hint)

    def latest(
        self,
        start: Moment = DEFAULT_FROM,
        end: Moment | None = None,
        *,
        window: str = "5m",
        quantity: str = TEMPERATURE,
    ) -> pd.DataFrame:
        """Return the newest row of each sensor, indexed by sensor id."""
        frame = self._ask(presets.latest(self._range(start, end), window=window, quantity=quantity))
        return frame.set_index("sensor_id")

    def hottest(
        self,
        start: Moment = DEFAULT_FROM,
        end: Moment | None = None,
        *,
        sensors: int = presets.HOTTEST_SENSORS,
        quantity: str = TEMPERATURE,
    ) -> pd.DataFrame:
        """Return the sensors with the highest readings, indexed by `place`, from 1."""
        return self._ask(presets.hottest(self._range(start, end), sensors=sensors, quantity=quantity)).set_index(
            "place"
        )

    def completeness(self, start: Moment = DEFAULT_FROM, end: Moment | None = None) -> pd.DataFrame:
        """Return the lineage of each window: sensors heard, readings that came late or twice, whether it is final."""
        return self._by_window(presets.completeness(self._range(start, end)))

    def silences(
        self, start: Moment = DEFAULT_FROM, end: Moment | None = None, *, quantity: str | None = None
    ) -> pd.DataFrame:
        """Return one row per window, sensor and quantity (None: every one) that is silent in it, or was until then."""
        return self._by_window(presets.silences(self._range(start, end), quantity=quantity))

    def excursions(
        self, start: Moment = DEFAULT_FROM, end: Moment | None = None, *, quantity: str | None = None
    ) -> pd.DataFrame:
        """Return a row per excursion beyond the limits of a rule; None: of every quantity."""
        return self._ask(presets.excursions(self._range(start, end), quantity=quantity))

    def sql(self, sql: str, **values: Parameter) -> pd.DataFrame:
        """Answer Trino SQL of your own; `:name` in its WHERE clauses stands for the value of that name."""
        return self._ask(Query.bind(sql, values) if values else Query(sql))

    def result(self, sql: str, values: Mapping[str, Parameter] | None = None) -> Result:
        """Answer as `sql` does, and also return engine, bytes scanned, seconds and dollars."""
        with readable_errors(self._place):
            return self._engine.run(Query.bind(sql, values) if values else Query(sql))

    def _range(self, start: Moment, end: Moment | None) -> TimeRange:
        first, last = moment_text(start, name="start"), moment_text(end, name="end")
        return parse_range(first, last, now_ms=self._clock_ms(), names=("start", "end"))

    def _by_window(self, query: Query) -> pd.DataFrame:
        return self._ask(query).set_index("window_start")

    def _ask(self, query: Query) -> pd.DataFrame:
        with readable_errors(self._place):
            return self._engine.run(query).frame
