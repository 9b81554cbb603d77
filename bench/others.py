"""Other engines on the same event, as far as they are installed: our unpacking, their JSON and grouping."""

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from processors.event import Record, decode_event
from windrow.wire.unpack import unpack

Consume = Callable[[Any], object]


def installed() -> dict[str, Consume]:
    """The engines by their packages' names."""
    engines: dict[str, Consume] = {"duckdb": _duckdb, "polars": _polars, "msgspec": _msgspec}
    return {name: consume for name, consume in engines.items() if find_spec(name) is not None}


def _lines(parsed: Any) -> bytes:
    records = [record.payload for record in decode_event(parsed) if isinstance(record, Record)]
    return b"\n".join(unpack(records).payloads)


def _duckdb(parsed: Any) -> object:
    import duckdb  # noqa: PLC0415 - perhaps not installed

    with tempfile.NamedTemporaryFile(suffix=".json") as file, duckdb.connect(config={"threads": 1}) as connection:
        file.write(_lines(parsed))
        file.flush()
        columns = "{sensor_id: 'VARCHAR', event_time: 'BIGINT', temperature: 'DOUBLE', sequence: 'BIGINT'}"
        return connection.execute(
            f"select sensor_id, event_time // 300000, count(*), sum(temperature), list(event_time), list(temperature) "  # noqa: S608 - our own
            f"from read_json('{file.name}', format = 'newline_delimited', columns = {columns}) group by all"
        ).fetchall()


def _polars(parsed: Any) -> object:
    import polars  # noqa: PLC0415 - perhaps not installed

    frame = polars.read_ndjson(_lines(parsed))
    return frame.group_by("sensor_id", polars.col("event_time") // 300_000).agg(polars.all())


def _msgspec(parsed: Any) -> object:
    import msgspec  # noqa: PLC0415 - as the others

    reading: Any = msgspec.defstruct("reading", [("sensor_id", str), ("event_time", int), ("temperature", float)])
    groups: dict[tuple[str, int], list[Any]] = {}
    for one in msgspec.json.Decoder(reading).decode_lines(_lines(parsed)):
        groups.setdefault((one.sensor_id, one.event_time // 300_000), []).append(one)
    return groups
