"""Columns of strings, numbers and Arrow data, and fast passes over them; nothing here knows what a sensor is."""
