"""The events that say which objects were uploaded: Amazon S3's "Object Created" of EventBridge, in messages of SQS.

Shapes: "Event message structure" of EventBridge in the Amazon S3 User Guide, and "Using Lambda with Amazon SQS" in the
Lambda developer guide.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from windrow.lake.layout import UPLOADS

SCHEDULED = "Scheduled Event"
_CREATED = "Object Created"


@dataclass(frozen=True, slots=True)
class UploadRef:
    """An uploaded object: its key, and its version, None if the event does not name one."""

    key: str
    version: str | None


@dataclass(frozen=True, slots=True)
class UploadMessage:
    """A message of the queue, by its id; `ref` is None if it does not name an uploaded object of this stage."""

    message_id: str
    ref: UploadRef | None


def is_schedule(event: object) -> bool:
    """Whether the function was invoked by a schedule."""
    return isinstance(event, Mapping) and event.get("detail-type") == SCHEDULED


def decode_messages(event: object, *, bucket: str) -> list[UploadMessage]:
    """Return the messages of an event of the queue; ValueError if it is none, which is a caller's bug."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise ValueError("the event has no list of Records")
    return [UploadMessage(str(record["messageId"]), ref_of(str(record["body"]), bucket=bucket)) for record in records]


def ref_of(body: str, *, bucket: str) -> UploadRef | None:
    """Return the object that an event is about; None if it is not about a new one under `uploads/` of `bucket`."""
    try:
        event = json.loads(body)
        detail = event["detail"]
        stored = detail["object"]
        key, version = stored["key"], stored.get("version-id")
        is_ours = event["detail-type"] == _CREATED and detail["bucket"]["name"] == bucket and key.startswith(UPLOADS)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return UploadRef(key, None if version is None else str(version)) if is_ours else None
