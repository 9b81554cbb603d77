"""What Athena is asked is what was reviewed."""

import pytest

from tests.golden.athena_sql import FOLDER, QUERIES, text_of


@pytest.mark.parametrize("name", QUERIES)
def test_a_preset_asks_athena_what_its_golden_file_says(name: str) -> None:
    """SQL and parameters to the letter; `python -m tests.golden.athena_sql` writes the files anew."""
    assert text_of(QUERIES[name]) == (FOLDER / f"{name}.sql").read_text()


def test_every_golden_file_has_its_query() -> None:
    """No file outlives the preset that it shows."""
    assert {path.stem for path in FOLDER.glob("*.sql")} == set(QUERIES)
