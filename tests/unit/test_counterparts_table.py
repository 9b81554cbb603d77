"""The table at the end of `make counterparts`, which needs none of them to be checked."""

from tests.counterparts.table import Counterpart, Result, lines


def test_each_counterpart_is_a_row_with_what_came_of_it() -> None:
    """Equal only if nothing differs; what was skipped has its reason once; nothing asked is said so."""
    asked = Counterpart("X", "1.0", "rows")
    results = [
        (Result(passed=3), "equal (3 tests)"),
        (Result(passed=2, failed=1), "1 of 3 DIFFER"),
        (Result(skipped=["no Java", "no Java"]), "skipped: no Java"),
        (Result(passed=1, found=["17 lost"]), "equal (1 tests); 17 lost"),
        (Result(), "not asked"),
    ]
    table = lines((asked, result) for result, _ in results)
    assert table[2:] == [f"| X | 1.0 | rows | {text} |" for _, text in results]
