"""A Kinesis endpoint on the loopback interface that is slow, fails, and forgets to answer, by a seeded chance.

client ──▶ lossy endpoint ──▶ `stored`: what it took, by its own walk of the wire formats
   ◀── an answer, an error, a page of HTML, or nothing at all, before or after it took the records
"""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from tests.simulation.payloads import facts_of_block, is_block, walk

HOST = "127.0.0.1"
SHARDS = 2
SLOW_SECONDS_MAX = 0.05
TROUBLES = ("", "", "", "", "slow", "500", "page", "cut", "lost")
_RANGE = 2**128 // SHARDS


class LossyKinesis(ThreadingHTTPServer):
    """Listens on a free port; `stored` holds the sequences of the readings that it took, `calm` ends all trouble."""

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__((HOST, 0), _Handler)
        self.random = Random(seed)
        self.lock = threading.Lock()
        self.stored: set[int] = set()
        self.is_calm = False
        self.records = 0

    @property
    def endpoint_url(self) -> str:
        """What a client takes for AWS."""
        return f"http://{HOST}:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that was killed amid its request is what this is about."""

    def take(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Store the records, but now and then some that are over the rate."""
        answers = []
        for entry in entries:
            if not self.is_calm and self.random.random() < 0.05:
                answers.append({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"})
                continue
            self.records += 1
            self.stored.update(_sequences(base64.b64decode(entry["Data"])))
            shard = int(entry["ExplicitHashKey"]) // _RANGE if "ExplicitHashKey" in entry else 0
            answers.append({"ShardId": f"shardId-{shard:012}", "SequenceNumber": str(10**20 + self.records)})
        return answers


def _sequences(body: bytes) -> Iterator[int]:
    for payload in walk(body):
        if is_block(payload):
            yield from (sequence for _, _, sequence, _ in facts_of_block(payload))
        else:
            yield json.loads(payload)["sequence"]


class _Handler(BaseHTTPRequestHandler):
    server: LossyKinesis
    timeout = 30
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            trouble = (
                "" if server.is_calm else server.random.choice(["", "", "", "", "slow", "500", "page", "cut", "lost"])
            )
            wait_seconds = server.random.random() * SLOW_SECONDS_MAX
        if trouble == "cut":
            self.close_connection = True
            return
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if trouble == "slow":
            time.sleep(wait_seconds)
        if trouble == "500":
            self._answer(500, b'{"__type":"InternalFailure"}')
        elif trouble == "page":
            self._answer(200, b"<html>Sign in</html>")
        else:
            answer = self._act(asked)
            if trouble == "lost":
                self.close_connection = True
            else:
                self._answer(200, answer)

    def _act(self, asked: dict[str, Any]) -> bytes:
        if self.headers["X-Amz-Target"].endswith("ListShards"):
            return json.dumps({"Shards": [_shard(number) for number in range(SHARDS)]}).encode()
        with self.server.lock:
            answers = self.server.take(asked["Records"])
        failed = sum("ErrorCode" in answer for answer in answers)
        return json.dumps({"FailedRecordCount": failed, "Records": answers}).encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _shard(number: int) -> dict[str, Any]:
    return {
        "ShardId": f"shardId-{number:012}",
        "HashKeyRange": {"StartingHashKey": str(number * _RANGE), "EndingHashKey": str((number + 1) * _RANGE - 1)},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"},
    }


@contextlib.contextmanager
def lossy_kinesis(seed: int) -> Iterator[LossyKinesis]:
    """One that runs inside the block."""
    with LossyKinesis(seed) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
