"""The events of a CloudFormation stack, and following an operation by them until it has ended."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.waiting import OPERATION_MINUTES_MAX, wait_for_operation
from windrow.aws.clients import Place, client
from windrow.deployment import stage_of, status_hint
from windrow.errors import WindrowError

_SUCCESSES = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"})
_STACK = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackEvent:
    """A change in the status of one resource; ``reason`` is empty unless something is wrong."""

    event_id: str
    resource: str
    resource_type: str
    status: str
    reason: str

    @property
    def is_failure(self) -> bool:
        """Whether this resource failed by itself, rather than being cancelled because another one failed."""
        return self.status.endswith("_FAILED") and "cancelled" not in self.reason.lower()

    @property
    def is_end_of_stack(self) -> bool:
        """Whether this event ends the whole operation."""
        return self.resource_type == _STACK and self.status.endswith(("_COMPLETE", "_FAILED"))

    @property
    def is_turn_of_stack(self) -> bool:
        """Whether the whole operation begins to be rolled back; the reason is then that of the stack."""
        return self.resource_type == _STACK and self.status.endswith("ROLLBACK_IN_PROGRESS")


OnEvent = Callable[[StackEvent], None]


class OperationError(WindrowError):
    """An operation that failed. `resource_type` is that of the resource to blame; empty if it was none."""

    def __init__(self, message: str, *, hint: str, resource_type: str = "") -> None:
        super().__init__(message, hint=hint)
        self.resource_type = resource_type


class EventReader:
    """The new events of one stack, each given once.

    CloudFormation lists a stack's whole history, the newest event first, at most a hundred in a page. It is read back
    to the first page with an event that was seen before: usually one request a look, however old the stage is.
    """

    def __init__(self, place: Place, name: str, seen: set[str]) -> None:
        """Read the stack `name` (or id) at `place`; `seen` are the ids of events that are not new."""
        self._place = place
        self._name = name
        self._seen = seen

    @classmethod
    def from_now(cls, place: Place, name: str) -> "EventReader":
        """Return a reader for which everything up to now was seen."""
        return cls(place, name, {event.event_id for event in next(_pages(place, name), [])})

    @classmethod
    def from_last_operation(cls, place: Place, name: str) -> "EventReader":
        """Return a reader that begins with the operation in progress, or with the last one if none is."""
        is_of_it = True
        for page in _pages(place, name):
            for event in page:
                if event.is_end_of_stack and not is_of_it:
                    # All events from here on are older; the rest of the page is enough to stop at.
                    older = page[page.index(event) :]
                    return cls(place, name, {one.event_id for one in older})
                is_of_it = False
        return cls(place, name, set())

    def new(self) -> list[StackEvent]:
        """Return the events that are new since the last call, oldest first; none if there is no such stack."""
        found: list[StackEvent] = []
        for page in _pages(self._place, self._name):
            fresh = [event for event in page if event.event_id not in self._seen]
            found += fresh
            if len(fresh) < len(page):
                break
        self._seen.update(event.event_id for event in found)
        return found[::-1]


def follow(place: Place, name: str, reader: EventReader, on_event: OnEvent, *, watch_minutes: int = 0) -> StackEvent:
    """Report new events until the operation ends, and return the event that ended it.

    CloudFormation may watch alarms for `watch_minutes` before it ends the operation.

    OperationError unless it succeeded: it names the first resource that failed, or why the stack was rolled back, and
    says what to do next.
    """
    failures: list[StackEvent] = []

    def last_event() -> StackEvent | None:
        end: StackEvent | None = None
        for event in reader.new():
            on_event(event)
            if event.is_end_of_stack:
                end = event
            elif event.is_failure or (event.is_turn_of_stack and event.reason):
                failures.append(event)
        return end

    message = f"stack {name} is not done after {OPERATION_MINUTES_MAX + watch_minutes} minutes"
    late = WindrowError(message, hint="CloudFormation goes on by itself; follow it with: windrow deploy --follow")
    end = wait_for_operation(place, last_event, complaint=late, more_minutes=watch_minutes)
    if end.status not in _SUCCESSES:
        raise _failed(end, failures)
    return end


def _failed(end: StackEvent, failures: list[StackEvent]) -> OperationError:
    """Return the error for an operation that ended badly: the first resource to blame, else the stack's own reason."""
    hint = f"stack {end.resource} is {end.status}: {status_hint(stage_of(end.resource), end.status)}"
    culprit = next((event for event in failures if not event.is_turn_of_stack), None)
    if culprit is not None:
        reason = culprit.reason or "no reason was given"
        what = f"{culprit.resource} ({culprit.resource_type}) failed: {reason}"
        return OperationError(what, hint=hint, resource_type=culprit.resource_type)
    reason = next((event.reason for event in failures), end.reason) or "no reason was given"
    return OperationError(f"stack {end.resource} is {end.status}: {reason}", hint=hint)


def _pages(place: Place, name: str) -> Iterator[list[StackEvent]]:
    """Yield the pages of events, newest first; nothing if there is no stack of that name."""
    try:
        for page in client("cloudformation", place).get_paginator("describe_stack_events").paginate(StackName=name):
            yield [_event(one) for one in page["StackEvents"]]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise


def _event(entry: dict[str, Any]) -> StackEvent:
    return StackEvent(
        event_id=entry["EventId"],
        resource=entry.get("LogicalResourceId", ""),
        resource_type=entry.get("ResourceType", ""),
        status=entry.get("ResourceStatus", ""),
        reason=" ".join(entry.get("ResourceStatusReason", "").split()),
    )
