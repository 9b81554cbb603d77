"""The modules that a reading passes on its way from the stream to a row: python -m tests.readings_way

One batch of JSON readings goes through the consumer's handler, then one tick through the dispatcher's, over an S3 in
memory. The trace ends when the row is stored. It is the usual way: one aggregate of good readings, mode direct.

To follow the way one opens the modules that ran, except

    word     modules right under `windrow/` and in `windrow/columns/`: the vocabulary, known by name
    adapter  modules that import boto3 or botocore, and what stands in front of them: the protocol of a store, and the
             threads that put objects
    inner    modules that hand nothing of a reading to others: at most yes or no, a number, a text or a function.
             For a wing of `windrow/` (wire, rows, lake), others are those outside it: `unpack` opens aggregates and
             `strict` parses JSON for all others, whatever they use for that
"""

# ruff: noqa: T201 - a command prints
import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from tests.lambda_context import LambdaContext

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "windrow",
    "windrow_operations",
    "windrow_cli",
    "producers",
    "processors",
    "dispatcher",
    "analytics",
    "infra",
)
LAKE, RESULTS = "lake", "results"
ENVIRONMENT = {
    "WINDROW_STAGE": "test",
    "WINDROW_STREAM_NAME": "windrow-test",
    "WINDROW_LAKE_BUCKET": LAKE,
    "WINDROW_RESULTS_BUCKET": RESULTS,
    "WINDROW_LATENESS_HORIZON_HOURS": "6",
    "WINDROW_STREAM_RETENTION_HOURS": "1",
    "POWERTOOLS_SERVICE_NAME": "windrow-test",
    "POWERTOOLS_METRICS_NAMESPACE": "windrow",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}


BEFORE_ADAPTERS = ("windrow.lake.store", "processors.puts")
OPENED = "open"
"""The kind of the modules that one opens."""


class Trace:
    """An observer for `sys.setprofile`: `hands_on` says of each module that ran whether it hands more to others.

    More than a simple value, see `_is_simple`. It stops when a function returns for whose frame `is_end` is true.
    """

    def __init__(self, is_end: Callable[[FrameType], bool]) -> None:
        self.hands_on: dict[str, bool] = {}
        self._is_end = is_end
        self._has_ended = False

    def __call__(self, frame: FrameType, event: str, value: object) -> None:
        """Observe one event; `value` is what a function returns or yields."""
        module = _module_of(frame)
        if self._has_ended or module is None or event not in ("call", "return") or frame.f_code.co_name == "<module>":
            return
        self.hands_on.setdefault(module, False)
        if event == "call":
            return
        if _is_outside(_caller_of(frame), module) and not _is_simple(value):
            self.hands_on[module] = True
        if self._is_end(frame):
            self._end(frame)

    def _end(self, frame: FrameType) -> None:
        """Count what is still running as passed by the reading, and observe nothing more."""
        self._has_ended = True
        above: FrameType | None = frame
        while above is not None:
            module = _module_of(above)
            if module is not None:
                self.hands_on[module] = True
            above = above.f_back


def _is_simple(value: object) -> bool:
    """Whether a value is yes or no, a number, a text, a function, or nothing; also yes or no for each of many."""
    if isinstance(value, np.ndarray):
        return bool(value.dtype == np.bool_)
    is_empty = isinstance(value, list | tuple | dict) and not value
    return value is None or is_empty or callable(value) or isinstance(value, bool | int | float | str)


def _module_of(frame: FrameType | None) -> str | None:
    """Return the dotted name of a module of ours; None for any other."""
    name = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    return name if name.partition(".")[0] in PACKAGES else None


def _caller_of(frame: FrameType) -> str | None:
    """Return the nearest module of ours up the stack; libraries in between are passed over."""
    above = frame.f_back
    while above is not None and _module_of(above) is None:
        above = above.f_back
    return _module_of(above)


def _has_stored_a_row(frame: FrameType) -> bool:
    key = frame.f_locals.get("key")
    return frame.f_code.co_name == "put" and isinstance(key, str) and key.startswith("aggregates/")


def kinds_on_the_way() -> dict[str, str]:
    """Run both functions and return the kind of each module that ran, in the order met.

    `os.environ` must hold ENVIRONMENT before any of ours is imported.
    """
    import boto3  # noqa: PLC0415 - reads the environment
    from moto import mock_aws  # noqa: PLC0415

    from dispatcher import handler as dispatcher_handler  # noqa: PLC0415
    from processors import consumer_handler  # noqa: PLC0415
    from windrow.timestamps import format_rfc3339  # noqa: PLC0415
    from windrow.window import Window  # noqa: PLC0415

    window = Window(1_795_169_100_000)
    observed = Trace(_has_stored_a_row)
    with mock_aws():
        s3 = boto3.client("s3")
        for bucket in (LAKE, RESULTS):
            s3.create_bucket(Bucket=bucket)
        batch = _event(window.start_ms)
        tick = {"time": format_rfc3339(window.end_ms + 120_000), "detail": {}}
        threading.setprofile(observed)
        sys.setprofile(observed)
        try:
            _handle(consumer_handler, batch)
            _handle(dispatcher_handler, tick)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        assert s3.list_objects_v2(Bucket=RESULTS, Prefix="aggregates/")["KeyCount"] == 1
    return {module: _kind_of(module, hands_on=hands_on) for module, hands_on in observed.hands_on.items()}


def _handle(module: ModuleType, event: dict[str, Any]) -> None:
    module.handle(event, LambdaContext())


def _event(start_ms: int) -> dict[str, Any]:
    """Return an event with one aggregate of 100 readings of five sensors, as a mapping of Lambda hands it over."""
    import base64  # noqa: PLC0415

    from windrow.wire.kpl import UserRecord, aggregate  # noqa: PLC0415

    payloads = [
        json.dumps({"sensor_id": f"roof-{n % 5}", "event_time": start_ms + 100 * n, "temperature": 21.4}).encode()
        for n in range(100)
    ]
    data = base64.b64encode(aggregate([UserRecord("key", payload) for payload in payloads])).decode()
    kinesis = {"data": data, "partitionKey": "key", "sequenceNumber": "1"}
    record = {
        "eventID": "shardId-000000000000:1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/windrow-test",
        "kinesis": kinesis | {"approximateArrivalTimestamp": start_ms / 1000 + 60},
    }
    return {"Records": [record]}


def _kind_of(module: str, *, hands_on: bool) -> str:
    if module.rpartition(".")[0] in ("windrow", "windrow.columns"):
        return "word"
    source = Path(str(sys.modules[module].__file__)).read_text()
    if module in BEFORE_ADAPTERS or re.search(r"^\s*(import|from) (boto3|botocore)\b", source, re.MULTILINE):
        return "adapter"
    return OPENED if hands_on else "inner"


def _is_outside(caller: str | None, module: str) -> bool:
    """Whether the caller is in another wing of `windrow/`, or in another module if `module` is in no wing."""
    names = module.split(".")
    own = names[:2] if names[0] == "windrow" else names
    return caller is None or caller.split(".")[: len(own)] != own


def main() -> int:
    """Print the kind and the name of each module that ran, and how many one opens."""
    os.environ.pop("AWS_ENDPOINT_URL", None)
    os.environ.update(ENVIRONMENT)
    with contextlib.redirect_stdout(sys.stderr):  # logs and metrics
        kinds = kinds_on_the_way()
    for module, kind in sorted(kinds.items(), key=lambda item: item[1] != OPENED):
        print(f"{kind:9}{module}")
    print(f"{list(kinds.values()).count(OPENED)} modules to open, of {len(kinds)} that ran")
    return 0


if __name__ == "__main__":
    sys.exit(main())
