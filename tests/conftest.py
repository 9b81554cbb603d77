"""What holds for every test: settings, and a place for wheels."""

import atexit
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Whatever the shell says, no test finds its way to an account.
for name in ("WINDROW_TARGET", "WINDROW_STAGE", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["XDG_CONFIG_HOME"] = str(Path(tempfile.gettempdir(), "windrow-tests-config"))

# No deadline: a test never judges by the clock. In CI the same examples every time; elsewhere new ones.
# `make check` asks for few examples, `make test` for all.
settings.register_profile(
    "windrow",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=int(os.environ.get("WINDROW_EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("windrow")


def _silence_exit() -> None:
    """Silence what DuckDB's binding prints at exit: it names each object that pytest still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


if "PYTEST_XDIST_WORKER" in os.environ:
    atexit.register(_silence_exit)


@pytest.fixture(autouse=True)
def no_metrics_of_before() -> None:
    """Forget what an earlier test has counted: powertools keeps it for the process, whichever object counts."""
    if "aws_lambda_powertools.metrics" in sys.modules:
        sys.modules["aws_lambda_powertools.metrics"].Metrics().clear_metrics()


@pytest.fixture(scope="session")
def wheel_cache(request: pytest.FixtureRequest) -> Path:
    """A folder for wheels, kept for the next run."""
    cache = request.config.cache
    assert cache is not None
    return cache.mkdir("wheels")
