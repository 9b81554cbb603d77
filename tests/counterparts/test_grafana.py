"""The dashboards for Grafana against the model that Grafana publishes of its own schema: it knows every field.

What the model does not know it drops, so what is misspelled or of another version is missing when it is written back.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.counterparts import grafana_model
from tests.counterparts.table import Counterpart

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-counterparts" / "bin" / "python"
FILES = sorted((ROOT / "docs" / "grafana").glob("*.json"))
READ_SECONDS_MAX = 60
COUNTERPART = Counterpart("Grafana's model", "11.6", "every field of the dashboards")


def read_by_grafana(*paths: Path) -> list[Any]:
    """The dashboards as the model has them."""
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: make counterparts creates it, with Grafana's model in it")
    command = [str(PYTHON), grafana_model.__file__, *map(str, paths)]
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=READ_SECONDS_MAX
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return [json.loads(line) for line in ended.stdout.splitlines()]


def unknown(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Where `theirs` lacks or changes what is in `ours`. Without an id it is Grafana that chooses one."""
    if isinstance(ours, dict):
        for name, value in ours.items():
            place = f"{where}.{name}"
            if place == ".id" and value is None:
                continue
            if not isinstance(theirs, dict) or name not in theirs:
                yield place
            else:
                yield from unknown(value, theirs[name], place)
    elif isinstance(ours, list):
        if not isinstance(theirs, list) or len(theirs) != len(ours):
            yield where
        else:
            for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from unknown(own, other, f"{where}[{number}]")
    elif ours != theirs:
        yield where


def test_grafana_knows_every_field() -> None:
    """Of panels, variables, questions and options."""
    assert len(FILES) == 2
    for path, read in zip(FILES, read_by_grafana(*FILES), strict=True):
        assert list(unknown(json.loads(path.read_text("utf-8")), read)) == []


def test_a_field_that_there_is_not_would_be_noticed(tmp_path: Path) -> None:
    """One misspelled field in a variable, one in a panel's options, one in its field settings."""
    page = json.loads(FILES[0].read_text("utf-8"))
    panel = next(one for one in page["panels"] if one["type"] == "timeseries")
    page["templating"]["list"][0]["lable"] = "x"
    panel["fieldConfig"]["defaults"]["units"] = "celsius"
    panel["options"]["legends"] = {}
    (tmp_path / "page.json").write_text(json.dumps(page), "utf-8")
    (read,) = read_by_grafana(tmp_path / "page.json")
    found = list(unknown(page, read))
    assert sorted(one.rpartition(".")[2] for one in found) == ["lable", "legends", "units"]
