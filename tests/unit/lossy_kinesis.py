"""A Kinesis endpoint on the loopback interface that is slow, fails, and forgets to answer, by a seeded chance.

client ──▶ lossy endpoint ──▶ `stored`: what it took and when, by its own walk of the wire formats
   ◀── an answer, half of one, an error, a page of HTML, or nothing at all, before or after it took the records
"""

import base64
import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from tests.oracle import Fact
from tests.simulation.loopback import HOST, serving
from tests.simulation.payloads import facts_of_block, is_block, walk

SHARDS = 2
SLOW_SECONDS_MAX = 0.05
REQUEST_SECONDS_MAX = 30
# "cut" hangs up before it has read the request; "lost" and "half" take the records, and answer nothing or half.
# "denied" is what no retry mends at once, so that a flush gives up within a life.
TROUBLES = ("500", "page", "cut", "lost", "half", "denied")
_RANGE = 2**128 // SHARDS


class LossyKinesis(ThreadingHTTPServer):
    """Listens on a free port.

    stored: the readings that it took, each with the time it first did, as `time.monotonic_ns` tells it.
    trouble: how many of the requests, and of the records of a request, come to grief; 0 for none.
    errors: of its own.
    """

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__((HOST, 0), _Handler)
        self.random = Random(seed)
        self.lock = threading.Lock()
        self.stored: dict[Fact, int] = {}
        self.trouble = 0.0
        self.errors: list[BaseException | None] = []
        self._records = 0

    @property
    def endpoint_url(self) -> str:
        """What a client takes for AWS."""
        return f"http://{HOST}:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that was killed amid its request is what this is about; anything else is our own fault."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError | _CutShort):
            self.errors.append(error)

    def next_trouble(self) -> tuple[str, float]:
        """What befalls the next request, and how long it takes to be read."""
        with self.lock:
            is_troubled, is_slow = self.random.random() < self.trouble, self.random.random() < self.trouble
            wait_seconds = self.random.random() * SLOW_SECONDS_MAX
            return self.random.choice(TROUBLES) if is_troubled else "", wait_seconds if is_slow else 0.0

    def take(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Store the records, but now and then some that are over the rate."""
        taken = [(entry, list(_facts(base64.b64decode(entry["Data"])))) for entry in entries]
        with self.lock:
            return [self._take_record(entry, facts) for entry, facts in taken]

    def _take_record(self, entry: dict[str, Any], facts: list[Fact]) -> dict[str, Any]:
        if self.random.random() < self.trouble:
            return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}
        now_ns = time.monotonic_ns()
        for fact in facts:
            self.stored.setdefault(fact, now_ns)
        self._records += 1
        key_md5 = hashlib.md5(entry["PartitionKey"].encode(), usedforsecurity=False).hexdigest()
        shard = int(entry.get("ExplicitHashKey", int(key_md5, 16))) // _RANGE
        return {"ShardId": f"shardId-{shard:012}", "SequenceNumber": str(10**20 + self._records)}


class _CutShort(Exception):  # noqa: N818 - what happened to the request
    """The client was killed before it had sent all of its request."""


def _facts(body: bytes) -> Iterator[Fact]:
    for payload in walk(body):
        if is_block(payload):
            yield from facts_of_block(payload)
        else:
            one = json.loads(payload, parse_float=Decimal)
            yield one["sensor_id"], one["event_time"], one["sequence"], int(one["temperature"] * 1000)


class _Handler(BaseHTTPRequestHandler):
    server: LossyKinesis
    timeout = REQUEST_SECONDS_MAX
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms, in which nothing happens

    def do_POST(self) -> None:
        trouble, wait_seconds = self.server.next_trouble()
        if trouble == "cut":
            self.close_connection = True
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            raise _CutShort
        asked = json.loads(body)
        time.sleep(wait_seconds)
        if trouble == "500":
            self._answer(500, b'{"__type":"InternalFailure"}')
        elif trouble == "denied":
            self._answer(400, b'{"__type":"ExpiredTokenException","message":"The security token has expired"}')
        elif trouble == "page":
            self._answer(200, b"<html>Sign in</html>")
        else:
            answer = self._act(asked)
            if trouble == "lost":
                self.close_connection = True
            else:
                self._answer(200, answer, is_half=trouble == "half")

    def _act(self, asked: dict[str, Any]) -> bytes:
        if self.headers["X-Amz-Target"].endswith("ListShards"):
            return json.dumps({"Shards": [_shard(number) for number in range(SHARDS)]}).encode()
        answers = self.server.take(asked["Records"])
        failed = sum("ErrorCode" in answer for answer in answers)
        return json.dumps({"FailedRecordCount": failed, "Records": answers}).encode()

    def _answer(self, status: int, body: bytes, *, is_half: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_half else body)
        self.close_connection = self.close_connection or is_half

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _shard(number: int) -> dict[str, Any]:
    return {
        "ShardId": f"shardId-{number:012}",
        "HashKeyRange": {"StartingHashKey": str(number * _RANGE), "EndingHashKey": str((number + 1) * _RANGE - 1)},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"},
    }


def lossy_kinesis(seed: int) -> AbstractContextManager[LossyKinesis]:
    """One that runs inside the block."""
    return serving(LossyKinesis(seed))
