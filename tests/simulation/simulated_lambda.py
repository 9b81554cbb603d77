"""Functions as AWS Lambda runs them, and boto3's `lambda` client in front of them.

Semantics, after the Lambda developer guide:

- a synchronous invocation answers when the function returns; what it raises is a function error ("Understanding retry
  behavior in Lambda"); at its timeout it is killed, wherever it is ("Configure Lambda function timeout");
- no answer does not mean that nothing runs: a caller that gives up (read timeout) leaves the function running; a
  sandbox that was frozen with requests on the wire, or threads at work, may go on ("Lambda execution environment");
- concurrency is limited; beyond it the invocation is refused with TooManyRequestsException, and no function ran.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.faults import Chance
from tests.simulation.process import Fate, Process
from tests.simulation.virtual_time import VirtualTime
from windrow.aws.clients import INVOKE_READ_TIMEOUT_SECONDS

Handler = Callable[[Process, bytes], object]
"""A function's code: what it returns is answered as JSON."""
Log = Callable[[str, str, str], None]
"""Lane, symbol, text."""

START_MS = 30
REQUESTS_BEFORE_DEATH = 12


@dataclass(frozen=True, slots=True)
class Returned:
    """What an invocation came to. `error`: why there is no payload."""

    payload: bytes = b"null"
    error: str = ""
    is_throttled: bool = False


class Function:
    """One function of the stage."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        time: VirtualTime,
        chance: Chance,
        log: Log,
        timeout_ms: int,
        skew_ms: Callable[[], int] = lambda: 0,
        requests_before_death: int = REQUESTS_BEFORE_DEATH,
    ) -> None:
        """`skew_ms` is asked for each invocation's clock; a killed one dies within its first requests."""
        self.name = name
        self.invocations = 0
        self.running = 0
        self._handler = handler
        self._time = time
        self._chance = chance
        self._log = log
        self._timeout_ms = timeout_ms
        self._skew_ms = skew_ms
        self._requests_before_death = requests_before_death
        self.next_fate: Fate | None = None
        """What a test wants the next invocation to suffer."""
        self.breaks: Callable[[bytes], bool] = lambda _: False
        """Which events a test wants to fail, before the code sees them."""
        self.is_throttled = False
        """Whether a test wants every invocation refused."""

    def invoke(self, event: bytes) -> Returned:
        """Run the function and wait for it, at most its timeout."""
        if self.is_throttled or self._chance.happens("invoke_throttled"):
            return Returned(error="TooManyRequestsException", is_throttled=True)
        self.invocations += 1
        name = f"{self.name}#{self.invocations}"
        fate, self.next_fate = self.next_fate or self._fate(), None
        if self.breaks(event):
            return Returned(error="RuntimeError: by the test")
        process = Process(self._time, name, fate=fate, timeout_ms=self._timeout_ms)
        self.running += 1
        task = self._time.spawn(name, lambda: self._run(process, event), process)
        is_over = self._time.join(task, self._timeout_ms)
        if not is_over:
            return self._timed_out(process)
        if task.is_killed:
            return Returned(error="Runtime exited without providing a reason")
        if task.error is not None:
            return Returned(error=f"{type(task.error).__name__}: {task.error}")
        return Returned(json.dumps(task.value).encode())

    def _run(self, process: Process, event: bytes) -> object:
        try:
            self._time.sleep(self._chance.latency_ms(START_MS))
            process.freeze(0)
            return self._handler(process, event)
        finally:
            self.running -= 1
            # Requests of other threads may outlive the answer; a recycled sandbox takes them along.
            if self._chance.random.random() < 0.5:
                for task in process.tasks[1:]:
                    task.kill()

    def _timed_out(self, process: Process) -> Returned:
        if self._chance.happens("zombie"):
            self._log("fault", "Z", f"{process.name} timed out and goes on")
        else:
            process.is_alive = False
            for task in process.tasks:
                task.kill()
        return Returned(error=f"Task timed out after {self._timeout_ms / 1_000:.2f} seconds")

    def _fate(self) -> Fate:
        happens, draw = self._chance.happens, self._chance.random.randint
        skew_ms = self._skew_ms()
        if happens("killed"):
            return Fate(
                dies_at=draw(1, self._requests_before_death),
                dies_after=draw(0, 1) == 1,
                leaves_request=happens("killed_request_arrives"),
                leftover_ms=draw(1, 900_000),
                skew_ms=skew_ms,
            )
        if happens("stalled"):
            return Fate(slowness=3 ** draw(4, 9), skew_ms=skew_ms)
        if happens("frozen"):
            at, frozen_ms = draw(0, self._requests_before_death) * draw(0, 1), draw(1_000, 1_800_000)
            return Fate(freezes_at=at, frozen_ms=frozen_ms, skew_ms=skew_ms)
        return Fate(skew_ms=skew_ms)


class SimulatedLambda:
    """boto3's client, for functions by their names."""

    def __init__(self, functions: dict[str, Function], process: Process, chance: Chance) -> None:
        self._functions = functions
        self._process = process
        self._chance = chance

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        """Invoke, RequestResponse alone."""
        assert InvocationType == "RequestResponse"
        if self._chance.happens("invoke_refused"):
            raise _error("ServiceException", 500)
        function = self._functions[FunctionName]
        if self._chance.happens("invoke_ack_lost"):
            self._process.time.spawn(
                "unheard", lambda: function.invoke(Payload), Process(self._process.time, "unheard")
            )
            self._process.time.sleep(INVOKE_READ_TIMEOUT_SECONDS * 1_000)
            raise ReadTimeoutError(endpoint_url="https://lambda.simulated")
        returned = function.invoke(Payload)
        if returned.is_throttled:
            raise _error("TooManyRequestsException", 429)
        if returned.error:
            message = json.dumps({"errorMessage": returned.error}).encode()
            return {"Payload": io.BytesIO(message), "FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(returned.payload)}


def _error(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "simulated"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Invoke")
