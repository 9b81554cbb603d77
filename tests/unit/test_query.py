"""What may be asked: one SELECT, with its parameters beside it."""

import pytest

from analytics.query import Query, literal
from analytics.select import parse_select
from windrow.errors import UsageError


def test_literals_double_their_quotes() -> None:
    """A parameter cannot end the literal that carries it to Athena."""
    assert literal("o'brien'; DROP TABLE x --") == "'o''brien''; DROP TABLE x --'"
    assert literal(10) == "10"


def test_named_parameters_become_positional_in_the_order_of_the_text() -> None:
    """A name that occurs twice is passed twice, because Athena counts question marks."""
    query = Query.bind("SELECT a FROM t WHERE a > :low AND a < :high AND b > :low", {"low": 1, "high": "x"})
    assert query == Query("SELECT a FROM t WHERE a > ? AND a < ? AND b > ?", (1, "x", 1))


def test_a_question_mark_in_a_string_or_comment_is_no_parameter() -> None:
    """Only the marks that Trino takes for parameters are counted and named."""
    query = Query("SELECT '?' FROM t /* ? */ WHERE a = ? -- ?\n AND b = ?", ("x", 2))
    assert "a = :p0 AND b = :p1" in parse_select(query).sql("trino", comments=False)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "-- comment\nSELECT 1",
    ],
)
def test_one_select_is_accepted(sql: str) -> None:
    """A SELECT, with or without WITH, parentheses, comments and a final semicolon."""
    parse_select(Query(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ; ",
        "-- nothing",
        "DROP TABLE aggregates",
        "DELETE FROM aggregates",
        "INSERT INTO aggregates SELECT * FROM aggregates",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE aggregates",
        "WITH a AS (SELECT 1) DELETE FROM aggregates",
        "SELECT 1 INTO x",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "UNLOAD (SELECT 1) TO 's3://x/'",
        "CALL x()",
        "selec * from aggregates",
        "VALUES (1)",
    ],
)
def test_what_is_not_one_select_is_refused(sql: str) -> None:
    """Every other statement, none, and more than one."""
    with pytest.raises(UsageError, match="not a SELECT"):
        parse_select(Query(sql))


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT * FRM aggregates WHERE", "line 1, column 14, near 'aggregates'"),
        ("SELECT 1\nFROM aggregates WHERE (dt = 'x'", "line 2, column 29, near \"'x'\""),
        ("SELECT 1\nFROM a WHERE x = 'abc", "line 2, column 18 has no end"),
        ("SELECT /* x", "has no end"),
        ("SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "nested too deep"),
    ],
)
def test_a_syntax_error_points_at_its_place(sql: str, place: str) -> None:
    """One line with line, column and word."""
    with pytest.raises(UsageError) as caught:
        parse_select(Query(sql))
    assert place in caught.value.message
    assert "\n" not in caught.value.message


def test_parameters_without_values_are_refused() -> None:
    """A question mark in the user's own SQL has nothing to stand for."""
    with pytest.raises(UsageError, match="1 parameters"):
        parse_select(Query("SELECT * FROM aggregates WHERE dt = ?"))


def test_sql_longer_than_athena_takes_is_refused() -> None:
    """262,144 characters is Athena's own limit."""
    with pytest.raises(UsageError, match="more than 262144"):
        parse_select(Query("SELECT 1 " + " " * 262_144))
