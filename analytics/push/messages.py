"""Messages to browsers: values and tallies as JSON, cut so that each is one frame."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from windrow.live.newest import NewestValue

FRAME_BYTES_MAX = 32 * 1024
"""A WebSocket frame of API Gateway; a message of more is several frames, each metered ("Quotas for WebSocket APIs")."""
Json = dict[str, Any]
_BETWEEN = len(b",")


def messages_of(parts: Mapping[str, Sequence[Json]]) -> list[bytes]:
    """Return all parts in messages `{"values": [...], "tally": [...]}` of at most FRAME_BYTES_MAX.

    The order of each list is kept. Each message has the names that it has something of. ValueError for one item that
    is larger than a message; items of readings are not.
    """
    return [_message(one) for one in _cut(parts)]


def value_item(value: NewestValue) -> Json:
    """Return a value as browsers get it."""
    return {
        "sensor_id": value.sensor_id,
        "quantity": value.quantity.name,
        "unit": value.quantity.unit,
        "event_time_ms": value.event_time_ms,
        "value_milli": value.value_milli,
    }


def _cut(parts: Mapping[str, Sequence[Json]]) -> Iterator[list[tuple[str, list[str]]]]:
    """Yield what goes into each message: names, each with the texts of its items."""
    message: list[tuple[str, list[str]]] = []
    size = len("{}")
    for name, text in _texts(parts):
        is_new = not message or message[-1][0] != name
        added = len(text.encode()) + _BETWEEN + (len(f'"{name}":[],') if is_new else 0)
        if message and size + added > FRAME_BYTES_MAX:
            yield message
            message, size = [], len("{}")
            added = len(text.encode()) + _BETWEEN + len(f'"{name}":[],')
        if size + added > FRAME_BYTES_MAX:
            raise ValueError(f"an item of {name} has {len(text.encode()):,} bytes, more than a frame")
        if not message or message[-1][0] != name:
            message.append((name, []))
        message[-1][1].append(text)
        size += added
    if message:
        yield message


def _texts(parts: Mapping[str, Sequence[Json]]) -> Iterator[tuple[str, str]]:
    for name, items in parts.items():
        yield from ((name, text) for text in map(_text_of, items))


def _text_of(item: Json) -> str:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _message(parts: Iterable[tuple[str, list[str]]]) -> bytes:
    return ("{" + ",".join(f'"{name}":[{",".join(texts)}]' for name, texts in parts) + "}").encode()
