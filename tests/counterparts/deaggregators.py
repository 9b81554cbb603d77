"""Amazon's four de-aggregators, each asked about the same records."""

import base64
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from aws_kinesis_agg.deaggregator import deaggregate_records

from tests.counterparts import maven
from windrow.wire.kpl import BrokenAggregate, UserRecord, deaggregate

FOLDER = Path(__file__).parent
NODE_PROGRAM = FOLDER / "readers" / "deaggregate.cjs"
SECONDS_MAX = 120
OUTER_KEY = "a"
PLAIN, ERROR = "plain", "error"
Meaning = list[UserRecord] | str
"""User records, PLAIN for a record handed on as it is, or ERROR if something is thrown."""


def ours(bodies: Sequence[bytes], _folder: Path) -> list[Meaning]:
    """Return what windrow makes of each; a broken one is an error, which goes to quarantine."""
    return [_our_meaning(body) for body in bodies]


def _our_meaning(body: bytes) -> Meaning:
    try:
        found = deaggregate(body)
    except BrokenAggregate:
        return ERROR
    return PLAIN if found is None else found


def by_python(bodies: Sequence[bytes], _folder: Path) -> list[Meaning]:
    """Return what the package of PyPI makes of each."""
    return [_python_s_meaning(body) for body in bodies]


def _python_s_meaning(body: bytes) -> Meaning:
    names = ["eventID", "eventName", "eventSource", "eventSourceARN", "eventVersion", "invokeIdentityArn", "awsRegion"]
    kinesis = {
        "data": base64.b64encode(body),
        "partitionKey": OUTER_KEY,
        "sequenceNumber": "1",
        "kinesisSchemaVersion": "1.0",
        "approximateArrivalTimestamp": 0.0,
    }
    try:
        read = [one["kinesis"] for one in deaggregate_records([{**dict.fromkeys(names, ""), "kinesis": kinesis}])]
    except Exception:  # noqa: BLE001 - whatever it throws is its answer
        return ERROR
    return _meaning(
        body,
        [
            UserRecord(one["partitionKey"], base64.b64decode(one["data"]), one.get("explicitHashKey") or None)
            for one in read
        ],
    )


def by_java(program: str) -> Callable[[Sequence[bytes], Path], list[Meaning]]:
    """Return how the Java `program` is asked."""

    def ask(bodies: Sequence[bytes], folder: Path) -> list[Meaning]:
        command, environment = maven.command(FOLDER / program / "Deaggregate.java", str(_lines(bodies, folder)))
        return _printed(bodies, command, environment)

    return ask


def by_node(bodies: Sequence[bytes], folder: Path) -> list[Meaning]:
    """Return what the package of npm makes of each."""
    node = shutil.which("node")
    if node is None or not (NODE_PROGRAM.parent / "node_modules" / "aws-kinesis-agg").is_dir():
        pytest.skip("needs node, and: npm install --prefix tests/counterparts/readers")
    return _printed(bodies, [node, str(NODE_PROGRAM), str(_lines(bodies, folder))], {"PATH": os.environ["PATH"]})


def _lines(bodies: Sequence[bytes], folder: Path) -> Path:
    path = folder / "lines"
    path.write_text("".join(base64.b64encode(body).decode() + "\n" for body in bodies))
    return path


def _printed(bodies: Sequence[bytes], command: list[str], environment: dict[str, str]) -> list[Meaning]:
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    assert ended.returncode == 0, ended.stderr[-2_000:]
    answers = [line.removeprefix("> ") for line in ended.stdout.splitlines() if line.startswith("> ")]
    return [
        ERROR if answer.startswith("error") else _meaning(body, [_user_record(one) for one in answer.split()])
        for body, answer in zip(bodies, answers, strict=True)
    ]


def _user_record(text: str) -> UserRecord:
    key, hash_key, data = text.split(":")
    return UserRecord(base64.b64decode(key).decode(), base64.b64decode(data), None if hash_key == "null" else hash_key)


def _meaning(body: bytes, found: list[UserRecord]) -> Meaning:
    return PLAIN if [(one.partition_key, one.payload) for one in found] == [(OUTER_KEY, body)] else found


ASKED: dict[str, Callable[[Sequence[bytes], Path], list[Meaning]]] = {
    "Java, amazon-kinesis-deaggregator": by_java("deaggregator"),
    "Java, the KCL's": by_java("kcl"),
    "Node": by_node,
    "Python": by_python,
}
