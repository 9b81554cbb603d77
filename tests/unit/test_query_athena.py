"""The Athena engine against scripted answers of the service."""

from collections.abc import Iterator
from typing import Any

import boto3
import pandas as pd
import pytest
from botocore.stub import ANY, Stubber

from analytics import athena
from analytics.athena import AthenaEngine, Clock
from analytics.query import Query
from analytics.result import QueryProgress
from windrow.aws.clients import Place
from windrow.errors import UsageError, WindrowError

PLACE = Place("aws", None, "eu-central-1")
QUERY_ID = "01234567-89ab-cdef-0123-456789abcdef"
QUERY = Query("SELECT sensor_id FROM aggregates WHERE sensor_id = ?", ("o'brien",))


class Script:
    """Athena's answers in order, and a clock that only sleeping moves."""

    def __init__(self, stubber: Stubber, engine: AthenaEngine, slept: list[float]) -> None:
        self.stubber = stubber
        self.engine = engine
        self.slept = slept

    def starts(self, parameters: list[str] | None = None) -> None:
        request: dict[str, Any] = {
            "QueryString": ANY,
            "QueryExecutionContext": {"Database": "windrow_dev"},
            "WorkGroup": "windrow-dev",
        }
        if parameters is not None:
            request["ExecutionParameters"] = parameters
        self.stubber.add_response("start_query_execution", {"QueryExecutionId": QUERY_ID}, request)

    def is_in(self, state: str, *, scanned: int = 0, reason: str = "") -> None:
        status = {"State": state} | ({"StateChangeReason": reason} if reason else {})
        execution = {
            "QueryExecutionId": QUERY_ID,
            "Status": status,
            "Statistics": {"DataScannedInBytes": scanned},
        }
        self.stubber.add_response("get_query_execution", {"QueryExecution": execution}, {"QueryExecutionId": QUERY_ID})

    def gives(
        self, columns: list[dict[str, Any]], rows: list[list[str | None]], *, token: str = "", more: str = ""
    ) -> None:
        answer: dict[str, Any] = {
            "ResultSet": {
                "Rows": [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows],
                "ResultSetMetadata": {"ColumnInfo": columns},
            }
        } | ({"NextToken": more} if more else {})
        request = {"QueryExecutionId": QUERY_ID, "MaxResults": 1000} | ({"NextToken": token} if token else {})
        self.stubber.add_response("get_query_results", answer, request)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    client = boto3.client("athena", region_name=PLACE.region, aws_access_key_id="test", aws_secret_access_key="test")
    slept: list[float] = []
    monkeypatch.setattr(athena, "client", lambda *_: client)
    clock = Clock(now=lambda: float(sum(slept)), sleep=slept.append)
    engine = AthenaEngine(place=PLACE, workgroup="windrow-dev", database="windrow_dev", clock=clock)
    with Stubber(client) as stubber:
        yield Script(stubber, engine, slept)
        stubber.assert_no_pending_responses()


def column(name: str, kind: str, precision: int = 0, scale: int = 0) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "Precision": precision, "Scale": scale}


@pytest.mark.slow
def test_a_query_is_started_awaited_and_read(script: Script) -> None:
    """Parameters go as literals; progress is told; the header row is no row; bytes and seconds are reported."""
    script.starts(["'o''brien'"])
    script.is_in("QUEUED")
    script.is_in("RUNNING", scanned=500)
    script.is_in("SUCCEEDED", scanned=1_000)
    script.gives([column("sensor_id", "varchar")], [["sensor_id"], ["o'brien"]])
    told: list[QueryProgress] = []
    result = script.engine.run(QUERY, on_progress=told.append)
    assert result.frame["sensor_id"].tolist() == ["o'brien"]
    assert (result.engine, result.bytes_scanned, result.seconds) == ("Athena", 1_000, sum(script.slept))
    assert [progress.state for progress in told] == ["queued", "running", "succeeded"]
    assert not result.is_truncated


def test_a_query_without_parameters_sends_none(script: Script) -> None:
    """Athena refuses an empty list of parameters."""
    script.starts()
    script.is_in("SUCCEEDED")
    script.gives([column("_col0", "integer")], [["_col0"], ["1"]])
    assert script.engine.run(Query("SELECT 1")).frame["_col0"].tolist() == [1]


def test_values_are_typed_as_the_local_engine_types_them(script: Script) -> None:
    """Every type that a result can have, and NULL in each."""
    columns = [
        column("window_start", "timestamp"),
        column("readings", "bigint"),
        column("min_milli", "integer"),
        column("mean_c", "double"),
        column("min_c", "decimal", 10, 3),
        column("squares", "decimal", 38, 0),
        column("sensor_id", "varchar"),
        column("is_final", "boolean"),
        column("bins", "array"),
        column("day", "date"),
        column("zoned", "timestamp with time zone"),
    ]
    values = ["2026-11-20 10:05:00.000", "30", "-5", "2.1437E1", "21.437", "9" * 30, "", "true", "[1, 2]", "2026-11-20"]
    row: list[str | None] = [*values, "2026-11-20 10:05:00.000 UTC"]
    script.starts()
    script.is_in("SUCCEEDED")
    script.gives(columns, [[info["Name"] for info in columns], row, [None] * len(row)])
    frame = script.engine.run(Query("SELECT 1")).frame
    assert [str(dtype) for dtype in frame.dtypes] == [
        "datetime64[ms, UTC]",
        "Int64",
        "Int32",
        "float64",
        "float64",
        "object",
        "str",
        "boolean",
        "object",
        "datetime64[s]",
        "datetime64[ms, UTC]",
    ]
    instant = pd.Timestamp("2026-11-20T10:05:00Z")
    first = frame.iloc[0].tolist()
    assert first == [instant, 30, -5, 21.437, 21.437, 10**30 - 1, "", True, [1, 2], pd.Timestamp("2026-11-20"), instant]
    assert frame.iloc[1].isna().all()


def test_an_empty_result_keeps_its_columns(script: Script) -> None:
    """Only the header row came."""
    script.starts()
    script.is_in("SUCCEEDED")
    script.gives([column("a", "bigint"), column("a", "varchar")], [["a", "a"]])
    frame = script.engine.run(Query("SELECT 1 AS a, 'x' AS a")).frame
    assert frame.empty
    assert list(frame.columns) == ["a", "a_1"]


@pytest.mark.slow
def test_pages_are_read_to_the_end(script: Script) -> None:
    """The header comes on the first page alone."""
    script.starts()
    script.is_in("SUCCEEDED")
    script.gives([column("n", "bigint")], [["n"], *([str(n)] for n in range(999))], more="t1")
    script.gives([column("n", "bigint")], [[str(n)] for n in range(999, 1_500)], token="t1")
    assert script.engine.run(Query("SELECT 1")).frame["n"].tolist() == list(range(1_500))


def test_no_page_beyond_the_limit_is_read(script: Script) -> None:
    """Two rows are wanted, the first page already has more."""
    script.starts()
    script.is_in("SUCCEEDED")
    script.gives([column("n", "bigint")], [["n"], ["1"], ["2"], ["3"]], more="never asked for")
    result = script.engine.run(Query("SELECT 1"), rows_max=2)
    assert (result.frame["n"].tolist(), result.is_truncated) == ([1, 2], True)


def test_a_limit_that_fits_exactly_truncates_nothing(script: Script) -> None:
    """The next page is looked at before anything is said to be missing."""
    script.starts()
    script.is_in("SUCCEEDED")
    script.gives([column("n", "bigint")], [["n"], ["1"], ["2"]], more="t1")
    script.gives([column("n", "bigint")], [], token="t1")
    result = script.engine.run(Query("SELECT 1"), rows_max=2)
    assert (result.frame["n"].tolist(), result.is_truncated) == ([1, 2], False)


def test_ctrl_c_cancels_the_query(script: Script) -> None:
    """Nobody pays for a query that nobody waits for."""
    script.starts()
    script.is_in("RUNNING")
    script.stubber.add_response("stop_query_execution", {}, {"QueryExecutionId": QUERY_ID})

    def interrupt(_: QueryProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        script.engine.run(Query("SELECT 1"), on_progress=interrupt)


def test_the_wait_is_bounded(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last second the query is cancelled and named."""
    monkeypatch.setattr(athena, "QUERY_SECONDS_MAX", 1)
    script.starts()
    for _ in range(4):
        script.is_in("RUNNING")
    script.stubber.add_response("stop_query_execution", {}, {"QueryExecutionId": QUERY_ID})
    with pytest.raises(WindrowError, match=QUERY_ID):
        script.engine.run(Query("SELECT 1"))


def test_polling_slows_down_but_not_beyond_its_bound(script: Script) -> None:
    """A long query is not asked after four times a second."""
    script.starts()
    for _ in range(20):
        script.is_in("RUNNING")
    script.is_in("SUCCEEDED")
    script.gives([column("n", "bigint")], [["n"]])
    script.engine.run(Query("SELECT 1"))
    assert script.slept == sorted(script.slept)
    assert (script.slept[0], script.slept[-1]) == (athena.POLL_SECONDS_MIN, athena.POLL_SECONDS_MAX)


@pytest.mark.parametrize(
    ("state", "reason", "message", "hint"),
    [
        (
            "FAILED",
            "SYNTAX_ERROR: line 3:8: Column 'nope'\ncannot be resolved",
            "Column 'nope' cannot",
            "correct the SQL",
        ),
        ("FAILED", "GENERIC_INTERNAL_ERROR: x", "GENERIC_INTERNAL_ERROR", QUERY_ID),
        ("FAILED", "", "no reason given", "run it again"),
        ("CANCELLED", "Query cancelled! : Bytes scanned limit was exceeded", "scanned limit", "dt ="),
        ("CANCELLED", "by someone", "cancelled", "run it again"),
    ],
)
def test_a_failed_query_is_one_line_with_the_next_step(
    script: Script, state: str, reason: str, message: str, hint: str
) -> None:
    """Athena's reason, and what to do."""
    script.starts()
    script.is_in(state, reason=reason)
    with pytest.raises(WindrowError, match=message) as caught:
        script.engine.run(Query("SELECT 1"))
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint


OVERWRITTEN = (
    "HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://results/aggregates/dt=2026-11-20/hour=10/1005.parquet "
    "(offset=0, length=53515): At least one of the pre-conditions you specified did not hold "
    "(Service: Amazon S3; Status Code: 412; Error Code: PreconditionFailed)"
)


def test_a_result_overwritten_meanwhile_is_read_again(script: Script) -> None:
    """A roll replaced an object under the running query: once more, it reads the new one."""
    script.starts(["'o''brien'"])
    script.is_in("FAILED", reason=OVERWRITTEN)
    script.starts(["'o''brien'"])
    script.is_in("SUCCEEDED", scanned=1_000)
    script.gives([column("sensor_id", "varchar")], [["sensor_id"], ["o'brien"]])
    assert script.engine.run(QUERY).frame["sensor_id"].tolist() == ["o'brien"]


def test_a_result_overwritten_twice_is_an_error(script: Script) -> None:
    """Tried again once, not for ever."""
    for _ in range(2):
        script.starts()
        script.is_in("FAILED", reason=OVERWRITTEN)
    with pytest.raises(WindrowError, match="PreconditionFailed") as caught:
        script.engine.run(Query("SELECT 1"))
    assert "being rolled" in caught.value.hint


def test_results_that_expired_are_said_to_be_gone(script: Script) -> None:
    """Athena keeps them for a day, the results bucket for a week."""
    script.starts()
    script.is_in("SUCCEEDED")
    script.stubber.add_client_error("get_query_results", "InvalidRequestException", "Could not find results")
    with pytest.raises(WindrowError, match=f"the results of query {QUERY_ID} are gone") as caught:
        script.engine.run(Query("SELECT 1"))
    assert caught.value.hint == "run it again"


@pytest.mark.parametrize(
    ("scanned", "dollars"), [(0, 0.0), (1, 0.00005), (53_515, 0.00005), (25_500_000, 0.00013), (10**12, 5.0)]
)
def test_the_price_is_that_of_the_megabytes_scanned(scanned: int, dollars: float) -> None:
    """Rounded up to a megabyte, ten at least, five dollars a terabyte; nothing for a query that reads nothing."""
    assert athena.dollars(scanned) == pytest.approx(dollars)


def test_a_missing_workgroup_says_to_deploy(script: Script) -> None:
    """The stage was deployed without analytics, or not at all."""
    script.stubber.add_client_error(
        "start_query_execution", "InvalidRequestException", "WorkGroup windrow-dev is not found."
    )
    with pytest.raises(WindrowError, match="workgroup 'windrow-dev' is missing") as caught:
        script.engine.run(Query("SELECT 1"))
    assert "windrow deploy" in caught.value.hint


def test_another_refusal_names_the_operation(script: Script) -> None:
    """Access denied, throttled: one line all the same."""
    script.stubber.add_client_error("start_query_execution", "AccessDeniedException", "not\nyou")
    with pytest.raises(WindrowError, match="StartQueryExecution: AccessDeniedException: not you"):
        script.engine.run(Query("SELECT 1"))


def test_nothing_but_a_select_reaches_athena(script: Script) -> None:
    """The gate is the same for both engines; nothing was scripted, so nothing was sent."""
    with pytest.raises(UsageError, match="not a SELECT"):
        script.engine.run(Query("DROP TABLE aggregates"))
