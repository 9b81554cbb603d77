"""Settings that hold for every test."""

import os

from hypothesis import HealthCheck, settings

# No deadline: a test never judges by the clock. In CI the same examples every time; elsewhere new ones.
settings.register_profile(
    "windrow", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("windrow")
