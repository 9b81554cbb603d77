"""The consumer as it is usually written: aws-kinesis-agg, json, pandas, Parquet. It checks what ours checks.

Written for speed within those means: rows as tuples, one DataFrame per batch, categorical ids, no `apply`.
"""

import base64
import datetime
import gzip
import io
import json
import math
from collections.abc import Callable
from typing import Any

import aws_kinesis_agg.deaggregator
import pandas as pd

WINDOW_MS = 300_000
EARLINESS_MS_MAX = 300_000
LATENESS_MS_MAX = 7 * 24 * 3_600_000

Row = tuple[str, int, int, int]
RowsOf = Callable[[bytes, int], list[Row]]


def consume(event: Any, rows_of: RowsOf | None = None) -> list[bytes]:
    """The Parquet objects of the event, one per window, and the compressed JSON lines of what is bad.

    `rows_of` maps the payloads of another form to rows.
    """
    rows: list[Row] = []
    bad: list[dict[str, Any]] = []
    for record in aws_kinesis_agg.deaggregator.iter_deaggregate_records(event["Records"]):
        kinesis = record["kinesis"]
        body = base64.b64decode(kinesis["data"])
        try:
            arrival_ms = int(kinesis["approximateArrivalTimestamp"] * 1000)
            if rows_of is None:
                rows.append(_row(body, arrival_ms))
            else:
                rows += rows_of(body, arrival_ms)
        except (ValueError, KeyError, TypeError) as error:
            bad.append({"reason": repr(error), "payload_base64": base64.b64encode(body).decode()})
    objects = _objects(rows)
    if bad:
        objects.append(gzip.compress("\n".join(map(json.dumps, bad)).encode(), 6))
    return objects


def flat_rows(body: bytes, arrival_ms: int) -> list[Row]:
    """The reading of {"device", "ts" in ms, "celsius", "count"}."""
    fields = _DECODER.decode(body.decode())
    device, time, sequence = fields["device"], fields["ts"], fields.get("count", 0)
    _check(device, time, sequence, arrival_ms)
    return [(device, time, sequence, _milli(fields["celsius"], -273.15, 10_000))]


def nested_rows(body: bytes, arrival_ms: int) -> list[Row]:
    """The readings of {"device", "time" in s, "data": {"temperature", "humidity"}}; a series is a text."""
    fields = _DECODER.decode(body.decode())
    device, seconds, data = fields["device"], fields["time"], fields["data"]
    if type(seconds) not in (int, float) or not math.isfinite(seconds):
        raise ValueError("time")
    time = round(seconds * 1000)
    _check(device, time, 0, arrival_ms)
    return [
        (device, time, 0, _milli(data["temperature"], -273.15, 10_000)),
        (f"{device} humidity", time, 0, _milli(data["humidity"], -2_000_000, 2_000_000)),
    ]


def text_rows(body: bytes, arrival_ms: int) -> list[Row]:
    """The reading of {"device", "ts" in ms, "celsius", "count"}, numbers as texts."""
    fields = _DECODER.decode(body.decode())
    device, time, sequence = fields["device"], int(fields["ts"]), fields.get("count", 0)
    _check(device, time, sequence, arrival_ms)
    return [(device, time, sequence, _milli(float(fields["celsius"]), -273.15, 10_000))]


def senml_rows(body: bytes, arrival_ms: int) -> list[Row]:
    """The readings of a SenML pack of temperatures."""
    rows: list[Row] = []
    base: dict[str, Any] = {}
    for record in _DECODER.decode(body.decode()):
        for key in ("bn", "bt", "bu"):
            if key in record:
                base[key] = record[key]
        if "v" in record and record.get("u", base.get("bu")) == "Cel":
            name = base.get("bn", "") + record.get("n", "")
            time = round((base.get("bt", 0) + record.get("t", 0)) * 1000)
            _check(name, time, 0, arrival_ms)
            rows.append((name, time, 0, _milli(record["v"], -273.15, 10_000)))
    return rows


def sample_rows(body: bytes, arrival_ms: int) -> list[Row]:
    """The readings of {"device", "n", "samples": [{"ts" in ms, "t"}]}."""
    fields = _DECODER.decode(body.decode())
    device, sequence = fields["device"], fields.get("n", 0)
    rows: list[Row] = []
    for one in fields["samples"]:
        _check(device, one["ts"], sequence, arrival_ms)
        rows.append((device, one["ts"], sequence, _milli(one["t"], -273.15, 10_000)))
    return rows


def _check(sensor_id: Any, time: Any, sequence: Any, arrival_ms: int) -> None:
    if not isinstance(sensor_id, str) or not 1 <= len(sensor_id) <= 128:
        raise ValueError("sensor_id")
    sensor_id.encode()
    if type(time) is not int or not -LATENESS_MS_MAX <= time - arrival_ms <= EARLINESS_MS_MAX:
        raise ValueError("time")
    if type(sequence) is not int or not 0 <= sequence < 2**63:
        raise ValueError("sequence")


def _milli(value: Any, least: float, most: float) -> int:
    if type(value) not in (int, float) or not least <= value <= most:
        raise ValueError("value")
    milli: int = round(value * 1000)
    return milli


def _row(body: bytes, arrival_ms: int) -> Row:
    fields = _DECODER.decode(body.decode())
    sensor_id, time, degrees = fields["sensor_id"], fields["event_time"], fields["temperature"]
    sequence = fields.get("sequence", 0)
    if not isinstance(sensor_id, str) or not 1 <= len(sensor_id) <= 128:
        raise ValueError("sensor_id")
    sensor_id.encode()  # a lone surrogate would fail the whole Parquet file
    if isinstance(time, str):
        time = int(datetime.datetime.fromisoformat(time).timestamp() * 1000)
    if type(time) is not int or not -LATENESS_MS_MAX <= time - arrival_ms <= EARLINESS_MS_MAX:
        raise ValueError("event_time")
    if type(sequence) is not int or not 0 <= sequence < 2**63:
        raise ValueError("sequence")
    if type(degrees) not in (int, float) or not math.isfinite(degrees):
        raise ValueError("temperature")
    unit = fields.get("unit", "C")
    if unit == "F":
        degrees = (degrees - 32) * 5 / 9
    elif unit == "K":
        degrees -= 273.15
    elif unit != "C":
        raise ValueError("unit")
    if not -273.15 <= degrees <= 10_000:
        raise ValueError("temperature")
    return sensor_id, time, sequence, round(degrees * 1000)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("duplicate key")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys)


def _objects(rows: list[Row]) -> list[bytes]:
    """Per window: its distinct readings, sorted, and per sensor the same aggregates as in our partials."""
    frame = pd.DataFrame(rows, columns=["sensor_id", "event_time_ms", "sequence", "milli"])
    frame["sensor_id"] = frame["sensor_id"].astype("category")
    frame = frame.drop_duplicates().sort_values(["sensor_id", "event_time_ms", "sequence"])
    objects = []
    for _, window in frame.groupby(frame["event_time_ms"] // WINDOW_MS):
        aggregates = window.groupby("sensor_id", observed=True)["milli"].agg(["count", "sum", "min", "max"])
        for table in (window, aggregates.reset_index()):
            body = io.BytesIO()
            table.to_parquet(body, engine="pyarrow", compression="zstd", index=False)
            objects.append(body.getvalue())
    return objects
