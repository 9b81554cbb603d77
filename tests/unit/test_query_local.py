"""The local engine: Trino's meaning, few fetches, a closed room."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from analytics.cache import ObjectCache
from analytics.local import LocalEngine
from analytics.query import Query
from analytics.tables import TABLES
from tests.unit.stored_results import SENSORS, START_MS, WINDOWS, StoredResults, some_readings
from windrow.errors import UsageError, WindrowError
from windrow.lake.layout import Origin, PartialKey, lineage_key, rows_key
from windrow.reading import Readings
from windrow.rows.lineage import Lineage
from windrow.rows.partial import partials_of
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import Window

FIRST = Window(START_MS)


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path / "cache")
    results.store(some_readings())
    results.results.calls.clear()
    return results


def ask(stored: StoredResults, sql: str) -> pd.DataFrame:
    return stored.engine.run(Query(sql)).frame


def gets(stored: StoredResults, sql: str) -> int:
    """How many objects `sql` fetches with an empty cache."""
    stored.results.calls.clear()
    stored.engine.run(Query(sql))
    return stored.results.calls["get"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_objects_has_its_columns(tmp_path: Path, name: str) -> None:
    """A stage that was just deployed can be asked."""
    frame = ask(StoredResults(tmp_path), f"SELECT * FROM {name}")
    assert frame.empty
    assert list(frame.columns) == [column for column, _ in TABLES[name].columns]


def test_rows_come_with_the_dtypes_of_their_sql_types(stored: StoredResults) -> None:
    """Nullable integers, UTC times, exact decimals, lists, and the partition columns."""
    frame = ask(stored, "SELECT * FROM aggregates ORDER BY window_start, sensor_id LIMIT 1")
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert dtypes["window_start"] == "datetime64[ms, UTC]"
    assert dtypes["readings"] == "Int64"
    assert dtypes["min_milli"] == "Int32"
    assert isinstance(frame["sum_squares_milli2"][0], Decimal)
    assert isinstance(frame["histogram_bins"][0], list)
    assert (frame["dt"][0], frame["hour"][0]) == ("2026-11-20", 23)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / 2.0", 3.5),
        ("CAST(9007199254740993 AS BIGINT) / 1", 9007199254740993),
        ("-7 % 3", -1),
        ("date_diff('minute', TIMESTAMP '2026-11-20 10:00:00', TIMESTAMP '2026-11-20 11:30:00')", 90),
        ("date_trunc('hour', TIMESTAMP '2026-11-20 10:35:00')", pd.Timestamp("2026-11-20T10:00:00Z")),
        ("date_add('minute', 5, TIMESTAMP '2026-11-20 10:00:00')", pd.Timestamp("2026-11-20T10:05:00Z")),
        ("from_unixtime(1700000000)", pd.Timestamp("2023-11-14T22:13:20Z")),
        ("regexp_like('site-07', '^site-\\d+$')", True),
        ("CAST(21437 * 0.001 AS DECIMAL(10, 3))", 21.437),
        ("element_at(ARRAY[5, 6], 2)", 6),
        ("cardinality(ARRAY[5, 6])", 2),
        ("CAST(NULL AS BIGINT)", pd.NA),
    ],
)
def test_an_expression_means_what_it_means_in_trino(stored: StoredResults, expression: str, expected: object) -> None:
    """Unnamed columns are called as Athena calls them."""
    frame = ask(stored, f"SELECT {expression}")
    assert list(frame.columns) == ["_col0"]
    value = frame["_col0"][0]
    assert value is expected if expected is pd.NA else value == expected


def test_sums_of_bigints_stay_bigints(stored: StoredResults) -> None:
    """DuckDB's 128-bit sums come back as the 64 bits that Trino gives, and divide like integers."""
    frame = ask(stored, "SELECT SUM(readings) AS n, SUM(sum_milli) / SUM(readings) AS mean FROM aggregates")
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "Int64"]
    assert frame["n"][0] == 30 * WINDOWS * len(SENSORS)


def test_histograms_unnest_bin_by_bin(stored: StoredResults) -> None:
    """UNNEST of two arrays walks them together, and the counts add up to the readings."""
    frame = ask(
        stored,
        "SELECT SUM(n) AS readings, COUNT(*) AS bins, SUM(cardinality(histogram_bins)) >= COUNT(*) AS ok "
        "FROM aggregates CROSS JOIN UNNEST(histogram_bins, histogram_counts) AS t(bin, n)",
    )
    assert frame["readings"][0] == 30 * WINDOWS * len(SENSORS)


def test_tables_may_carry_database_and_catalog(stored: StoredResults) -> None:
    """SQL copied from Athena's console runs as it is."""
    sql = 'SELECT COUNT(*) AS n FROM "AwsDataCatalog"."windrow_dev"."aggregates" AS a WHERE a.readings > 0'
    assert ask(stored, sql)["n"][0] == WINDOWS * len(SENSORS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "objects"),
    [
        ("dt = '2026-11-20'", 2),
        ("dt = '2026-11-21' AND hour = 0", 2),
        ("hour BETWEEN 1 AND 22", 0),
        ("dt >= '2026-11-20' AND hour IN (0, 3)", 2),
        ("window_start = TIMESTAMP '2026-11-21 00:05:00'", 1),
        ("date_trunc('day', window_start) = TIMESTAMP '2026-11-20 00:00:00' AND readings > 0", 2),
        ("NOT (dt = '2026-11-20' OR hour = 1)", 2),
        ("dt = '2026-11-20' OR readings > 0", 4),
        ("dt = (SELECT MIN(dt) FROM aggregates WHERE hour = 23)", 4),
        ("dt > date_format(TIMESTAMP '2026-11-20 12:00:00', '%Y-%m-%d')", 2),
        ("dt < CAST(random() AS VARCHAR)", 4),
        ("TRUE", 4),
    ],
)
def test_only_what_the_conditions_leave_is_fetched(stored: StoredResults, where: str, objects: int) -> None:
    """Conditions on dt, hour and window_start prune; what cannot be judged from a key does not."""
    assert gets(stored, f"SELECT COUNT(*) FROM aggregates WHERE {where}") == objects


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("WITH a AS (SELECT dt FROM aggregates WHERE hour = 0) SELECT COUNT(*) AS n FROM a WHERE dt = '2026-11-21'", 6),
        (
            "SELECT COUNT(*) AS n FROM (SELECT dt FROM aggregates WHERE hour = 0 "
            "UNION ALL SELECT dt FROM aggregates WHERE hour = 23) AS u",
            12,
        ),
        (
            "SELECT COUNT(*) AS n FROM aggregates a WHERE a.hour = 0 AND NOT EXISTS "
            "(SELECT 1 FROM aggregates b WHERE b.hour = 23 AND b.sensor_id = a.sensor_id)",
            0,
        ),
        ("WITH aggregates AS (SELECT 1 AS dt) SELECT COUNT(*) AS n FROM aggregates WHERE dt = 1", 1),
        ("SELECT COUNT(*) AS n FROM aggregates a, aggregates b WHERE a.hour = 0 AND b.hour = 23", 36),
        ("SELECT COUNT(*) AS n FROM aggregates GROUP BY dt HAVING dt = '2026-11-21'", 6),
    ],
)
def test_pruning_never_changes_an_answer(stored: StoredResults, sql: str, expected: int) -> None:
    """Joins, subqueries, unions and names that hide a table."""
    assert ask(stored, sql)["n"].tolist() == [expected]


def test_an_outer_join_keeps_what_its_condition_would_prune(stored: StoredResults) -> None:
    """No lineage fulfils `dt IS NULL`; read none of them, and every row would seem to be without one."""
    stored.results.put(lineage_key(FIRST), b'{"window_start":"2026-11-20 23:50:00.000"}')
    frame = ask(
        stored,
        "SELECT COUNT(*) AS n FROM aggregates a LEFT JOIN windows w ON a.window_start = w.window_start "
        "WHERE w.dt IS NULL",
    )
    assert frame["n"][0] == (WINDOWS - 1) * len(SENSORS)


@pytest.mark.slow
def test_what_is_cached_is_not_fetched_again_until_it_changes(stored: StoredResults) -> None:
    """The cache knows a version by its ETag."""
    sql = "SELECT SUM(readings) AS n FROM aggregates"
    assert gets(stored, sql) == WINDOWS
    assert gets(stored, sql) == 0
    stored.store(one for one in some_readings() if FIRST.start_ms <= one.event_time_ms < FIRST.end_ms - 60_000)
    assert gets(stored, sql) == 1
    assert ask(stored, sql)["n"][0] == 30 * WINDOWS * len(SENSORS) - 6 * len(SENSORS)


@pytest.mark.slow
def test_the_cache_keeps_its_bound(stored: StoredResults, tmp_path: Path) -> None:
    """What was used longest ago makes room; no unfinished file stays."""
    size_bytes = sum(listed.size_bytes for listed in stored.results.list_objects("aggregates/"))
    bound = size_bytes // 2 + 1_000
    folder = tmp_path / "small"
    engine = LocalEngine(lake=stored.lake, results=stored.results, cache=ObjectCache(folder, bytes_max=bound))
    for hour in (23, 0, 23):
        engine.run(Query(f"SELECT COUNT(*) FROM aggregates WHERE hour = {hour}"))
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) <= bound
        assert {path.suffix for path in files} == {".parquet"}


def test_a_query_larger_than_the_cache_is_refused(stored: StoredResults, tmp_path: Path) -> None:
    """Before anything is fetched, with a way out."""
    engine = LocalEngine(lake=stored.lake, results=stored.results, cache=ObjectCache(tmp_path, bytes_max=1_000))
    with pytest.raises(WindrowError, match="would read") as caught:
        engine.run(Query("SELECT * FROM aggregates"))
    assert "dt" in caught.value.hint
    assert stored.results.calls["get"] == 0


def test_an_object_that_vanishes_after_its_listing_is_no_error(stored: StoredResults) -> None:
    """A window that expires meanwhile is as if it had been gone before."""

    class Vanishing:
        def __getattr__(self, name: str) -> object:
            return getattr(stored.results, name)

        def get(self, key: str) -> object:
            return None if key == rows_key(FIRST) else stored.results.get(key)

    engine = LocalEngine(lake=stored.lake, results=Vanishing(), cache=stored.cache)  # type: ignore[arg-type]
    frame = engine.run(Query("SELECT COUNT(*) AS n FROM aggregates")).frame
    assert frame["n"][0] == (WINDOWS - 1) * len(SENSORS)


def test_strange_keys_are_passed_over(stored: StoredResults) -> None:
    """What lies under a table's prefix and is none of its objects does not break a query."""
    stored.results.put("aggregates/dt=2026-11-20/hour=23/notes.txt", b"hello")
    stored.results.put("aggregates/_temporary/x", b"hello")
    assert ask(stored, "SELECT COUNT(*) AS n FROM aggregates")["n"][0] == WINDOWS * len(SENSORS)


def test_lineage_partials_and_quarantine_can_be_asked(stored: StoredResults) -> None:
    """JSON, Parquet with and without sequences, and compressed JSON lines."""
    lineage = Lineage(
        window=FIRST,
        fingerprint="f",
        digests=("a", "b"),
        rows_sha256="r",
        result_etag="e",
        revision=2,
        readings=90,
        sensors=3,
        conflicts=0,
        duplicates_removed=1,
        late=0,
        quarantined=0,
        partials=2,
        shards=("s-shardId-000000000000",),
        is_final=False,
        scheduled_time_ms=FIRST.end_ms + 120_000,
    )
    stored.results.put(lineage_key(FIRST), lineage.to_json())
    frame = ask(stored, "SELECT revision, shards, scheduled_time, is_final, hour FROM windows WHERE revision = 2")
    assert frame.iloc[0].tolist() == [2, ["s-shardId-000000000000"], pd.Timestamp("2026-11-20T23:57:00Z"), False, 23]

    origin = Origin(stream="s.t-r_eam", shard="shardId-000000000000", first=1, last=10**55)
    for sequences in (0, 1):
        readings = Readings.of([("a", START_MS + 5, sequences, 20_000), ("b", START_MS + 6, 0, -20_000)])
        (partial,) = partials_of(readings)
        key = PartialKey(window=FIRST, origin=origin, digest=f"{sequences:032}")
        stored.lake.put(str(key), encode_partial(partial, DeliveryCounts()))
    frame = ask(stored, "SELECT SUM(readings) AS n, MIN(min_milli) AS low, MAX(first_sequence) AS s FROM partials")
    assert frame.iloc[0].tolist() == [4, -20_000, 1]

    bad = {"reason": "not_json", "sequence_number": str(10**55), "index": 3, "arrival_time": "2026-11-20 23:51:00.125"}
    body = gzip.compress(json.dumps(bad).encode() + b"\n")
    stored.lake.put(f"quarantine/dt=2026-11-20/hour=23/2350-{origin}-1-{0:032}.jsonl.gz", body)
    frame = ask(stored, 'SELECT reason, sequence_number, arrival_time, detail FROM quarantine WHERE "index" = 3')
    assert frame["sequence_number"][0] == str(10**55)
    assert frame["arrival_time"][0] == pd.Timestamp("2026-11-20T23:51:00.125Z")
    assert pd.isna(frame["detail"][0])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM duckdb_settings()",
        "SELECT content FROM aggregates, read_text('/etc/passwd')",
        "SELECT getenv('HOME')",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    ],
)
def test_nothing_but_the_tables_can_be_read(stored: StoredResults, sql: str) -> None:
    """Neither files nor the engine's own insides nor the environment."""
    with pytest.raises(WindrowError):
        ask(stored, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/windrow.csv'",
        "ATTACH '/tmp/windrow.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '99GB'",
    ],
)
def test_the_database_itself_is_shut_in(stored: StoredResults, sql: str) -> None:
    """Even SQL that got past the gate could reach no file, load nothing and change no setting."""
    with stored.engine._connection({}) as connection, pytest.raises(duckdb.Error):
        connection.execute(sql)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM aggregate", "no table 'aggregate'"),
        ("SELECT nope FROM aggregates", r"cannot resolve column 'nope' \(line 1, column 8\)"),
        ("SELECT frobnicate(1)", "frobnicate"),
        ("SELECT 1 / 0", "Division by zero"),
        ("SELECT CAST(sensor_id AS INTEGER) FROM aggregates", "Could not convert"),
        ("SELECT SUM(CAST(9223372036854775807 AS BIGINT)) FROM aggregates", "INT64"),
    ],
)
def test_an_error_is_one_line_with_the_next_step(stored: StoredResults, sql: str, message: str) -> None:
    """What the engine says, without its traceback."""
    with pytest.raises(WindrowError, match=message) as caught:
        ask(stored, sql)
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_what_has_no_counterpart_is_refused_rather_than_answered_wrongly(stored: StoredResults) -> None:
    """A function that cannot be translated whole is not translated in part."""
    with pytest.raises(UsageError, match="local engine cannot run"):
        ask(stored, "SELECT reduce(histogram_bins, 0, (s, x) -> s + x, s -> s * 2) FROM aggregates")


def test_rows_beyond_the_limit_are_cut_off_and_said_to_be(stored: StoredResults) -> None:
    """A limit given is a limit kept, and whether there was more is known."""
    cut = stored.engine.run(Query("SELECT sensor_id FROM aggregates"), rows_max=5)
    assert (len(cut.frame), cut.is_truncated) == (5, True)
    whole = stored.engine.run(Query("SELECT sensor_id FROM aggregates"), rows_max=WINDOWS * len(SENSORS))
    assert (len(whole.frame), whole.is_truncated) == (WINDOWS * len(SENSORS), False)


@pytest.mark.slow
def test_a_result_too_large_for_one_client_is_refused(stored: StoredResults) -> None:
    """A million rows and one more."""
    with pytest.raises(WindrowError, match="more than 1000000 rows"):
        ask(stored, "SELECT x FROM UNNEST(sequence(1, 1000001)) AS t(x)")


def test_the_answer_says_what_it_took(stored: StoredResults) -> None:
    """Bytes of the objects that were needed, cached or not; each step is told."""
    told: list[str] = []
    for _ in range(2):
        result = stored.engine.run(
            Query("SELECT COUNT(*) FROM aggregates WHERE hour = 0"),
            on_progress=lambda progress: told.append(progress.state),
        )
        sizes = {listed.key: listed.size_bytes for listed in stored.results.list_objects("aggregates/")}
        assert result.bytes_scanned == sum(size for key, size in sizes.items() if "hour=00" in key)
        assert result.engine == "DuckDB on this machine"
    assert told == ["listing", "fetching", "running"] * 2
