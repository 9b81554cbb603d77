"""`windrow payloads`: proposals that read their samples, and what is shown for each sample."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from windrow.errors import WindrowError
from windrow.payloads.decode import decode
from windrow.payloads.load import load_contract
from windrow_cli.payloads import payloads

CASES = Path(__file__).parent.parent / "golden" / "payloads"


def run(*words: str, typed: bytes = b"") -> Result:
    return CliRunner().invoke(payloads, list(words), input=typed)


@pytest.mark.parametrize(
    ("case", "quantities", "sensors"),
    [
        ("nested_payload.jsonl", {"temperature": 12, "humidity": 12}, 1),
        ("numeric_id_payload.jsonl", {"temperature": 1}, 1),
        ("telegraf_payload.jsonl", {"temperature": 12, "humidity": 12}, 3),
        ("uplink_payload.jsonl", {"temperature": 8}, 2),
    ],
)
def test_what_is_proposed_reads_its_samples(
    case: str, quantities: dict[str, int], sensors: int, tmp_path: Path
) -> None:
    """The proposal, saved and checked against the same samples, takes every payload and every quantity."""
    proposed = run("guess", str(CASES / case))
    assert proposed.exit_code == 0
    contract = tmp_path / "payloads.toml"
    contract.write_text(proposed.stdout)
    checked = run("check", str(contract), str(CASES / case), "--format", "json")
    assert checked.exit_code == 0
    rows = [json.loads(line) for line in checked.stdout.splitlines()]
    found = [row["quantity"] for row in rows]
    assert {name: found.count(name) for name in found} == quantities
    assert len({row["sensor_id"] for row in rows}) == sensors


def test_samples_in_an_array_are_proposed_with_what_they_share() -> None:
    """The id above the array is reached from its elements."""
    sample = b'{"device": "a", "samples": [{"ts": 1795168800123, "temp": 20.5}, {"ts": 1795168801123, "temp": 20.6}]}'
    proposed = run("guess", "-", typed=sample)
    decoded = decode(load_contract(proposed.stdout), sample, arrival_ms=0)
    assert [(one.sensor_id, one.event_time_ms, one.value_milli) for one in decoded.readings] == [
        ("a", 1_795_168_800_123, 20_500),
        ("a", 1_795_168_801_123, 20_600),
    ]
    assert not decoded.refusals
    assert "is temp in C?" in proposed.stderr


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("1795168800", 'form = "epoch_s"'),
        ("1795168800123456", 'form = "epoch_us"'),
        ('"2026-11-20T10:00:00Z"', 'form = "rfc3339"'),
        ('"2026-11-20 10:00:00"', 'form = "iso8601", zone = "UTC"'),
    ],
)
def test_the_form_of_the_time_is_recognised(written: str, form: str) -> None:
    """A naive time is proposed in UTC, with the question whether it is."""
    proposed = run("guess", "-", typed=f'{{"mac": "a", "time": {written}, "temperature": 20}}'.encode())
    assert form in proposed.stdout
    assert ("is it UTC?" in proposed.stderr) == ("zone" in form)


def test_nothing_is_proposed_without_reason() -> None:
    """Exit code 1, and nothing on standard output."""
    for sample in (b'{"a": 1}', b"not json", b"[1, 2]", b"5"):
        result = run("guess", "-", typed=sample)
        assert not result.stdout
        assert isinstance(result.exception, WindrowError)
        assert result.exception.exit_code == 1


def test_each_sample_is_shown_with_its_readings_or_the_reason(tmp_path: Path) -> None:
    """A line for each, and exit code 1 as soon as one is refused."""
    contract = tmp_path / "payloads.toml"
    contract.write_text('use = "windrow"\n')
    good = b'{"sensor_id": "a", "event_time": 1795168800123, "temperature": -0.5, "sequence": 3}'
    result = run("check", str(contract), "-", typed=good + b"\n\n{}\n")
    assert result.stdout.splitlines() == [
        "-:1  a  2026-11-20T10:00:00.123Z  #3  temperature -0.5 C",
        "-:3  refused: missing_field: sensor_id",
    ]
    assert "1 readings, 1 refused" in result.stderr
    assert isinstance(result.exception, WindrowError)
    assert result.exception.exit_code == 1
    assert run("check", str(contract), "-", typed=good).exit_code == 0


def test_a_file_of_another_kind_is_one_record(tmp_path: Path) -> None:
    """A record of two lines is refused as a whole by default, and read with its framing."""
    contract = tmp_path / "payloads.toml"
    contract.write_text('use = "windrow"\n')
    record = str(CASES / "record_of_lines.bin")
    refused = run("check", str(contract), record)
    assert refused.exit_code == 1
    assert "framing" in refused.stdout
    contract.write_text('framing = "lines"\nuse = "windrow"\n')
    assert len(run("check", str(contract), record).stdout.splitlines()) == 2


def test_a_wrong_contract_names_its_line(tmp_path: Path) -> None:
    """So that an editor finds it."""
    contract = tmp_path / "payloads.toml"
    contract.write_text('\nuse = "telegraph"\n')
    result = run("check", str(contract), str(CASES / "telegraf_payload.jsonl"))
    assert isinstance(result.exception, WindrowError)
    assert "payloads.toml, line 2" in result.exception.message


def test_the_example_in_the_docs_is_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample, proposal and readings in docs/payloads.md, word for word."""
    page = (Path(__file__).parents[2] / "docs" / "payloads.md").read_text()
    blocks = [block.partition("\n") for block in page.split("```")[1::2]]
    sample, contract = (next(text for kind, _, text in blocks if kind == wanted) for wanted in ("json", "toml"))
    shown = next(text for kind, _, text in blocks if not kind and text.startswith("samples.jsonl:1"))
    monkeypatch.chdir(tmp_path)
    Path("samples.jsonl").write_text(sample)
    proposed = run("guess", "samples.jsonl")
    assert proposed.stdout == contract
    Path("payloads.toml").write_text(proposed.stdout)
    assert run("check", "payloads.toml", "samples.jsonl").stdout == shown


@pytest.mark.parametrize(
    ("sample", "sensor", "units"),
    [
        (
            '{"src":"ht-1","ts":1793520000.12,"params":{"temperature:0":{"id":0},"humidity:0":{"id":0,"rh":44.1}}}',
            "src",
            {"humidity": "%"},
        ),
        ('{"deviceName":"S1","ts":1793520000123,"values":{"temperature":42.2}}', "deviceName", {"temperature": "C"}),
        ('{"Time":"2026-11-01T08:00:00","DS18B20":{"Id":"0C","Temperature":20.9}}', "DS18B20.Id", {"temperature": "C"}),
        (
            '{"id":"a","time":"2026-11-01T08:00:00Z","pressure":101325,"voltage":3005}',
            "id",
            {"pressure": "Pa", "voltage": "mV"},
        ),
        (
            '{"id":"a","time":"2026-11-01T08:00:00Z","pressure":101.3,"rh":1}',
            "id",
            {"pressure": "kPa", "humidity": "%"},
        ),
        ('{"id":"a","time":"2026-11-01T08:00:00Z","temp":1,"battery":97}', "id", {"temperature": "C"}),
        ('{"id":"a","time":"2026-11-01T08:00:00Z","battery":3.6}', "id", {"battery_voltage": "V"}),
        ('{"id":"a","time":"2026-11-01T08:00:00Z","rh":1e99999,"temp":1}', "id", {"temperature": "C"}),
        ('{"id":83,"time":"2026-11-01 08:00:00","battery_ok":1,"temperature_F":55.4}', "id", {"temperature": "F"}),
        (
            '{"_id":"a","dateutc":"2026-11-01 08:00:00","tempinf":"71.6","humidity":"44","baromrelin":"29.9"}',
            "_id",
            {"temperature": "F", "humidity": "%", "pressure": "inHg"},
        ),
        ('{"src":"a","ts":1793520000.1,"temperature:0":{"id":0,"tC":18.6,"tF":65.4}}', "src", {"temperature": "C"}),
        (
            '{"id":"a","time":"2026-11-01T08:00:00Z","pressure_kPa":1.5,"voltage_mV":31}',
            "id",
            {"pressure": "kPa", "voltage": "mV"},
        ),
    ],
)
def test_ids_and_units_are_proposed_that_can_be(sample: str, sensor: str, units: dict[str, str]) -> None:
    """The id of a value is not its sensor's, and a value tells between units of very different sizes."""
    result = run("guess", "-", typed=sample.encode())
    proposed = tomllib.loads(result.stdout)["payload"][0]
    assert proposed["sensor_id"] == sensor
    assert {name: one["unit"] for name, one in proposed["quantity"].items()} == units
    if '"battery' in sample and "battery_voltage" not in units:
        assert re.search(r"battery(_ok)? is left out: nothing says that \d+ is a voltage", result.stderr)


@pytest.mark.parametrize(
    ("sample", "where"),
    [
        ('{"id":"a","ts":1795168800,"AM2301":{"Temperature":70.7},"TempUnit":"F","PressureUnit":"hPa"}', "TempUnit"),
        ('{"id":"a","ts":1795168800,"temperature":{"value":70.7,"unit":"°F"},"x":{"unit":"%"}}', "temperature.unit"),
        ('{"id":"a","ts":1795168800,"unit":"fahrenheit","temp":70.7,"x":{"unit":"C"}}', "unit"),
    ],
)
def test_a_unit_that_the_payload_says_counts(sample: str, where: str) -> None:
    """Beside the value or above it, not another value's; 70.7 °F is 21.5 °C, whatever the proposal says beside."""
    result = run("guess", "-", typed=sample.encode())
    assert f"in the unit that {where} says?" in result.stderr
    (reading,) = decode(load_contract(result.stdout), sample.encode(), arrival_ms=0).readings
    assert (reading.value_milli, reading.unit) == (21_500, "C")


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ('"temp":21.4,"rh":55', None),
        ('"temp":-127,"rh":55', [-127]),
        ('"temp":"-127.0","rh":55', [-127]),
        ('"temp":327.67,"rh":55', [327.67]),
        ('"temp":85,"rh":99', None),
        ('"temp":21,"rh":-999', [-999]),
        ('"temp":21,"pressure":999.9', None),
    ],
)
def test_values_that_say_there_is_none_are_proposed_as_such(values: str, missing: list[float] | None) -> None:
    """Those of samples that can hardly be values, with a question; the value that comes first says nothing of units."""
    odd = f'{{"device":"a","ts":1795168800,{values}}}'
    plain = '{"device":"a","ts":1795168801,"temp":20,"rh":50,"pressure":1001}'
    for samples in (f"{odd}\n{plain}", f"{plain}\n{odd}"):
        result = run("guess", "-", typed=samples.encode())
        found = [one.get("missing") for one in tomllib.loads(result.stdout)["payload"][0]["quantity"].values()]
        assert [one for one in found if one] == ([missing] if missing else [])
        assert ("say that there is no value?" in result.stderr) == bool(missing)


def test_a_second_value_of_a_quantity_is_told() -> None:
    """One [[payload]] reads one sensor, so the other is left out by name."""
    sample = b'{"id":"a","ts":1795168800,"temp1f":66.2,"temp2f":68}'
    assert "temp2f is left out: temperature is temp1f" in run("guess", "-", typed=sample).stderr


def test_what_a_payload_lacks_is_named() -> None:
    """Quantities without an id, as where a topic names the device."""
    result = run("guess", "-", typed=b'{"humidity":55.2,"temperature":4.31}')
    assert result.exit_code != 0
    assert "no field is named like an id beside humidity, temperature" in result.stderr
