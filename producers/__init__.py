"""The stage that makes and sends readings: the producer, simulated fleets, aggregation, the Kinesis writer.

Programs write `from windrow import Producer`; docs/producing.md describes it.
"""

from producers.producer import Producer
from producers.sender import Wire
from producers.spool import SpoolFull
from windrow.reading import BadReading, Reading, Readings

__all__ = ["BadReading", "Producer", "Reading", "Readings", "SpoolFull", "Wire"]
