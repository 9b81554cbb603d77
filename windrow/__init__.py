"""The domain of windrow: readings, windows, partials, rollups, and the command that drives the stages."""
