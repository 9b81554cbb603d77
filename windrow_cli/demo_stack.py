"""The stacks of `windrow demo`: the user's own, which stays up, or one of its own that is taken down again."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from windrow.errors import UsageError
from windrow_cli.console import err
from windrow_cli.stage import home_folder

if TYPE_CHECKING:
    from windrow.aws.clients import Place

STAGE_NAME = "demo"
_LOCK = "demo.lock"


@contextmanager
def standing_home() -> Iterator[Path]:
    """Give the user's home, and leave whatever stack runs there as it is; say so if something goes wrong."""
    from infra import embedded

    home = home_folder()
    try:
        yield home
    except UsageError:  # nothing was done
        raise
    except (Exception, KeyboardInterrupt):
        running = embedded.status(home)
        if running is not None:
            err.print(f"the stack stays up, its log is {running.log}", markup=False)
            err.print("look at it: windrow status; remove it: windrow down", markup=False)
        raise


@contextmanager
def passing_home() -> Iterator[Path]:
    """Give a new home, and take its stack down whatever happens; after an error the stack's log stays."""
    from infra import embedded

    home = Path(tempfile.mkdtemp(prefix="windrow-demo-"))
    try:
        yield home
    except Exception:
        embedded.down(home, keeps_log=True)
        log = embedded.log_file(home)
        _remove(home, but=log)
        if log.exists():
            err.print(f"the stack is down, its log is kept: {log}", markup=False)
        raise
    except BaseException:
        embedded.down(home)
        _remove(home)
        raise
    embedded.down(home)
    _remove(home)


def started(home: Path) -> str:
    """Start the stack of `home` unless it runs; return where it is, and why it may not be where it was expected."""
    from infra import embedded

    already = embedded.status(home)
    with err.status("starting the embedded stack"):
        running = embedded.up(home)
    where = f"the embedded stack {'runs' if already is None else 'ran already,'} at {running.endpoint_url}"
    is_elsewhere = already is None and running.port != embedded.PORT_WANTED
    return f"{where}; port {embedded.PORT_WANTED} is taken" if is_elsewhere else where


@contextmanager
def only_demo(home: Path) -> Iterator[None]:
    """Hold the stack of `home` for one demo at a time; UsageError if another one runs there."""
    from infra import embedded

    with embedded.log_file(home).with_name(_LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = "another windrow demo is running on this stack"
            raise UsageError(message, hint="wait for it, or use a stack of its own: windrow demo --once") from error
        yield


def remove_earlier(place: "Place") -> bool:
    """Remove the stage of an earlier demo, finished or not; return False if there is none.

    UsageError if there are readings in it that no simulation sent: somebody else's, then.
    """
    from infra import destroy, stack
    from windrow.deployment import USABLE_STATUSES, stack_name

    status = stack.describe(place, stack_name(STAGE_NAME)).get("StackStatus", "")
    if not status:
        return False
    if status in USABLE_STATUSES:
        _refuse_others(place)
    plan = destroy.plan_destruction(place, STAGE_NAME, deletes_data=True)
    destroy.apply(plan, lambda _: None)
    return True


def _refuse_others(place: "Place") -> None:
    from producers.manifest import stored_runs
    from windrow.aws.clients import readable_errors
    from windrow.deployment import find_stage

    lake = find_stage(place, STAGE_NAME).lake
    with readable_errors(place):
        is_simulated = next(stored_runs(lake), None) is not None
        is_empty = next(iter(lake.list_objects("")), None) is None
    if not (is_simulated or is_empty):
        raise UsageError(
            f"stage {STAGE_NAME!r} has readings that no simulation sent",
            hint="remove it: windrow destroy --delete-data --stage demo; or use another stack: windrow demo --once",
        )


def _remove(home: Path, *, but: Path | None = None) -> None:
    """Remove the folder with everything in it, except the file `but` and the folders it is in."""
    if but is None or not but.exists():
        shutil.rmtree(home, ignore_errors=True)
        return
    for path in home.iterdir():
        if path.is_dir() and path not in but.parents:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
