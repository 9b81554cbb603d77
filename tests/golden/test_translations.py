"""The stored translations are what the translator makes today, and the command's questions are among them."""

import json
from itertools import product

import pytest

from analytics.translations import FILE
from tests.golden.translations import text
from windrow.errors import UsageError
from windrow_cli.questions import PRESETS, WINDOWS, query_of_preset


@pytest.mark.slow
def test_stored_translations_are_those_of_today() -> None:
    """To the letter; `python -m tests.golden.translations` writes the file anew."""
    assert FILE.read_text(encoding="utf-8") == text()


def test_no_question_of_the_command_has_to_be_translated() -> None:
    """Every preset, by window, hour and day, of temperatures and of another quantity."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    asked = 0
    for preset, window, quantity in product(PRESETS, WINDOWS, (None, "humidity")):
        sensor_id = "x" if preset == "sensor" else None
        try:
            question, _ = query_of_preset(
                preset, sensor_id, start=None, end=None, limit=None, window=window, quantity=quantity
            )
        except UsageError:  # completeness, silences and excursions have neither hours nor days
            continue
        assert question.sql in stored
        assert stored[question.sql]["parameters"] == len(question.parameters)
        asked += 1
    assert asked == 5 * len(WINDOWS) * 2 + 5
