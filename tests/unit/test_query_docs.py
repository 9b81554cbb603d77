"""docs/query.md says what is so: every query in it runs, and the tables are the tables."""

import re
from pathlib import Path

import pytest

from analytics.query import Query
from analytics.tables import TABLES
from infra import template
from tests.unit.stored_results import StoredResults, some_readings
from windrow_cli.questions import PRESETS

TEXT = (Path(__file__).parents[2] / "docs" / "query.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    results = StoredResults(tmp_path_factory.mktemp("cache"))
    results.store(some_readings())
    return results


def test_there_are_ten_queries() -> None:
    """As the heading says."""
    assert len(QUERIES) == 10


@pytest.mark.slow
@pytest.mark.parametrize("sql", QUERIES)
def test_every_query_runs(stored: StoredResults, sql: str) -> None:
    """Whatever rows it finds."""
    assert len(stored.engine.run(Query(sql)).frame.columns) > 1


@pytest.mark.parametrize("name", ["aggregates", "windows"])
def test_a_table_has_the_columns_that_it_has(name: str) -> None:
    """In their order, with their types."""
    section = TEXT.split(f"\n### {name}\n")[1].split("\n### ")[0].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE)
    assert [(column, kind.strip()) for column, kind in rows] == list(TABLES[name].columns)


def test_every_view_of_the_template_is_described() -> None:
    """And none that it does not have."""
    section = TEXT.split("\n### Views\n")[1].split("\n## ")[0]
    firsts = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    names = {name for first in firsts for name in re.findall(r"`(\w+)`", first)}
    resources = template.load()["Resources"].values()
    tables = [one["Properties"]["TableInput"] for one in resources if one["Type"] == "AWS::Glue::Table"]
    assert names == {table["Name"] for table in tables if table["TableType"] == "VIRTUAL_VIEW"}


def test_every_preset_is_described() -> None:
    """With what a row of it is."""
    for preset in PRESETS:
        assert re.search(rf"^\| `{preset}( ID)?` \|", TEXT, flags=re.MULTILINE)
