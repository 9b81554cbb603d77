"""The topics of a stage as its dispatcher sees them, and what everybody who is subscribed was told.

Semantics, after the SNS developer guide: a publish that is refused told nobody; one without an answer may have told
everybody, and is told again when it is repeated.
"""

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.faults import Chance
from tests.simulation.process import Process
from windrow.rules.messages import Message

LATENCY_MS = 20


class SimulatedTopic:
    """Implements dispatcher.messages.Teller for one process; `told` is shared by all of them."""

    def __init__(self, told: list[Message], process: Process, chance: Chance) -> None:
        self._told = told
        self._process = process
        self._chance = chance

    def tell(self, message: Message) -> None:
        """Publish."""
        self._process.call(lambda: self._publish(message), latency_ms=self._chance.latency_ms(LATENCY_MS))

    def _publish(self, message: Message) -> None:
        if self._chance.happens("message_refused"):
            raise ClientError({"Error": {"Code": "Throttled", "Message": "Rate exceeded"}}, "Publish")
        self._told.append(message)
        if self._chance.happens("message_ack_lost"):
            raise ReadTimeoutError(endpoint_url="sns")
