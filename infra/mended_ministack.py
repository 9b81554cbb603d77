"""The server of the embedded stack: MiniStack, edited where it would lose records, groups or subprotocols.

`python -m infra.mended_ministack` serves as `python -m ministack` does. With `--diff` it prints the edits as a patch of
MiniStack's source, which is what to offer to its authors. They go when a release has them: a test fails then.
"""

import difflib
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from infra.resharding_edits import ADDED, EDITS, VERSION, Edit
from infra.sign_in_edits import SIGN_IN_EDITS
from infra.socket_edits import SOCKET_EDITS
from windrow.errors import WindrowError

ALL_EDITS = (*EDITS, *SIGN_IN_EDITS, *SOCKET_EDITS)


def mend() -> None:
    """Apply all edits to the modules of MiniStack in this process; WindrowError if they are not for this release."""
    installed = importlib.metadata.version("ministack")
    if installed != VERSION:
        message = f"MiniStack {installed} is installed, and the embedded stack is made for {VERSION}"
        raise WindrowError(message, hint=f"run: pip install ministack=={VERSION}")
    for name, text in ADDED.items():
        module = importlib.import_module(name)
        exec(compile(text, f"<added to {name}>", "exec"), module.__dict__)  # noqa: S102 # nosec B102 - text of ours
    for (name, function), edits in groupby(ALL_EDITS, key=lambda edit: (edit.module, edit.function)):
        _mend_function(importlib.import_module(name), function, tuple(edits))


def edited(source: str, edits: tuple[Edit, ...]) -> str:
    """Return source text with each of the edits made; ValueError if one is not found once."""
    for edit in edits:
        if source.count(edit.old) != 1:
            raise ValueError(f"{edit.module}.{edit.function} has not once: {edit.old!r}")
        source = source.replace(edit.old, edit.new)
    return source


def patched(name: str) -> str:
    """Return the source of a module of MiniStack with its edits and what is added to it."""
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    own = [edit for edit in ALL_EDITS if edit.module == name]
    for function, edits in groupby(own, key=lambda edit: edit.function):
        text = inspect.getsource(_function(module, function))
        source = source.replace(text, edited(text, tuple(edits)))
    return source.rstrip("\n") + "\n\n" + ADDED[name] if name in ADDED else source


def patch() -> Iterator[str]:
    """Yield the lines of a unified diff of MiniStack's source files, as `patch -p1` takes it."""
    for name in dict.fromkeys([*ADDED, *(edit.module for edit in ALL_EDITS)]):
        before = inspect.getsource(importlib.import_module(name))
        path = name.replace(".", "/") + ".py"
        pair = (before.splitlines(keepends=True), patched(name).splitlines(keepends=True))
        yield from difflib.unified_diff(*pair, f"a/{path}", f"b/{path}")


def main() -> None:
    """Serve until stopped, or print the patch."""
    if "--diff" in sys.argv[1:]:
        sys.stdout.writelines(patch())
        return
    mend()
    serve: Any = importlib.import_module("ministack.app").main
    serve()


def _mend_function(module: ModuleType, name: str, edits: tuple[Edit, ...]) -> None:
    """Give the function the code of its edited source, so that whoever holds it already calls that too."""
    function = _function(module, name)
    text = edited(inspect.getsource(function), edits)
    # As many empty lines before it as in the file, so that a traceback names lines near to those of the file.
    start = "\n" * (function.__code__.co_firstlineno - 1)
    found: dict[str, Any] = {}
    exec(compile(start + text, str(Path(inspect.getfile(module))), "exec"), module.__dict__, found)  # noqa: S102 # nosec B102
    function.__code__ = found[name].__code__


def _function(module: ModuleType, name: str) -> FunctionType:
    found = getattr(module, name)
    if not isinstance(found, FunctionType):
        raise TypeError(f"{module.__name__}.{name} is no function")
    return found


if __name__ == "__main__":
    main()
