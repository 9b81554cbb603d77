"""What comes from elsewhere moves no cursor and starts no formula: in tables, CSV, JSON and messages."""

import base64
import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.disarm import for_spreadsheet, for_terminal
from windrow_cli.console import out
from windrow_cli.formats import TEXTS, as_csv
from windrow_cli.quarantine import _as_csv, _as_table

ESC, C1, REVERSED = "\x1b[2J\x1b]0;title\x07", "\x9b2J", "\u202e"
FORMULAS = [
    '=HYPERLINK("http://x","y")',
    "=1+2",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1",
    "\r=1",
    "＝1",
]
HARMLESS = ["site-03/sensor-000003", "-12", "+49-351", "-0.5", "+/8=", "a=b", "'=1", "", "温度"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_to_a_spreadsheet(text: str) -> None:
    """An apostrophe before it, which spreadsheets do not show; without it, it is as it was sent."""
    assert for_spreadsheet(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_left_alone(text: str) -> None:
    """Numbers, ids that look like them, and Base64 that begins with a sign."""
    assert for_spreadsheet(text) == text


@pytest.mark.slow
@given(st.binary(max_size=12))
def test_no_payload_in_base64_is_changed(payload: bytes) -> None:
    """So it can be decoded by whoever reads the CSV."""
    text = base64.b64encode(payload).decode()
    assert for_spreadsheet(text) == text


@pytest.mark.slow
@given(st.text(max_size=40))
def test_a_terminal_gets_printable_text(text: str) -> None:
    """Whatever was sent; and what is printable already is not changed."""
    shown = for_terminal(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def frame() -> pd.DataFrame:
    return pd.DataFrame({"sensor_id": [FORMULAS[0], ESC + C1 + REVERSED], "mean_c": [-1.5, 2.0]})


def test_csv_has_no_formula_and_exact_numbers() -> None:
    """A number below zero is a number; other text is exact in a pipe."""
    rows = list(csv.reader(io.StringIO(as_csv(frame()))))
    assert rows == [["sensor_id", "mean_c"], [f"'{FORMULAS[0]}", "-1.5"], [ESC + C1 + REVERSED, "2.0"]]


def test_json_is_exact_and_has_no_control_characters() -> None:
    """They are escaped, so that a terminal is safe and a program reads what was sent."""
    text = "\n".join(TEXTS["json"]([frame()]))
    assert for_terminal(text, kept="\n") == text
    assert [row["sensor_id"] for row in json.loads(text)] == [FORMULAS[0], ESC + C1 + REVERSED]


def test_a_terminal_is_safe_from_csv(tmp_path: Path) -> None:
    """Where standard output is a terminal, control characters are spelled out there too."""
    script = tmp_path / "show.py"
    script.write_text(f"from windrow_cli.formats import csv_text; print(csv_text({ESC + C1!r}))")
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, str(script)], stdout=theirs, env=environment, check=True, timeout=60)
    seen = os.read(ours, 4096).decode().strip()
    os.close(ours)
    os.close(theirs)
    assert seen == repr(ESC + C1)[1:-1]


def test_quarantined_payloads_are_disarmed_too() -> None:
    """Their details quote what a stranger sent."""
    rows = [{"detail": FORMULAS[0], "payload_base64": "+/8="}, {"detail": ESC, "payload_base64": None}]
    columns = ("detail", "payload_base64")
    assert list(csv.reader(io.StringIO(_as_csv(rows, columns))))[1] == [f"'{FORMULAS[0]}", "+/8="]
    assert for_terminal(_as_table(rows, columns), kept="\n") == _as_table(rows, columns)


def test_every_line_that_is_printed_is_disarmed(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys in a bucket and answers of services, in reports and progress."""
    out.print(f"none of ours: {ESC}{C1}\nnext", markup=False)
    assert capsys.readouterr().out == f"none of ours: {repr(ESC + C1)[1:-1]}\nnext\n"
