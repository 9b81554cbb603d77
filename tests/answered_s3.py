"""A client of S3 whose every request gets one answer, without a server: botocore does all but send."""

from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.session import Session


class Answer:
    """What is answered; it may be changed between two requests."""

    def __init__(self, status: int, body: bytes) -> None:
        """Answer with this."""
        self.status, self.body = status, body

    def stream(self, **_: Any) -> Iterator[bytes]:
        """The body, as botocore reads it."""
        yield self.body

    def client(self) -> Any:
        """A client to which this is answered; it tries once."""
        session = Session()
        session.set_credentials("test", "test")
        once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
        made = session.create_client("s3", region_name="eu-central-1", config=once)
        made.meta.events.register(
            "before-send.s3", lambda request, **_: AWSResponse(request.url, self.status, {}, self)
        )
        return made
