"""The load of a stream, out of CloudWatch."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from infra.scaling import PERIOD_MS, PERIODS, PeriodLoad

_TAKEN_BYTES, _TAKEN_RECORDS, _REFUSED, _READS = (
    "IncomingBytes",
    "IncomingRecords",
    "WriteProvisionedThroughputExceeded",
    "GetRecords.Success",
)


def read_loads(cloudwatch: Any, stream_name: str, *, now_ms: int) -> list[PeriodLoad]:
    """Return the last PERIODS whole periods before `now_ms`, oldest first, by a boto3 `cloudwatch` client.

    A period is left out if nothing is known of it: CloudWatch has neither records that came nor reads of the stream.
    Kinesis sends no metric of what did not happen, so reads alone mean that nothing came.
    """
    end_ms = now_ms // PERIOD_MS * PERIOD_MS
    metrics = (_TAKEN_BYTES, _TAKEN_RECORDS, _REFUSED, _READS)
    request: dict[str, Any] = {
        "MetricDataQueries": [_query(f"m{at}", metric, stream_name) for at, metric in enumerate(metrics)],
        "StartTime": datetime.fromtimestamp((end_ms - PERIODS * PERIOD_MS) / 1_000, UTC),
        "EndTime": datetime.fromtimestamp(end_ms / 1_000, UTC),
    }
    found: dict[int, dict[str, int]] = defaultdict(dict)
    while True:
        page = cloudwatch.get_metric_data(**request)
        for one in page["MetricDataResults"]:
            metric = metrics[int(one["Id"].removeprefix("m"))]
            for at, value in zip(one["Timestamps"], one["Values"], strict=True):
                found[round(at.timestamp() * 1_000)][metric] = round(value)
        if not page.get("NextToken"):
            break
        request["NextToken"] = page["NextToken"]
    return [
        PeriodLoad(
            start_ms=start_ms,
            byte_count=sums.get(_TAKEN_BYTES, 0),
            records=sums.get(_TAKEN_RECORDS, 0),
            refused=sums.get(_REFUSED, 0),
        )
        for start_ms, sums in sorted(found.items())
    ]


def _query(query_id: str, metric: str, stream_name: str) -> dict[str, Any]:
    of_stream = [{"Name": "StreamName", "Value": stream_name}]
    return {
        "Id": query_id,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/Kinesis", "MetricName": metric, "Dimensions": of_stream},
            "Period": PERIOD_MS // 1_000,
            "Stat": "Sum",
        },
    }
