"""The load of a stream, out of CloudWatch."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from infra.scaling import PERIOD_MS, PERIODS, PeriodLoad
from infra.scaling_bill import Passed
from windrow.period import HOUR_MS

_TAKEN_BYTES, _TAKEN_RECORDS, _REFUSED, _READS = (
    "IncomingBytes",
    "IncomingRecords",
    "WriteProvisionedThroughputExceeded",
    "GetRecords.Success",
)
_GIVEN_BYTES = "GetRecords.Bytes"
"""By all readers that share the shards: consumer, replays, audits."""


def read_loads(cloudwatch: Any, stream_name: str, *, now_ms: int) -> list[PeriodLoad]:
    """Return the last PERIODS whole periods before `now_ms`, oldest first, by a boto3 `cloudwatch` client.

    A period is left out if nothing is known of it: CloudWatch has neither records that came nor reads of the stream.
    Kinesis sends no metric of what did not happen, so reads alone mean that nothing came.
    """
    end_ms = now_ms // PERIOD_MS * PERIOD_MS
    metrics = (_TAKEN_BYTES, _TAKEN_RECORDS, _REFUSED, _READS)
    start_ms = end_ms - PERIODS * PERIOD_MS
    found = _sums(cloudwatch, stream_name, metrics, start_ms=start_ms, end_ms=end_ms, period_ms=PERIOD_MS)
    return [
        PeriodLoad(
            start_ms=start_ms,
            byte_count=sums.get(_TAKEN_BYTES, 0),
            records=sums.get(_TAKEN_RECORDS, 0),
            refused=sums.get(_REFUSED, 0),
        )
        for start_ms, sums in sorted(found.items())
    ]


def read_passed(cloudwatch: Any, stream_name: str, *, start_ms: int, end_ms: int) -> Passed | None:
    """Return what went through the stream in these hours, from the first of which something is known; None if none is.

    Both are whole hours.
    """
    metrics = (_TAKEN_BYTES, _TAKEN_RECORDS, _GIVEN_BYTES)
    found = _sums(cloudwatch, stream_name, metrics, start_ms=start_ms, end_ms=end_ms, period_ms=HOUR_MS)
    if not found:
        return None
    total = {metric: sum(sums.get(metric, 0) for sums in found.values()) for metric in metrics}
    return Passed(
        start_ms=min(found),
        end_ms=end_ms,
        records=total[_TAKEN_RECORDS],
        bytes_in=total[_TAKEN_BYTES],
        bytes_out=total[_GIVEN_BYTES],
    )


def _sums(
    cloudwatch: Any, stream_name: str, metrics: Sequence[str], *, start_ms: int, end_ms: int, period_ms: int
) -> dict[int, dict[str, int]]:
    """Return the sums of `metrics`, by the start of each period of which at least one is known.

    The end is exclusive, whatever CloudWatch or a stand-in returns of it: the period that begins there is not over.
    """
    request: dict[str, Any] = {
        "MetricDataQueries": [_query(f"m{at}", metric, stream_name, period_ms) for at, metric in enumerate(metrics)],
        "StartTime": datetime.fromtimestamp(start_ms / 1_000, UTC),
        "EndTime": datetime.fromtimestamp(end_ms / 1_000, UTC),
    }
    found: dict[int, dict[str, int]] = defaultdict(dict)
    while True:
        page = cloudwatch.get_metric_data(**request)
        for one in page["MetricDataResults"]:
            metric = metrics[int(one["Id"].removeprefix("m"))]
            for at, value in zip(one["Timestamps"], one["Values"], strict=True):
                if start_ms <= (at_ms := round(at.timestamp() * 1_000)) < end_ms:
                    found[at_ms][metric] = round(value)
        if not page.get("NextToken"):
            return found
        request["NextToken"] = page["NextToken"]


def _query(query_id: str, metric: str, stream_name: str, period_ms: int) -> dict[str, Any]:
    of_stream = [{"Name": "StreamName", "Value": stream_name}]
    return {
        "Id": query_id,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/Kinesis", "MetricName": metric, "Dimensions": of_stream},
            "Period": period_ms // 1_000,
            "Stat": "Sum",
        },
    }
