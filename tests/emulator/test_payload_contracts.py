"""Payloads of three public forms, from the stream to the rows, under contracts that `windrow deploy` was given.

Telegraf's JSON in lines, ChirpStack's uplinks and SenML packs, with several quantities and units. What must come out
is computed here from the numbers that were sent, without anything of windrow's.
"""

import io
import json
import time
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tests.emulator.by_command import Windrow, new_stage
from windrow.aws.clients import Place
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.deployment import find_stage
from windrow.lake import layout
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window
from windrow.wire.kpl import UserRecord, aggregate
from windrow_operations.draining import wait_until_drained

CONTRACT = """
framing = "lines"
[[payload]]
use = "telegraf"
[payload.quantity.humidity]
missing = [-1]
[[payload]]
use = "chirpstack"
[[payload]]
use = "senml"
"""


def milli(text: str) -> int:
    return int((Decimal(text) * 1000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def put(stage: Stage, *bodies: bytes) -> None:
    """Put records and wait until they are consumed."""
    records = [OutgoingRecord(partition_key=str(number), body=body) for number, body in enumerate(bodies)]
    answers = stage.stream.put_records(records).entries
    last: dict[str, int] = {}
    for answer in answers:
        assert isinstance(answer, Stored)
        last[answer.shard_id] = max(last.get(answer.shard_id, 0), int(answer.sequence_number))
    wait_until_drained(stage, last)


@pytest.fixture(scope="module")
def windrow(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Windrow:
    """The command, for a stage of its own that was deployed with the contract."""
    file = tmp_path_factory.mktemp("contract") / "payloads.toml"
    file.write_text(CONTRACT)
    command = Windrow(home, "embedded", new_stage())
    command("deploy", "--no-schedule", "--set", "BatchingWindowSeconds=0", "--payloads", str(file))
    return command


Expected = dict[tuple[str, str, str], list[int]]


def telegraf(start_ms: int) -> tuple[bytes, Expected]:
    """One record of twelve metrics in lines, the last without a humidity; as Telegraf 1.37's Kinesis output writes."""
    lines, expected = [], Expected()
    for second in range(12):
        temperature, humidity = f"{20 + second}.{second:02}5", f"{40 + second / 8}" if second < 11 else "-1"
        fields = f'{{"humidity":{humidity},"temperature":{temperature}}}'
        tags = '{"device":"gh-0","host":"edge-1"}'
        metric = f'{{"fields":{fields},"name":"climate","tags":{tags},"timestamp":{start_ms // 1000 + second}}}'
        lines.append(metric)
        expected.setdefault(("gh-0", "temperature", "C"), []).append(milli(temperature))
        if humidity != "-1":
            expected.setdefault(("gh-0", "humidity", "%"), []).append(milli(humidity))
    return "\n".join(lines).encode() + b"\n", expected


def chirpstack(start_ms: int) -> tuple[list[bytes], Expected]:
    """Uplinks as the JSON mapping of ChirpStack 4's `integration.UplinkEvent`: fCnt is left out where it is 0."""
    payloads, expected = [], Expected()
    for count in range(5):
        at = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(start_ms // 1000))
        uplink: dict[str, Any] = {
            "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
            "time": f"{at}:0{count}.123456789+00:00",
            "deviceInfo": {"tenantName": "ChirpStack", "deviceName": "shed", "devEui": "0101010101010101", "tags": {}},
            "devAddr": "00189440", "adr": True, "dr": 5, "fPort": 1, "confirmed": False, "data": "AQIDBA==",
            "object": {"temperature": -2.5 + count, "humidity": 81.25},
            "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -36 - count, "snr": 10.5, "crcStatus": "CRC_OK"}],
            "txInfo": {"frequency": 867100000},
        }  # fmt: skip
        payloads.append(json.dumps(uplink | ({"fCnt": count} if count else {})).encode())
        expected.setdefault(("0101010101010101", "temperature", "C"), []).append(-2_500 + count * 1_000)
        expected.setdefault(("0101010101010101", "humidity", "%"), []).append(81_250)
    return payloads, expected


def senml(start_ms: int) -> tuple[bytes, Expected]:
    """A pack as in RFC 8428, section 5.1.2: base name, time and unit, times relative to the base."""
    base = f'{{"bn":"urn:dev:ow:10e2073a01080063:","bt":{start_ms / 1000:.3f},"bu":"Cel","n":"t","v":23.1}}'
    pack = f'[{base},{{"n":"t","t":5,"v":23.1015}},{{"n":"p","u":"Pa","v":100325}},{{"n":"lid","vb":true}}]'
    name = "urn:dev:ow:10e2073a01080063:"
    return pack.encode(), {
        (f"{name}t", "temperature", "C"): [23_100, 23_102],
        (f"{name}p", "pressure", "hPa"): [1_003_250],
    }


def rows(stage: Stage, window: Window) -> dict[tuple[str, str, str], tuple[int, int, int, int]]:
    """Of each series: how many readings, their sum, least and greatest."""
    stored = stage.results.get(layout.rows_key(window))
    assert stored is not None
    table = pyarrow.parquet.read_table(io.BytesIO(stored.body)).to_pylist()
    return {
        (row["sensor_id"], row["quantity"], row["unit"]): (
            row["readings"], row["sum_milli"], row["min_milli"], row["max_milli"],
        )
        for row in table
    }  # fmt: skip


def _time(epoch_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_ms / 1_000))


@cache
def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def window_before(windows: int) -> Window:
    """So many windows before that of the first call, so that no two tests ever share one."""
    return Window(_now_ms() // WINDOW_MS * WINDOW_MS - windows * WINDOW_MS)


def test_three_public_forms_become_rows_of_several_quantities(windrow: Windrow, place: Place) -> None:
    """Equal to decimals computed beside it; one bad value is one quarantined payload; a replay adds nothing."""
    stage = find_stage(place, windrow.stage)
    window = window_before(2)
    lines, expected = telegraf(window.start_ms)
    uplinks, of_uplinks = chirpstack(window.start_ms)
    pack, of_pack = senml(window.start_ms)
    put(stage, lines, aggregate([UserRecord("k", payload) for payload in uplinks]), uplinks[0], pack, b"{}")
    windrow("tick")
    wanted = {
        series: (len(values), sum(values), min(values), max(values))
        for series, values in (expected | of_uplinks | of_pack).items()
    }
    assert len(wanted) == 6
    assert rows(stage, window) == wanted
    listed = json.loads(windrow("quarantine", "list", "--from", "-10m", "--format", "json"))
    assert sorted(one["reason"] for one in listed) == ["missing_value", "no_contract"]
    audited = json.loads(
        windrow("audit", "--from", _time(window.start_ms), "--to", _time(window.end_ms), "--format", "json")
    )
    (found,) = audited["windows"]
    assert (found["verdict"], found["rows"], audited["rejected"]) == (
        "exact",
        6,
        {"missing_value": 1, "no_contract": 1},
    )

    partials = [listed.key for listed in stage.lake.list_objects(layout.partials_prefix(window))]
    windrow("replay", "--from", "-10m")
    assert [listed.key for listed in stage.lake.list_objects(layout.partials_prefix(window))] == partials
    (shown,) = [
        one for one in json.loads(windrow("status", "--format", "json"))["stages"] if one["stage"] == stage.name
    ]
    assert shown["payload_contract"] == stage.payload_contract != ""


def test_a_file_is_read_by_the_stage_s_own_contract(windrow: Windrow, place: Place, tmp_path: Path) -> None:
    """The payloads of the stream as lines of a file: both quantities count, sent as blocks, which any stage reads."""
    stage = find_stage(place, windrow.stage)
    window = window_before(3)
    lines, expected = telegraf(window.start_ms)
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(lines)
    told = windrow.run("ingest", str(file), "--payloads", "stage", "--yes", "--wait")
    assert "sent as blocks" in told.stderr
    windrow("tick")
    assert rows(stage, window) == {
        series: (len(values), sum(values), min(values), max(values)) for series, values in expected.items()
    }


def test_another_contract_completes_the_rows(windrow: Windrow, place: Place, tmp_path: Path) -> None:
    """A field that the first contract did not read: a replay under the second adds one partial, and nothing changes
    of what was there; going back to the default form is a contract too.
    """
    stage = find_stage(place, windrow.stage)
    window = window_before(4)
    seconds = window.start_ms // 1000
    put(stage, b'{"fields":{"temperature":1,"co2":400},"tags":{"device":"x"},"timestamp":%d}' % seconds)
    windrow("tick")
    before = rows(stage, window)
    assert before == {("x", "temperature", "C"): (1, 1_000, 1_000, 1_000)}
    file = tmp_path / "payloads.toml"
    file.write_text('[[payload]]\nuse = "telegraf"\n[payload.quantity.co2]\npath = "fields.co2"\nunit = "ppm"\n')
    windrow("deploy", "--payloads", str(file))
    windrow("replay", "--from", "-10m")
    windrow("tick")
    assert rows(stage, window) == before | {("x", "co2", "ppm"): (1, 400_000, 400_000, 400_000)}
    windrow("deploy", "--payloads", "windrow")
    assert find_stage(place, windrow.stage).payload_contract == ""
