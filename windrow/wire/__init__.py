"""What a record of the stream holds, read and written: KPL aggregates, JSON readings, Arrow blocks."""
