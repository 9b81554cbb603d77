"""The SQL that users write means the same here as in Athena: each expression with what Trino answers.

Expected values are from Trino's documentation of its functions and of decimal arithmetic. What differs all the same is
at the end, and in docs/query.md.
"""

import math
from pathlib import Path

import pandas as pd
import pytest

from analytics.query import Query
from tests.unit.stored_results import StoredResults, some_readings
from windrow.errors import UsageError, WindrowError

DOCS = Path(__file__).parents[2] / "docs" / "query.md"
AT = "TIMESTAMP '2026-11-20 10:35:07.250'"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    results = StoredResults(tmp_path_factory.mktemp("cache"))
    results.store(some_readings())
    return results


def value_of(stored: StoredResults, expression: str) -> object:
    return stored.engine.run(Query(f"SELECT {expression}")).frame.iloc[0, 0]


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # integers divide to integers, towards zero; each step by itself
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("(7 / 2) / 2", 1),
        ("7 / 2 / 2.0", 1.5),
        ("minute(TIMESTAMP '2026-11-20 10:55:00') / 15", 3),
        ("(hour(TIMESTAMP '2026-11-20 23:00:00')) / 6 * 6", 18),
        (
            "TIMESTAMP '2026-11-20 10:00:00' + (minute(TIMESTAMP '2026-11-20 10:55:00') / 15) * INTERVAL '15' MINUTE",
            utc("2026-11-20T10:45"),
        ),
        # and so they do where nothing tells beforehand that they are integers
        ("greatest(7, 3) / 4", 1),
        ("element_at(ARRAY[55], 1) / 15 * 15", 45),
        ("-7 % 3", -1),
        ("mod(-7, 3)", -1),
        ("CAST(9007199254740993 AS BIGINT) / 1", 9007199254740993),
        # decimals divide to the greater scale of the two; doubles do not
        ("1 / 3.0", 0.3),
        ("1.00 / 3", 0.33),
        ("2 / 3.0", 0.7),
        ("1 / 3e0", 1 / 3),
        ("CAST(1 AS DOUBLE) / 3", 1 / 3),
        ("CAST(22 AS DECIMAL(10, 2)) / 7", 3.14),
        ("m / 3 FROM (SELECT CAST(10 AS DECIMAL(10, 3)) AS m) AS t", 3.333),
        ("1e0 / 0", math.inf),
        # rounding: half away from zero
        ("round(2.5e0)", 3.0),
        ("round(-2.5e0)", -3.0),
        ("round(2.567, 2)", 2.57),
        ("CAST(2.5e0 AS INTEGER)", 3),
        ("CAST(-2.5e0 AS BIGINT)", -3),
        ("CAST(2.5 AS INTEGER)", 3),
        ("truncate(-2.9e0)", -2.0),
        # time: whole units that have passed, not boundaries that were crossed
        ("date_diff('hour', TIMESTAMP '2026-11-20 10:59:00', TIMESTAMP '2026-11-20 11:01:00')", 0),
        ("date_diff('minute', TIMESTAMP '2026-11-20 11:30:30', TIMESTAMP '2026-11-20 10:00:00')", -90),
        ("date_diff('day', DATE '2026-11-20', DATE '2026-11-22')", 2),
        (f"date_diff('millisecond', TIMESTAMP '2026-11-20 10:35:07.000', {AT})", 250),
        (f"date_trunc('hour', {AT})", utc("2026-11-20T10:00")),
        (f"date_trunc('day', {AT})", utc("2026-11-20")),
        ("date_trunc('week', TIMESTAMP '2026-11-22 10:00:00')", utc("2026-11-16")),
        (f"date_add('minute', -5, {AT})", utc("2026-11-20T10:30:07.250")),
        ("date_add('day', 1, DATE '2026-11-20')", pd.Timestamp("2026-11-21")),
        ("from_unixtime(1700000000)", utc("2023-11-14T22:13:20")),
        ("to_unixtime(TIMESTAMP '2023-11-14 22:13:20.5')", 1_700_000_000.5),
        ("from_iso8601_timestamp('2026-11-20T10:05:00Z')", utc("2026-11-20T10:05")),
        ("date_parse('2026-11-20 10:05', '%Y-%m-%d %H:%i')", utc("2026-11-20T10:05")),
        (f"date_format({AT}, '%Y-%m-%d %H:%i:%s')", "2026-11-20 10:35:07"),
        (f"{AT} + INTERVAL '5' MINUTE", utc("2026-11-20T10:40:07.250")),
        ("CAST('2026-11-20 10:05:00' AS TIMESTAMP)", utc("2026-11-20T10:05")),
        (f"hour({AT} AT TIME ZONE 'Europe/Berlin')", 11),
        ("CAST(from_unixtime(0) AT TIME ZONE 'America/New_York' AS TIMESTAMP)", utc("1969-12-31T19:00")),
        ("day_of_week(DATE '2026-11-22')", 7),
        ("extract(DOW FROM DATE '2026-11-22')", 7),
        (f"CAST({AT} AS VARCHAR)", "2026-11-20 10:35:07.250"),
        ("CAST(TIMESTAMP '2026-11-20 10:35:07' AS VARCHAR)", "2026-11-20 10:35:07"),
        ("CAST(MIN(window_start) AS VARCHAR) FROM aggregates", "2026-11-20 23:50:00.000"),
        # text
        ("regexp_like('site-07/x', '^site-\\d+')", True),
        ("regexp_extract('site-07/x', 'site-(\\d+)', 1)", "07"),
        ("regexp_extract('nope', 'site-(\\d+)', 1)", None),
        ("regexp_replace('a1b2', '(\\d)', '<$1>')", "a<1>b<2>"),
        ("regexp_replace('a1b2', '\\d')", "ab"),
        ("split_part('site-07/x', '/', 2)", "x"),
        ("split_part('site-07', '/', 2)", None),
        ("substr('site-07', -2)", "07"),
        ("strpos('site-07', '-')", 5),
        ("length('温度')", 2),
        ("concat('a', NULL)", None),
        ("lpad('7', 3, '0')", "007"),
        # NULL, choices
        ("greatest(1, NULL, 3)", None),
        ("least(3, 1, 2)", 1),
        ("if(1 > 2, 'a', 'b')", "b"),
        ("try(1 / 0)", None),
        ("try_cast('x' AS INTEGER)", None),
        ("nullif(5, 5)", None),
        # arrays
        ("element_at(ARRAY[5, 6], -1)", 6),
        ("element_at(ARRAY[5, 6], 3)", None),
        ("cardinality(ARRAY[5, 6])", 2),
        ("contains(ARRAY[5, 6], 6)", True),
        ("array_join(ARRAY[1, 2], ',')", "1,2"),
        ("transform(ARRAY[1, 2], x -> x * 2)", [2, 4]),
        ("filter(ARRAY[1, 2, 3], x -> x > 1)", [2, 3]),
        # aggregates
        ("max_by(sensor_id, max_milli) FROM aggregates", "o'brien"),
        ("min_by(sensor_id, min_milli) FROM aggregates", "aisle/1"),
        ("count_if(hour = 23) FROM aggregates", 6),
        ("array_agg(DISTINCT dt ORDER BY dt) FROM aggregates", ["2026-11-20", "2026-11-21"]),
        ("approx_distinct(sensor_id) FROM aggregates", 3),
        ("approx_percentile(x, 0.5) FROM UNNEST(ARRAY[1, 2, 3, 4]) AS t(x)", 2),
        ("approx_percentile(x, ARRAY[0.25, 1.0]) FROM UNNEST(ARRAY[1, 2, 3, 4]) AS t(x)", [1, 4]),
        ("SUM(readings) / COUNT(*) FROM aggregates", 30),
        (
            "COUNT(*) FROM aggregates CROSS JOIN UNNEST(histogram_bins) WITH ORDINALITY AS t(bin, n) WHERE n = 1",
            12,
        ),
    ],
)
def test_an_expression_means_what_it_means_in_trino(stored: StoredResults, expression: str, expected: object) -> None:
    """The value, and NULL for NULL."""
    value = value_of(stored, expression)
    if expected is None:
        assert pd.isna(value)  # type: ignore[call-overload]
    elif isinstance(expected, float) and math.isfinite(expected):
        assert float(value) == pytest.approx(expected, rel=1e-15)  # type: ignore[arg-type]
    else:
        assert value == expected


def test_the_order_puts_nulls_last_either_way(stored: StoredResults) -> None:
    """As in Trino, not as in other engines."""
    for order in ("ASC", "DESC"):
        frame = stored.engine.run(Query(f"SELECT x FROM (VALUES (1), (NULL), (2)) AS t(x) ORDER BY x {order}")).frame
        assert pd.isna(frame["x"].iloc[-1])


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("format('%d', 5)", "format"),
        ("typeof(1)", "typeof"),
        ("TIMESTAMP '2026-11-20 10:05:00' AT TIME ZONE 'Europe/Berlin'", "AT TIME ZONE"),
        ("approx_percentile(readings, 2, 0.5) FROM aggregates", "approx_percentile"),
        ("regexp_replace('a', 'a', lower('B'))", "regexp_replace"),
        ("reduce(ARRAY[1], 0, (s, x) -> s + x, s -> s)", "finish"),
    ],
)
def test_what_would_be_answered_wrongly_is_refused(stored: StoredResults, expression: str, named: str) -> None:
    """One line that says so, and that Athena can."""
    with pytest.raises(UsageError, match="local engine cannot run") as caught:
        value_of(stored, expression)
    assert named in caught.value.message
    assert "AWS" in caught.value.hint


@pytest.mark.parametrize(
    "expression", ["width_bucket(5e0, 0e0, 9e0, 3)", "format_datetime(now(), 'HH')", "map_agg(1, 2)"]
)
def test_what_is_not_there_is_an_error(stored: StoredResults, expression: str) -> None:
    """Never another function of the same name."""
    with pytest.raises(WindrowError, match="does not exist"):
        value_of(stored, expression)


@pytest.mark.parametrize(
    ("expression", "here", "in_trino"),
    [
        ("CAST(2.5e0 AS VARCHAR)", "2.5", "2.5E0"),
        ("avg(CAST(x AS DECIMAL(3, 1))) FROM UNNEST(ARRAY[1, 1, 2]) AS t(x)", 4 / 3, "1.3"),
        ("url_encode('a b')", "a%20b", "a+b"),
    ],
)
def test_what_differs_is_in_the_documentation(
    stored: StoredResults, expression: str, here: object, in_trino: str
) -> None:
    """The table says both answers; when one of them changes, so must it."""
    assert value_of(stored, expression) == here
    shown = f"{here:.4f}" if isinstance(here, float) else str(here)
    assert f"| `{expression}` | `{shown}` | `{in_trino}` |" in DOCS.read_text()
