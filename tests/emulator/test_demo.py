"""`windrow demo` as a stranger meets it: what it prints and leaves, and what it says when something is in the way."""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import embedded, stack
from tests.emulator.by_command import Windrow
from windrow import settings
from windrow.deployment import find_stage, stack_name
from windrow.errors import UsageError, WindrowError
from windrow.lake.layout import PARTIALS, SIMULATIONS, parse_partial_key
from windrow_cli import demo_stack
from windrow_cli.demo_stack import STAGE_NAME

COLUMNS = 80


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home for a stack of the test's own; whatever the test starts there is stopped."""
    folder = tmp_path / "home"
    yield folder
    embedded.down(folder)


@pytest.fixture
def windrow(own_home: Path, tmp_path: Path) -> Windrow:
    """The command as a stranger runs it, with a folder of its own for what is temporary."""
    (tmp_path / "tmp").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"TMPDIR": str(tmp_path / "tmp"), "COLUMNS": str(COLUMNS), "PATH": path}
    return Windrow(own_home, "embedded", STAGE_NAME, variables)


@pytest.mark.slow
def test_the_demo_stays_to_be_looked_at(windrow: Windrow, own_home: Path) -> None:
    """It ends with the promise and a stack that answers what it proposes; a second one takes the first one's place."""
    ended = windrow.run("demo", "--sensors", "20")

    promise, unchanged = ended.stdout.splitlines()[-2:]
    assert promise.startswith("verify: 4 windows, 80 rows, ")
    assert promise.endswith(" readings: lost 0, duplicated 0, wrong 0")
    assert unchanged == "rewind: results unchanged"
    assert "4 windows rolled" in ended.stderr
    assert max(map(len, (ended.stdout + ended.stderr).splitlines())) <= COLUMNS
    indent = "  windrow "
    lines = [line.removeprefix(indent) for line in ended.stderr.splitlines() if line.startswith(indent)]
    proposed = [line.partition("  ")[0].split() for line in lines]
    assert [words[0] for words in proposed] == ["dashboard", "query", "down"]
    hottest = windrow(*proposed[1], "--format", "csv").splitlines()
    assert len(hottest) == 11

    place = embedded.place(own_home)
    partials = find_stage(place, STAGE_NAME).lake.list_objects(PARTIALS)
    assert len({parse_partial_key(one.key).window for one in partials}) == 4  # nothing but the fleet has rows
    assert demo_stack.remove_earlier(place)
    assert not stack.describe(place, stack_name(STAGE_NAME))
    assert not demo_stack.remove_earlier(place)

    windrow(*proposed[2])
    assert embedded.status(own_home) is None


@pytest.mark.slow
def test_a_stage_with_somebody_elses_readings_is_left_alone(windrow: Windrow, own_home: Path) -> None:
    """What no simulation sent is not removed to make room: the demo refuses, and says what there is to do."""
    windrow.run("up", "--port", str(free_port()))
    windrow.run("deploy", "--yes")
    stage = find_stage(embedded.place(own_home), STAGE_NAME)
    stage.lake.put("partials/mine", b"readings")

    refused = windrow.run("demo", code=2)

    assert "stage 'demo' has readings that no simulation sent" in refused.stderr
    assert "windrow demo --once" in refused.stderr
    assert stage.lake.get("partials/mine") is not None
    stage.lake.put(f"{SIMULATIONS}20260101T000000Z-00000000.json", b"{}")
    with pytest.raises(WindrowError, match="20260101T000000Z"):  # one that cannot be read is no leave to delete
        demo_stack.remove_earlier(stage.place)


@pytest.mark.slow
def test_two_demos_at_once_are_refused_and_a_taken_port_is_said(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time on a stack; and where it is not at its usual port, it says why."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        monkeypatch.setattr(embedded, "PORT_WANTED", taken := somebody.getsockname()[1])
        where = demo_stack.started(own_home)
    assert where.endswith(f"; port {taken} is taken")
    assert "ran already, at http" in demo_stack.started(own_home)

    with embedded.log_file(own_home).with_name("demo.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another windrow demo is running"), demo_stack.only_demo(own_home):
            pass
    with demo_stack.only_demo(own_home):
        pass


@pytest.mark.slow
def test_a_failed_demo_points_to_a_log_that_is_there(windrow: Windrow, tmp_path: Path) -> None:
    """With --once too: the stack is gone, its log is not; without an error nothing stays."""
    broken = Windrow(
        windrow.home, "embedded", STAGE_NAME, windrow.variables | {"PYTHONPATH": str(no_emulator(tmp_path))}
    )

    for arguments in (["demo", "--once"], ["demo"]):
        failed = broken.run(*arguments, code=1)
        logs = [Path(word.strip(",")) for word in failed.stderr.split() if word.strip(",").endswith("log.txt")]
        assert logs, failed.stderr
        assert all("no emulator today" in log.read_text() for log in logs)


@pytest.mark.parametrize("error", [None, WindrowError("too bad"), KeyboardInterrupt()], ids=["none", "error", "Ctrl-C"])
def test_nothing_but_the_log_of_a_failure_stays(
    error: BaseException | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a stack of its own: after an error the log, where the error says it is; else nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run() -> None:
        with demo_stack.passing_home() as home:
            for name in ("cache/rows", "embedded/log.txt", "embedded/state/s3"):
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                (home / name).write_text("words")
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    if isinstance(error, WindrowError):
        assert [path.name for path in left] == ["log.txt"]
        assert str(left[0]) in capsys.readouterr().err.replace("\n", "")
    else:
        assert left == []


def no_emulator(tmp_path: Path) -> Path:
    """A folder that hides the emulator from whoever imports from it."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "ministack.py").write_text("raise SystemExit('no emulator today')\n")
    return folder


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_home_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that every other command finds the stack that the demo leaves."""
    monkeypatch.setenv(settings.HOME, str(tmp_path))
    with demo_stack.standing_home() as home:
        assert home == tmp_path
