"""Rules: limits on the values of series, and the excursions beyond them, a pure function of rows."""
