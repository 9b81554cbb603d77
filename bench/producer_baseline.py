"""The producer as it is usually written: json.dumps and aws-kinesis-agg's RecordAggregator."""

import json
from collections.abc import Iterable

from aws_kinesis_agg.aggregator import RecordAggregator

Row = tuple[str, int, int, int]


def aggregates(rows: Iterable[Row], *, target_bytes: int) -> list[bytes]:
    """The bodies of the records of `rows`: sensor id, event time, sequence, thousandths of a degree."""
    aggregator = RecordAggregator(target_bytes)
    bodies = []
    for sensor_id, event_time_ms, sequence, milli in rows:
        payload = json.dumps(
            {
                "sensor_id": sensor_id,
                "event_time": event_time_ms,
                "temperature": milli / 1000,
                "sequence": sequence,
            }
        )
        full = aggregator.add_user_record(sensor_id, payload)
        if full is not None:
            bodies.append(full.get_contents()[2])
    rest = aggregator.clear_and_get()
    return bodies if rest is None else [*bodies, rest.get_contents()[2]]
