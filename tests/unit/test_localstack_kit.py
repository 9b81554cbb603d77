"""How the tests find a LocalStack: one run at a time uses a kit; without one they are skipped, and say why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator import localstack

ROOT = Path(__file__).resolve().parent.parent.parent
USES = """
import sys
from pathlib import Path
from tests.emulator import localstack
with localstack.running({localstack.KIT: sys.argv[1], "PATH": sys.argv[2]}) as endpoint:
    with (Path(sys.argv[1]) / "log").open("a") as log:
        log.write(f"used {endpoint}\\n")
"""
SERVER = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""
# Like the kit's: what it starts outlives it and holds no pipe, and it returns when the port answers.
START = f"""#!/bin/bash
cd "$(dirname "$0")"
echo started >> log
'{sys.executable}' server.py "$LSKIT_PORT" >/dev/null 2>&1 </dev/null &
echo $! > pid
until (exec 3<>"/dev/tcp/127.0.0.1/$LSKIT_PORT") 2>/dev/null; do sleep 0.05; done
"""
STOP = """#!/bin/bash
cd "$(dirname "$0")"
echo stopped >> log
if [ -e pid ]; then kill "$(cat pid)"; fi
"""
MAKE = """#!/bin/bash
echo "$1: $WINDROW_LOCALSTACK_KIT" >> "$LOG"
"""


def script(path: Path, text: str) -> None:
    """Write an executable file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit that serves a health check and keeps a log."""
    folder = tmp_path / "kit"
    script(folder / "start.sh", START)
    script(folder / "stop.sh", STOP)
    (folder / "server.py").write_text(SERVER)
    return folder


def environment(kit: Path) -> dict[str, str]:
    """What leads to the kit."""
    return {localstack.KIT: str(kit), "PATH": os.environ["PATH"]}


def log(kit: Path) -> list[str]:
    """What happened to the kit, in order."""
    return [line.split()[0] for line in (kit / "log").read_text().splitlines()]


def test_without_a_localstack_the_reason_names_the_variables() -> None:
    """Somebody who reads why a test was skipped knows what to set."""
    with pytest.raises(pytest.skip.Exception, match=f"{localstack.ENDPOINT}.*{localstack.KIT}"):
        localstack.running({}).__enter__()


def test_a_localstack_that_runs_is_used_as_it_is(kit: Path) -> None:
    """Its address is enough, and no kit is started."""
    with localstack.running({localstack.ENDPOINT: "http://there:4566", **environment(kit)}) as endpoint:
        assert endpoint == "http://there:4566"
    assert not (kit / "log").exists()


def test_a_kit_that_is_not_set_up_skips_with_its_own_words(kit: Path) -> None:
    """It is no mistake of the code under test."""
    script(kit / "start.sh", "#!/bin/bash\necho 'run setup.sh first' >&2\nexit 1\n")
    with pytest.raises(pytest.skip.Exception, match=r"not set up: run setup\.sh first"):
        localstack.running(environment(kit)).__enter__()


def test_a_kit_that_is_set_up_must_start(kit: Path) -> None:
    """Nobody would see tests that are skipped for ever; what was started is stopped."""
    script(kit / "start.sh", "#!/bin/bash\necho 'LocalStack ended' >&2\nexit 1\n")
    with pytest.raises(AssertionError, match="did not start: LocalStack ended"):
        localstack.running(environment(kit)).__enter__()
    assert log(kit) == ["stopped"]


@pytest.mark.slow
def test_processes_that_want_a_kit_at_once_take_turns(kit: Path) -> None:
    """Each starts, uses and stops it before the next does, and none is skipped."""
    command = [sys.executable, "-c", USES, str(kit), os.environ["PATH"]]
    users = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for user in users:
        _, complaint = user.communicate(timeout=120)
        assert user.returncode == 0, complaint
    assert log(kit) == ["started", "used", "stopped"] * 3


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with only `.ci/run`, and a `make` that notes which kit it is given."""
    folder = tmp_path / "clone"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    script(tmp_path / "bin" / "make", MAKE)
    return folder


def ci(clone: Path, **variables: str) -> list[str]:
    """The targets that `.ci/run` makes, with the kit that each is given; it must pass."""
    own = {"PATH": f"{clone.parent / 'bin'}{os.pathsep}{os.environ['PATH']}", "LOG": str(clone / "made")}
    homeless = {"HOME": str(clone.parent / "home")}
    subprocess.run([clone / ".ci" / "run"], env=own | homeless | variables, check=True, timeout=60)
    return (clone / "made").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["localstack-host", "common/localstack-host"])
def test_what_must_pass_finds_a_kit_beside_the_clone(clone: Path, place: str) -> None:
    """It is set up if it never was."""
    kit = clone.parent / place
    script(kit / "start.sh", "#!/bin/bash\n")
    script(kit / "stop.sh", "#!/bin/bash\n")
    script(kit / "setup.sh", '#!/bin/bash\ntouch "$(dirname "$0")/ready"\n')
    assert ci(clone) == [f"check: {kit}", f"test: {kit}"]
    assert (kit / "ready").exists()


def test_what_must_pass_does_without_a_kit_that_does_not_start(clone: Path, kit: Path) -> None:
    """A machine on which it cannot run; the targets are made all the same."""
    script(kit / "setup.sh", "#!/bin/bash\nexit 1\n")
    script(kit / "start.sh", "#!/bin/bash\nexit 1\n")
    assert ci(clone, **{localstack.KIT: str(kit)}) == ["check: ", "test: "]


def test_what_must_pass_takes_the_kit_that_it_is_told(clone: Path, kit: Path) -> None:
    """Not the one beside the clone."""
    script(clone.parent / "localstack-host" / "start.sh", "#!/bin/bash\nexit 1\n")
    script(kit / "setup.sh", "#!/bin/bash\n")
    script(kit / "start.sh", "#!/bin/bash\n")
    assert ci(clone, **{localstack.KIT: str(kit)}) == [f"check: {kit}", f"test: {kit}"]


def test_what_must_pass_needs_no_kit(clone: Path) -> None:
    """Without one, everything else is made."""
    assert ci(clone) == ["check: ", "test: "]
