"""The stage that makes and sends readings: simulated fleets, aggregation, the Kinesis writer.

Gateways use `Producer`, which is described in docs/producing.md.
"""

from producers.producer import Producer
from producers.sender import Wire
from windrow.reading import BadReading, Reading, Readings

__all__ = ["BadReading", "Producer", "Reading", "Readings", "Wire"]
