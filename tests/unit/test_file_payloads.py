"""Files of payloads under a contract: the readings that the consumer would make of them."""

import io
from pathlib import Path

import pytest

from producers.files.opening import opened_files
from producers.files.payloads import PayloadRecording
from tests.unit.test_ingest_command import NOW_MS, run
from windrow.errors import UsageError
from windrow.payloads.load import load_contract
from windrow_cli import ingest as command

PAYLOADS = Path(__file__).parents[1] / "golden" / "payloads"
NESTED = """
[[payload]]
sensor_id = "device_id"
time = { path = "ts", form = "epoch_s" }
[payload.quantity.temperature]
path = "data.temp"
unit = "C"
[payload.quantity.humidity]
path = "data.humidity"
unit = "%"
"""


def read(path: Path, contract: str) -> tuple[dict[str, list[tuple[str, int, int]]], list[tuple[int, str]]]:
    """The readings of each quantity as (id, time, thousandths), and the rows left out with their reasons."""
    with opened_files([str(path)], file_format=None, encoding=None, stdin=io.BytesIO()) as (file,):
        batches = list(PayloadRecording(file, load_contract(contract), "c.toml").batches())
    found = {
        one.quantity: [(each.sensor_id, each.event_time_ms, each.value_milli) for each in one.readings]
        for batch in batches
        for one in batch.found
    }
    return found, [(one.row, str(one.reason)) for batch in batches for one in batch.left_out]


def test_payloads_are_read_by_their_paths() -> None:
    """Both quantities; times to the millisecond, exactly as the decimal says."""
    found, left_out = read(PAYLOADS / "nested_payload.jsonl", NESTED)
    assert (len(found["temperature"]), len(found["humidity"]), left_out) == (12, 12, [])
    assert found["temperature"][0] == ("6e:81:00:00:00:01", 1_795_168_800_292, 21_410)
    assert found["humidity"][0] == ("6e:81:00:00:00:01", 1_795_168_800_292, 55_090)


def test_a_ready_made_contract() -> None:
    """With a framing of its own, which lines of a file do not need."""
    found, left_out = read(PAYLOADS / "telegraf_payload.jsonl", 'use = "telegraf"')
    assert (len(found["temperature"]), len(found["humidity"]), left_out) == (12, 12, [])
    assert {one[0] for one in found["temperature"]} == {"gh-00", "gh-01", "gh-02"}


def test_elements_of_an_array_and_bad_ones(tmp_path: Path) -> None:
    """A bad element or quantity is left out with its reason; its neighbours count."""
    good = '{"device_id": "a", "ts": 1795168800.5, "data": {"temp": 21.4375}}'
    bad = '{"device_id": "a", "ts": 1795168800.5, "data": {"temp": "warm", "humidity": 50}}'
    (tmp_path / "a.json").write_text(f"[{good}, {bad}, 7]")
    found, left_out = read(tmp_path / "a.json", NESTED)
    assert found == {
        "temperature": [("a", 1_795_168_800_500, 21_438)],
        "humidity": [("a", 1_795_168_800_500, 50_000)],
    }
    assert left_out == [(2, "value"), (3, "no_contract")]


def test_a_time_of_arrival_is_refused(tmp_path: Path) -> None:
    """A file has none."""
    contract = NESTED.replace('{ path = "ts", form = "epoch_s" }', '{ form = "arrival" }')
    with pytest.raises(UsageError, match="takes the time of arrival"):
        read(PAYLOADS / "nested_payload.jsonl", contract)


def test_the_command_takes_a_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is guessed then, and CSV is refused."""
    monkeypatch.setattr(command, "clock_ms", lambda: NOW_MS)
    contract = tmp_path / "payloads.toml"
    contract.write_text(NESTED)
    told = run(str(PAYLOADS / "nested_payload.jsonl"), "--payloads", str(contract), "--dry-run").stderr
    assert "12 rows: 12 of temperature, 12 of humidity" in told
    assert "guessed" not in told
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    assert isinstance(run(str(tmp_path / "r.csv"), "--payloads", str(contract), "--dry-run").exception, UsageError)
