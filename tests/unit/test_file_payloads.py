"""Files of payloads under a contract: the readings that the consumer would make of them."""

import io
import os
from pathlib import Path

import pytest

from producers.files.opening import opened_files
from producers.files.payloads import PayloadRecording
from tests.unit.test_ingest_command import NOW_MS, run
from windrow.errors import UsageError
from windrow.payloads.load import load_contract
from windrow.timestamps import format_rfc3339
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


PACK = '[{"bn":"a","bu":"Cel","t":-10,"v":21.5},{"t":-5,"v":22}]\n'


def test_a_time_that_counts_from_the_arrival_is_refused(tmp_path: Path) -> None:
    """It would be in 1970. The line says which row it is, and what to do; absolute times need no arrival."""
    (tmp_path / "packs.jsonl").write_text('[{"bn":"a","bt":1795168800,"bu":"Cel","v":21.5}]\n')
    found, _ = read(tmp_path / "packs.jsonl", 'use = "senml"')
    assert found == {"temperature": [("a", 1_795_168_800_000, 21_500)]}
    (tmp_path / "packs.jsonl").write_text('[{"bn":"a","bt":1795168800,"bu":"Cel","v":21.5}]\n' + PACK)
    with pytest.raises(UsageError, match=r"packs.jsonl, row 2: its time counts from its arrival") as refused:
        read(tmp_path / "packs.jsonl", 'use = "senml"')
    assert "--arrival" in str(refused.value.hint)


@pytest.mark.parametrize(
    "contract", ['use = "senml"', NESTED.replace('{ path = "ts", form = "epoch_s" }', '{ form = "arrival" }')]
)
def test_the_command_takes_an_arrival(contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time, or that of each file: the readings are that late, to the millisecond."""
    monkeypatch.setattr(command, "clock_ms", lambda: NOW_MS)
    (tmp_path / "c.toml").write_text(contract)
    other = '{"device_id": "a", "ts": 1, "data": {"temp": 21.5}}\n'
    file = tmp_path / "p.jsonl"
    file.write_text(PACK if "senml" in contract else other)
    os.utime(file, ns=(0, 1_795_168_800_250_000_000))
    ways = (str(file), "--payloads", str(tmp_path / "c.toml"), "--dry-run", "--backfill")
    before = 10_000 if "senml" in contract else 0
    for arrival, first_ms in (("2026-11-20T10:00:10Z", 1_795_168_810_000), ("file", 1_795_168_800_250)):
        told = run(*ways, "--arrival", arrival)
        assert told.exit_code == 0, told.exception
        assert format_rfc3339(first_ms - before) in told.stderr
    assert isinstance(run(*ways).exception, UsageError)
    assert isinstance(run(*ways, "--arrival", "noon").exception, UsageError)
    assert isinstance(run(str(file), "--arrival", "file", "--dry-run").exception, UsageError)


def test_standard_input_has_no_time_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So `file` is refused there."""
    monkeypatch.setattr(command, "clock_ms", lambda: NOW_MS)
    (tmp_path / "c.toml").write_text('use = "senml"')
    ways = ("-", "--input-format", "jsonl", "--payloads", str(tmp_path / "c.toml"), "--dry-run", "--arrival")
    assert isinstance(run(*ways, "file", text=PACK).exception, UsageError)


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
