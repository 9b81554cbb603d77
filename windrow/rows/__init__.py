"""Sets of readings, and what follows from them: partials, rows, hours and days, silences, lineages, and their files."""
