"""The stage that makes and sends readings: simulated fleets, aggregation, the Kinesis writer."""
