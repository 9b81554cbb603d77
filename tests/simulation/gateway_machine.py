"""What a gateway's process has around it in the simulation: an uplink that may be down, a disk that outlives it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.simulation.process import Process
from tests.simulation.simulated_disk import SimulatedDisk, SimulatedFolder
from tests.simulation.simulated_kinesis import SimulatedKinesis
from tests.simulation.virtual_time import Task, current_task

DISK_LATENCY_MS = 1


@dataclass(slots=True)
class Outage:
    """Until when, in ms since the epoch, an uplink is down, and which of Uplink.WAYS its requests fail in."""

    until_ms: int = 0
    way: str = "unreachable"


class Uplink:
    """What lies between a gateway and the stream's client: while it is down, requests fail in one of these ways."""

    WAYS = ("unreachable", "silent", "page", "denied")

    def __init__(self, client: SimulatedKinesis, process: Process, outage: Outage) -> None:
        self._client = client
        self._process = process
        self._outage = outage

    def put_records(self, **arguments: Any) -> Any:
        """PutRecords."""
        return self._pass(lambda: self._client.put_records(**arguments))

    def list_shards(self, **arguments: Any) -> Any:
        """ListShards."""
        return self._pass(lambda: self._client.list_shards(**arguments))

    def _pass(self, request: Callable[[], Any]) -> Any:
        if self._process.time.now_ms >= self._outage.until_ms:
            return request()
        url = "https://kinesis.simulated"
        match self._outage.way:
            case "unreachable":
                self._process.sleep_seconds(1)
                raise EndpointConnectionError(endpoint_url=url)
            case "silent":  # all of it is stored
                request()
                self._process.sleep_seconds(5)
                raise ReadTimeoutError(endpoint_url=url)
            case "page":  # of a captive portal
                return {"message": "<html>", "ResponseMetadata": {"HTTPStatusCode": 200}}
        error = {"Error": {"Code": "AccessDeniedException", "Message": "not yours"}}
        raise ClientError(error | {"ResponseMetadata": {"HTTPStatusCode": 400}}, "PutRecords")  # type: ignore[arg-type]


class ProcessDisk:
    """A folder as one process has it, which may be killed at any operation. `appended`: what each thread wrote last."""

    def __init__(self, disk: SimulatedDisk, process: Process) -> None:
        self.appended: dict[Task, bytes] = {}
        self._disk = disk
        self._process = process

    def __str__(self) -> str:
        return str(self._disk)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._disk, name)

        def call(*arguments: Any, **named: Any) -> Any:
            return self._process.call(lambda: operation(*arguments, **named), latency_ms=DISK_LATENCY_MS)

        return call

    def is_holder_of(self, folder: SimulatedFolder) -> bool:
        """Whether this process has the lock."""
        return folder.holder is self._disk

    def append(self, name: str, octets: bytes) -> int:
        """As the disk does; remembers what was written whole."""
        written: int = self._process.call(lambda: self._disk.append(name, octets), latency_ms=DISK_LATENCY_MS)
        if written == len(octets):
            self.appended[current_task()] = octets
        return written
