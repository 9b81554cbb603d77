"""Files of readings as people have them: what is in them is understood, shown, and read as columns."""
