"""A deployed Lambda function as something to call."""

from dataclasses import dataclass
from typing import Any

from windrow.aws.clients import Place, client


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function returned: JSON. When `is_error`, it raised, and the JSON describes the error."""

    payload: bytes
    is_error: bool


class LambdaFunction:
    """The function `name`, called through a boto3 Lambda client."""

    def __init__(self, client: Any, name: str) -> None:
        """Call `name` with `client`, whose read timeout bounds every wait."""
        self._client = client
        self.name = name

    @classmethod
    def at(cls, place: Place, name: str, *, repeats: bool) -> "LambdaFunction":
        """Return the function at `place`; with `repeats`, the client may send a failed request again."""
        return cls(client("lambda", place, repeats=repeats), name)

    def invoke(self, event: bytes) -> Returned:
        """Run the function with `event` and wait for it; raises what boto3 raises."""
        response = self._client.invoke(FunctionName=self.name, InvocationType="RequestResponse", Payload=event)
        return Returned(response["Payload"].read(), bool(response.get("FunctionError")))
