"""An embedded stack of our own for these tests: its own port, its own folder, and nothing left of it afterwards.

Beside it a LocalStack, for the tests that ask for one.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.stack_events import StackEvent
from tests.emulator import localstack
from windrow import settings
from windrow.aws.clients import Place
from windrow.stage import Stage

STAGE = "test"
SHARDS = 2
ANY_FREE_PORT = 0


def ignore(event: StackEvent) -> None:
    """Show no progress."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a stand-in: a worker has its own embedded stack; one of them has LocalStack.

    A module stays on one worker, so what its tests share is set up once.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.emulator)
            if "localstack_endpoint" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group("localstack"))
            elif item.path.name != "test_by_command.py":  # its tests, the longest, have a stage each
                item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a running embedded stack; what `WINDROW_HOME` names."""
    folder = tmp_path_factory.mktemp("windrow-home")
    embedded.up(folder, port=ANY_FREE_PORT)
    yield folder
    embedded.down(folder)


@pytest.fixture(scope="session")
def localstack_endpoint() -> Iterator[str]:
    """The URL of a LocalStack, started once for all tests that want it; without one they are skipped."""
    with localstack.running(dict(os.environ)) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def place(home: Path) -> Place:
    """The embedded stack as a place."""
    return embedded.place(home)


@pytest.fixture(scope="session")
def stack(place: Place) -> Stage:
    """A deployed stage, in direct mode. Its schedule is off: a test ticks when it wants to."""
    options = DeploymentOptions(shard_count=SHARDS, mode="direct", is_scheduled=False)
    return stacks.apply(plan_deployment(place, STAGE, options), ignore).stage


@pytest.fixture
def command_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home, and the commands that run in this test use it."""
    monkeypatch.setenv(settings.HOME, str(home))
    monkeypatch.setenv(settings.STAGE, STAGE)
    return home
