"""A module with one deliberate break, to see whether a test notices."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType


def mutant_of(module_name: str, *, replace: str, by: str) -> ModuleType:
    """A copy of a module in which the one place that reads `replace` reads `by`; the module itself stays as it is."""
    original = import_module(module_name)
    assert original.__file__ is not None
    source = Path(original.__file__).read_text()
    assert source.count(replace) == 1, f"{module_name} has {source.count(replace)} places that read {replace!r}"
    copy = ModuleType(f"{module_name}_mutant")
    sys.modules[copy.__name__] = copy  # dataclasses look their module up
    exec(compile(source.replace(replace, by), original.__file__, "exec"), copy.__dict__)  # noqa: S102
    return copy
