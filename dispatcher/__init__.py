"""The stage that closes windows: which are due, and their roll."""
