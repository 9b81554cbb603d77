"""The content of a stream record, reading and writing it: KPL aggregates, JSON readings, Arrow blocks."""
