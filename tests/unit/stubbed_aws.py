"""AWS up to the API boundary: every request is checked against the service's model and answered from a script."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from botocore.stub import Stubber

from windrow.aws.clients import AWS, Place, client

PLACE = Place(AWS, None, "eu-central-1")


@contextmanager
def stubbed(*services: str) -> Iterator[tuple[Stubber, ...]]:
    """A Stubber for each service's client at PLACE; afterwards each script must have been used up."""
    with ExitStack() as stack:
        stubs = tuple(stack.enter_context(Stubber(client(service, PLACE))) for service in services)
        yield stubs
        for stub in stubs:
            stub.assert_no_pending_responses()
