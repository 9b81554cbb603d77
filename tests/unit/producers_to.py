"""Producers to a scripted stream, what tests put into them, and what arrived."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from producers import Producer, Reading, Wire
from producers.sender import Sender
from producers.shards import ShardMap
from producers.spool import Spool
from producers.writer import Writer
from tests.simulation.scripted_stream import ScriptedStream
from windrow.aws.stream import UNREACHABLE, Answers, OutgoingRecord, Refused
from windrow.wire.block import is_block
from windrow.wire.block.block import decode_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import deaggregate

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = 1_795_176_000_000


class Away(ScriptedStream):
    """A stream that can be away."""

    is_away = False

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        if self.is_away:
            return Answers((Refused(UNREACHABLE, "nothing answers"),) * len(records))
        return super().put_records(records)


def producer_to(
    stream: ScriptedStream, *, spool: Spool | None = None, wire: Wire = Wire.JSON, **options: float
) -> Producer:
    def make_sender() -> Sender:
        writer = Writer(stream, uniform=lambda: 0.0, attempts_max=3, rate_limit=None)
        return Sender(writer, ShardMap(stream.shards), wire=wire, list_shards=lambda: stream.shards)

    return Producer(make_sender, spool=spool, linger_seconds=0.02, probe_seconds_min=0.01, **options)  # type: ignore[arg-type]


def readings_in(stream: ScriptedStream) -> list[Reading]:
    """Everything the stream holds, in its order."""
    found: list[Reading] = []
    for stored in stream.stored:
        user_records = deaggregate(stored.record.body)
        payloads = [stored.record.body] if user_records is None else [one.payload for one in user_records]
        for payload in payloads:
            found += decode_block(payload) if is_block(payload) else [parse_reading(payload)]
    return found


def reading(number: int) -> Reading:
    return Reading(f"sensor-{number % 7}", NOON_MS + number, number, 20_000 + number)


def put(producer: Producer, numbers: range) -> None:
    for number in numbers:
        one = reading(number)
        producer.put(one.sensor_id, Decimal(one.value_milli) / 1000, event_time=one.event_time_ms, sequence=number)
