"""The `windrow` command as a user runs it: at one target, for one stage."""

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from windrow import settings
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

COMMAND_SECONDS_MAX = 300


@dataclass(frozen=True)
class Windrow:
    """The command, at one target and for one stage."""

    home: Path
    target: str
    stage: str
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run it as a user does and return what it prints on stdout; it must end with `code`."""
        return self.run(*arguments, code=code).stdout

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it as a user does and return all that it prints; it must end with `code`."""
        ended = subprocess.run(
            [Path(sys.executable).with_name("windrow"), *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )
        assert ended.returncode == code, f"windrow {' '.join(arguments)}: {ended.stdout}\n{ended.stderr}"
        return ended

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it as a user does and go on."""
        command = [Path(sys.executable).with_name("windrow"), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self._environment(), stdout=pipe, stderr=pipe, text=True)

    def _environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WINDROW_"))}
        own = {settings.HOME: str(self.home), settings.TARGET: self.target, settings.STAGE: self.stage}
        return plain | own | self.variables


def new_stage() -> str:
    """A name that was not there before: LocalStack takes a while to forget the mapping of a stage of the same name."""
    return f"whole{secrets.token_hex(3)}"


def rfc3339_minutes_ago(minutes: int) -> str:
    """The start of the window that was under way so many minutes ago."""
    instant_ms = time.time_ns() // 1_000_000 - minutes * 60_000
    return format_rfc3339(instant_ms // WINDOW_MS * WINDOW_MS)


def states(windrow: Windrow) -> list[tuple[str, str]]:
    """The mode of the stage and the state of its mapping, if there is such a stage; there may be others."""
    stages = json.loads(windrow("status", "--format", "json"))["stages"]
    return [(stage["mode"], stage["mapping"]) for stage in stages if stage["stage"] == windrow.stage]
